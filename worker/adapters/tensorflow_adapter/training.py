"""The Trainer: blocks of steps, as one compiled tf.function or step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.spec import Job
from shared.spec.model import Dropout
from worker.adapters.base import Block, Floats, Trainer, Weights
from worker.adapters.shapes import check_inputs, check_targets
from worker.adapters.tensorflow_adapter.losses import loss_function
from worker.adapters.tensorflow_adapter.model import Network
from worker.adapters.tensorflow_adapter.optimizers import Updater
from worker.constants import update_constants

Tensor = Any


class TensorFlowTrainer(Trainer):
    """A job's network, optimizer state and training samples on one device.

    Compiled, a block is one call: a while loop in the graph that gathers each batch from the samples on
    the device. Its signature leaves both sizes of a block open, so that it is traced once a job.
    """

    def __init__(self, job: Job, *, network: Network, x: Floats, y: NDArray[Any], device: str) -> None:
        check_inputs(network.input_shape, x)
        check_targets(network.output_shape, y)
        self._job = job
        self._network = network
        self._variables = network.trainable
        self._device = device
        self.compiles = job.execution != "eager"
        self.execution = "compiled (tf.function)" if self.compiles else "eager"
        with tf.device(device):
            self._x = tf.constant(x)
            self._y = tf.constant(y)
            self._updater = Updater(job.optimizer, self._variables, precision=job.precision)
        self._loss = loss_function(job.loss)
        self._constant_names = tuple(update_constants(job.optimizer, learning_rates=np.ones(1), first_step=0))
        self._run: Any = self._steps
        self._outputs: Any = self._network
        if self.compiles:
            self._compile()

    def _compile(self) -> None:
        floats = self._job.precision
        dropped = [
            self._job.model.layer_path(index)
            for index, layer in enumerate(self._job.model.layers)
            if isinstance(layer, Dropout) and layer.rate > 0
        ]
        self._run = tf.function(
            self._loop,
            input_signature=[
                tf.TensorSpec([None, None], tf.int64),
                tf.TensorSpec([None, len(self._constant_names)], floats),
                {path: tf.TensorSpec(None, floats) for path in dropped},
            ],
            autograph=False,
        )
        self._outputs = tf.function(
            self._network,
            input_signature=[tf.TensorSpec([None, *self._network.input_shape], floats)],
            autograph=False,
        )

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        constants = update_constants(
            self._job.optimizer, learning_rates=block.learning_rates, first_step=block.first_step
        )
        table = np.stack([constants[name] for name in self._constant_names], axis=1)
        with tf.device(self._device):
            losses = self._run(
                tf.constant(block.indices),
                tf.constant(table.astype(self._job.precision)),
                {path: tf.constant(mask) for path, mask in block.masks.items()},
            )
        return np.asarray(losses.numpy(), np.float64)

    def outputs(self, x: Floats) -> Floats:
        """The model's outputs in inference mode."""
        check_inputs(self._network.input_shape, x)
        with tf.device(self._device):
            result: Floats = self._outputs(tf.constant(x)).numpy()
        return result

    def weights(self) -> Weights:
        """A copy of the current weights."""
        return self._network.weights()

    def load_weights(self, weights: Weights) -> None:
        """Replace the weights."""
        self._network.load(weights)

    def _step(self, rows: Tensor, constants: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        """One update on the samples `rows` (b,); the batch's loss before it."""
        x, y = tf.gather(self._x, rows), tf.gather(self._y, rows)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            loss = self._loss(self._network(x, masks), y)
        # an embedding's gradient comes as the rows it touched
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, self._variables)]
        self._updater.apply(gradients, dict(zip(self._constant_names, tf.unstack(constants), strict=True)))
        return loss

    def _steps(self, indices: Tensor, constants: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        """The block step by step."""
        now = {path: tf.unstack(mask) for path, mask in masks.items()}
        return tf.stack(
            [
                self._step(rows, row, {path: mask[i] for path, mask in now.items()})
                for i, (rows, row) in enumerate(zip(tf.unstack(indices), tf.unstack(constants), strict=True))
            ]
        )

    def _loop(self, indices: Tensor, constants: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        """The block as a loop in the graph."""
        steps = tf.shape(indices)[0]

        def body(i: Tensor, losses: Any) -> tuple[Tensor, Any]:
            now = {path: tf.gather(mask, i) for path, mask in masks.items()}
            loss = self._step(tf.gather(indices, i), tf.gather(constants, i), now)
            return i + 1, losses.write(i, loss)

        losses = tf.TensorArray(self._job.precision, size=steps, element_shape=[])
        _, losses = tf.while_loop(
            lambda i, _: i < steps, body, (tf.constant(0), losses), parallel_iterations=1
        )
        return losses.stack()
