"""The Trainer: hands one training's values to its program, block after block."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from likewise.shared.job import Job
from likewise.shared.job.training import BatchPlan
from likewise.worker.adapters.common import check_inputs, check_weights
from likewise.worker.adapters.constants import fixed_constants, slot_starts, update_constants
from likewise.worker.adapters.tensorflow_adapter.program import Program
from likewise.worker.adapters.tensorflow_adapter.state import (
    BlockSteps,
    LoopState,
    copied,
    exchanged,
    put_back,
    tensor_of,
)
from likewise.worker.adapters.trainer import Batch, Block, Floats, Marks, State, Trainer, Weights


class TensorFlowTrainer(Trainer):
    """A job's weights, optimizer state and training samples on one device."""

    def __init__(self, job: Job, *, program: Program, weights: Weights, samples: Batch, device: str) -> None:
        self._job = job
        plan = BatchPlan.of(job.training, len(samples.x))
        self._batch_sizes = {plan.batch_size if plan.full else 0, plan.remainder} - {0}
        self._program = program
        self._device = device
        with tf.device(device):
            self._samples = program.prepared(tuple(map(tensor_of, samples.arrays)))
            self._state = program.start(weights, slot_starts(job.optimizer))
            self._fixed = {
                name: tf.constant(value, job.precision)
                for name, value in fixed_constants(job.optimizer).items()
            }

    @property
    def execution(self) -> str:  # type: ignore[override]
        """Say how the program runs; it may turn out in the first block that XLA cannot compile it."""
        return self._program.execution

    @property
    def compiles(self) -> bool:  # type: ignore[override]
        """Whether some batch size of this training has no compiled program yet."""
        return not all(self._program.ready(size, self._samples) for size in self._batch_sizes)

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        return self.train_marked(block, every=len(block.indices))[0]

    def train_marked(self, block: Block, *, every: int) -> tuple[NDArray[np.float64], Marks]:
        """Run the block's updates, with snapshots on the way (see `Trainer.train_marked`)."""
        changing = update_constants(
            self._job.optimizer,
            learning_rates=block.learning_rates,
            first_step=block.first_step,
            accumulation=block.accumulation,
        )
        with tf.device(self._device):
            steps = BlockSteps(
                indices=tf.constant(block.indices),
                fixed=self._fixed,
                changing={
                    name: tf.constant(values.astype(self._job.precision)) for name, values in changing.items()
                },
                masks={path: tf.constant(mask) for path, mask in block.masks.items()},
            )
            self._state, losses, marks = self._program.block(self._state, self._samples, steps, every)
        return np.asarray(losses.numpy(), np.float64), marks

    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the model's outputs (see `Trainer.outputs`)."""
        check_inputs(self._program.network.input_shape, x)
        with tf.device(self._device):
            result: Floats = self._program.computed(self._state, x, masks)[0]
        return result

    def penalty(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return what the layers' outputs add to the loss (see `Trainer.penalty`)."""
        with tf.device(self._device):
            result: Floats = self._program.computed(self._state, x, masks)[1]
        return result

    def swap_average(self) -> None:
        """Exchange the trained weights and their average (see `Trainer.swap_average`)."""
        self._state = exchanged(self._state)

    def weights(self) -> Weights:
        """Return a copy of the current weights."""
        return {name: tensor.numpy() for name, tensor in self._program.weights(self._state).items()}

    def load_weights(self, weights: Weights) -> None:
        """Replace all weights by these."""
        check_weights(self._program.network.program.weight_shapes, weights)
        with tf.device(self._device):
            given = self._program.start(weights, {})
        self._state = given._replace(slots=self._state.slots)

    def state(self) -> State:
        """Return a copy of what training has changed (see `Trainer.state`)."""
        return copied(self._state)

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        with tf.device(self._device):
            self._state = put_back(self._state, state)

    def snapshot(self) -> LoopState:
        """Return the state itself, since none of its tensors ever changes."""
        return self._state

    def restore(self, snapshot: LoopState) -> None:
        """Go on from what `snapshot` gave."""
        self._state = snapshot
