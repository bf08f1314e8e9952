"""Many trainings as one program: the pure step of `program`, vectorised over the members.

tf.vectorized_map turns each operation into one on all members. An operation that cannot be, such as a
convolution with kernels of each member's own, becomes a loop over the members in the graph. That loop is no
quicker than one member after another, but the rest of the step is, which is most of it in a small network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.training import BatchPlan
from likewise.shared.program import ProgramSpec
from likewise.shared.program.together import convolutions_obstacle, recurrent_numbers
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.common import check_inputs
from likewise.worker.adapters.constants import (
    member_fixed_constants,
    member_slot_starts,
    member_update_constants,
)
from likewise.worker.adapters.tensorflow_adapter.model import Computed
from likewise.worker.adapters.tensorflow_adapter.program import Program, TracedFunction
from likewise.worker.adapters.tensorflow_adapter.state import (
    BlockSteps,
    LoopState,
    Samples,
    copied,
    exchanged,
    put_back,
    tensor_of,
)
from likewise.worker.adapters.tensorflow_adapter.xla import repays
from likewise.worker.adapters.trainer import Batch, EnsembleBlock, EnsembleTrainer, Floats, State, Weights

Tensor = Any

MOST_RECURRENT_STEPS = 64
"""The most steps of all recurrent layers together; written out, each takes 0.1 s to trace."""
MOST_RECURRENT = 5_000
"""The most numbers that one member's recurrent layers may output in a step, where each member has updates
enough for XLA. With 2,000, ten members or more together take 0.2 to 1.1 of XLA's time; with 8,000, 0.7 to
1.6; with 20,000, 0.5 to 2."""
FEWEST_RECURRENT = 10
"""Members in that case: five take 1.1 to 1.9 of XLA's time."""
RECURRENT_FROM_UPDATES = 2_000
"""Members need so many updates together: twice as many as repay the tracing."""


def obstacle(job: Job, program: ProgramSpec, *, samples: int, members: int, cpu: bool) -> str | None:
    """Return why members of this job train better one after another, as the end of a sentence."""
    steps = sum(cell.steps for cell in program.cells)
    if steps > MOST_RECURRENT_STEPS:
        return (
            f"for many at once TensorFlow traces recurrent layers of up to {MOST_RECURRENT_STEPS} steps, "
            f"and these have {steps}"
        )
    updates = members * BatchPlan.of(job.training, samples).steps
    if steps and updates < RECURRENT_FROM_UPDATES:
        return (
            "TensorFlow takes longer to trace recurrent layers for many seeds than it saves in "
            f"{updates:,} updates; from {RECURRENT_FROM_UPDATES:,} on it pays"
        )
    if not cpu:
        return None
    if steps and repays(job, program, samples=samples):
        numbers = recurrent_numbers(job, program, samples=samples)
        if numbers > MOST_RECURRENT:
            return (
                "XLA is quicker so on a CPU where recurrent layers give more than "
                f"{MOST_RECURRENT:,} numbers a step, and these give {numbers:,}"
            )
        if members < FEWEST_RECURRENT:
            return f"XLA is quicker so on a CPU for fewer than {FEWEST_RECURRENT} with recurrent layers"
    return convolutions_obstacle(job, program, samples=samples, members=members)


class EnsembleProgram(Program):
    """A `Program` whose state, constants and masks have the members as their first axis.

    The samples are the same for all members. Their batches are the same where `BlockSteps.indices` is (n, b),
    and each member's own where it is (members, n, b); these are two graphs.
    """

    axes = (None,)

    def _compile(self, job: Job, samples: tuple[tf.TensorSpec, ...]) -> None:
        self.network.recurrent = "unrolled"
        super()._compile(job, samples)
        self._blocks = {
            rank: TracedFunction(self._whole_loop, self._block_spec(job, samples, indices_rank=rank))
            for rank in (2, 3)
        }

    def compiled_for(self, indices_rank: int) -> TracedFunction:
        """Return the compiled block for indices (n, b) or (members, n, b)."""
        return self._blocks[indices_rank]

    def _whole_loop(self, state: LoopState, samples: Samples, steps: BlockSteps) -> tuple[LoopState, Tensor]:
        return self._counted_loop(tf.shape(steps.indices)[-2], state, samples, steps)

    def trace(self, job: Job) -> None:
        """Trace the block that the job will use. Raises UnsupportedError for what cannot be vectorised."""
        own_batches = job.training.shuffle or bool(self.dropped)
        self.compiled_for(3 if own_batches else 2).trace()

    def _step_at(
        self, i: Tensor, state: LoopState, samples: Samples, steps: BlockSteps
    ) -> tuple[LoopState, Tensor]:
        """Do step i of every member; return their states, and their losses (members,)."""
        shared = steps.indices.shape.rank == 2
        rows = tf.gather(steps.indices, i, axis=0 if shared else 1)
        batch = tuple(tf.gather(array, rows) for array in samples)
        changing = {name: tf.gather(values, i, axis=1) for name, values in steps.changing.items()}
        masks = {path: tf.gather(mask, i, axis=1) for path, mask in steps.masks.items()}

        def member(own: tuple[LoopState, Any, Any, Any]) -> tuple[LoopState, Tensor]:
            state, constants, masks, own_batch = own
            return self.step(state, own_batch or batch, constants=constants, masks=masks)

        stepped: tuple[LoopState, Tensor] = _vectorised(
            member, (state, steps.fixed | changing, masks, () if shared else batch)
        )
        return stepped

    def _outputs(self, weights: Mapping[str, Tensor], x: Tensor) -> Computed:
        """Compute the outputs in inference mode: x (m, *features) → (members, m, outputs)."""
        found: Computed = _vectorised(lambda own: self.network.computed(own, x), dict(weights))
        return found

    def _training_outputs(
        self, weights: Mapping[str, Tensor], x: Tensor, masks: Mapping[str, Tensor]
    ) -> Computed:
        """Compute the outputs in training mode: x (m, *features) → (members, m, outputs)."""
        computed = self.network.computed
        found: Computed = _vectorised(lambda own: computed(own[0], x, own[1]), (dict(weights), dict(masks)))
        return found


