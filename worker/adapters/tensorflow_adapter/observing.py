"""The Observer: one step with all its tensors, on its own network, which gets the weights each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from shared.job import Job
from shared.program import ProgramSpec
from worker.adapters.base import Batch, Floats, Observed, Observer, Weights
from worker.adapters.shapes import check_weights
from worker.adapters.tensorflow_adapter.losses import loss_function
from worker.adapters.tensorflow_adapter.model import Network

Tensor = Any


class TensorFlowObserver(Observer):
    """See `worker.adapters.base`."""

    def __init__(self, program: ProgramSpec, job: Job, *, device: str) -> None:
        self._device = device
        with tf.device(device):
            self._network = Network(program, precision=job.precision, initializers=False)
        self._loss = loss_function(job.loss)

    def observe(self, weights: Weights, batch: Batch, *, masks: Mapping[str, Floats]) -> Observed:
        """See `Observer.observe`."""
        check_weights(self._network.program.weight_shapes, weights)
        with tf.device(self._device):
            given, dropping = _constants(weights), _constants(masks)
            x, *targets = map(tf.constant, batch.arrays)
            outputs = [x]
            trained = {name: given[name] for name in self._network.trainable}
            with tf.GradientTape(watch_accessed_variables=False) as tape, self._network.given(given):
                tape.watch(trained)
                for index, sources in enumerate(self._network.sources):
                    inputs = [outputs[place] for place in sources]
                    outputs.append(self._network.apply_layer(index, inputs, dropping))
                loss = self._loss(outputs[-1], *targets)
            # an embedding's gradient comes as the rows it touched
            gradients = {
                name: tf.convert_to_tensor(g).numpy() for name, g in tape.gradient(loss, trained).items()
            }
        return Observed(
            layers={
                path: output.numpy() for path, output in zip(self._network.paths, outputs[1:], strict=True)
            },
            loss=float(loss),
            gradients=gradients,
        )

    def refed(
        self,
        weights: Weights,
        inputs: Mapping[str, Sequence[Floats]],
        *,
        masks: Mapping[str, Floats],
    ) -> dict[str, Floats]:
        """See `Observer.refed`."""
        check_weights(self._network.program.weight_shapes, weights)
        with tf.device(self._device), self._network.given(_constants(weights)):
            dropping = _constants(masks)
            return {
                path: self._network.apply_layer(
                    index, [tf.constant(one) for one in inputs[path]], dropping
                ).numpy()
                for index, path in enumerate(self._network.paths)
                if path in inputs
            }


def _constants(arrays: Mapping[str, Floats]) -> dict[str, Tensor]:
    return {path: tf.constant(array) for path, array in arrays.items()}
