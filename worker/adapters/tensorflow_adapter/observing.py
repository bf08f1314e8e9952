"""The Observer: one step laid open, on a network of its own that is given the weights each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from shared.spec import Job
from worker.adapters.base import Floats, Observed, Observer, Weights
from worker.adapters.tensorflow_adapter.losses import loss_function
from worker.adapters.tensorflow_adapter.model import Network

Tensor = Any


class TensorFlowObserver(Observer):
    """See `worker.adapters.base`."""

    def __init__(self, job: Job, *, input_shape: tuple[int, ...], device: str) -> None:
        self._device = device
        with tf.device(device):
            self._network = Network(
                job.model, input_shape=input_shape, precision=job.precision, initializers=False
            )
        self._paths = [job.model.layer_path(index) for index in range(len(job.model.layers))]
        self._loss = loss_function(job.loss)

    def observe(
        self, weights: Weights, x: Floats, y: NDArray[Any], *, masks: Mapping[str, Floats]
    ) -> Observed:
        """See `Observer.observe`."""
        with tf.device(self._device):
            self._network.load(weights)
            variables = self._network.trainable
            dropping = _constants(masks)
            outputs = [tf.constant(x)]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                for index, sources in enumerate(self._network.sources):
                    inputs = [outputs[place] for place in sources]
                    outputs.append(self._network.apply_layer(index, inputs, dropping))
                loss = self._loss(outputs[-1], tf.constant(y))
            # an embedding's gradient comes as the rows it touched
            gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, variables)]
        trainable = {variable.ref() for variable in variables}
        names = [name for name, own in self._network.variables.items() if own.ref() in trainable]
        return Observed(
            layers={path: output.numpy() for path, output in zip(self._paths, outputs[1:], strict=True)},
            loss=float(loss),
            gradients=dict(zip(names, gradients, strict=True)),
        )

    def refed(
        self,
        weights: Weights,
        inputs: Mapping[str, Sequence[Floats]],
        *,
        masks: Mapping[str, Floats],
    ) -> dict[str, Floats]:
        """See `Observer.refed`."""
        with tf.device(self._device):
            self._network.load(weights)
            dropping = _constants(masks)
            return {
                path: self._network.apply_layer(
                    index, [tf.constant(one) for one in inputs[path]], dropping
                ).numpy()
                for index, path in enumerate(self._paths)
                if path in inputs
            }


def _constants(arrays: Mapping[str, Floats]) -> dict[str, Tensor]:
    return {path: tf.constant(array) for path, array in arrays.items()}