def _vectorised(function: Callable[[Any], Any], members: Any) -> Any:
    """Apply the function to all members at once. Raises UnsupportedError where it cannot be vectorised."""
    try:
        return tf.vectorized_map(function, members, fallback_to_while_loop=True)
    except (ValueError, NotImplementedError) as error:
        raise UnsupportedError(_reason(str(error))) from error


def _reason(message: str) -> str:
    operation = re.search(r"\bop(?:eration)?:? ['\"]?([A-Z]\w+)", message)
    if operation:
        return f"TensorFlow has no {operation[1]} for many seeds at once, each with weights of its own"
    return f"TensorFlow cannot train many seeds of this model at once: {message.splitlines()[0]}"


class TensorFlowEnsemble(EnsembleTrainer):
    """The state of all members on one device, and the program that trains them."""

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        *,
        program: EnsembleProgram,
        weights: Weights,
        samples: Batch,
        device: str,
    ) -> None:
        self.members = len(optimizers)
        self.execution = "vectorised (tf.vectorized_map)"
        self.compiles = False  # traced when built, which tells what cannot be vectorised
        self._optimizers = optimizers
        self._program = program
        self._device = device
        self._precision = next(iter(weights.values())).dtype
        with tf.device(device):
            self._samples = tuple(map(tensor_of, samples.arrays))
            self._state = program.start(weights, member_slot_starts(optimizers))
            self._fixed = self._constants(member_fixed_constants(optimizers))

    def _constants(self, arrays: Mapping[str, NDArray[np.float64]]) -> dict[str, Tensor]:
        return {name: tf.constant(array.astype(self._precision)) for name, array in arrays.items()}

    def train(self, block: EnsembleBlock) -> NDArray[np.float64]:
        """Run the block's updates (see `EnsembleTrainer.train`)."""
        changing = member_update_constants(
            self._optimizers,
            learning_rates=block.learning_rates,
            first_step=block.first_step,
            accumulation=block.accumulation,
        )
        run = self._program.compiled_for(block.indices.ndim)
        with tf.device(self._device):
            steps = BlockSteps(
                indices=tf.constant(block.indices),
                fixed=self._fixed,
                changing=self._constants(changing),
                masks={path: tf.constant(mask) for path, mask in block.masks.items()},
            )
            self._state, losses = run(self._state, self._samples, steps)
        return np.ascontiguousarray(losses.numpy().T, np.float64)

    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the members' outputs (see `EnsembleTrainer.outputs`)."""
        check_inputs(self._program.network.input_shape, x)
        with tf.device(self._device):
            result: Floats = self._program.computed(self._state, x, masks)[0]
        return result

    def penalty(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return what the layers' outputs add to the losses (see `EnsembleTrainer.penalty`)."""
        with tf.device(self._device):
            result: Floats = self._program.computed(self._state, x, masks)[1]
        return result

    def swap_average(self) -> None:
        """Exchange every member's weights and their average."""
        self._state = exchanged(self._state)

    def weights(self) -> Weights:
        """Return a copy of the current weights."""
        return {name: tensor.numpy() for name, tensor in self._program.weights(self._state).items()}

    def state(self) -> State:
        """Return a copy of what training has changed (see `Trainer.state`)."""
        return copied(self._state)

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        with tf.device(self._device):
            self._state = put_back(self._state, state)
