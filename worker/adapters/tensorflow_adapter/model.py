"""The model in Keras layers; weight names and layouts need no conversion, they are Keras's own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from shared.layer_shapes import tensors
from shared.shapes import layer_shapes
from shared.spec.layers.normalization import BatchNorm
from shared.spec.model import Model
from worker.adapters.base import Weights
from worker.adapters.shapes import check_weights
from worker.adapters.tensorflow_adapter.layers import keras_layer

Tensor = Any


class Network:
    """The model's layers with their variables, applied one after another."""

    def __init__(
        self, model: Model, *, input_shape: tuple[int, ...], precision: str, initializers: bool
    ) -> None:
        """Build every layer; `initializers` false leaves the weights at zero, to be assigned."""
        self._layers: list[tuple[str, Any, Any]] = []
        self.variables: dict[str, Any] = {}
        self.trainable: list[Any] = []
        shapes = layer_shapes(model, input_shape)
        self.sources = [model.sources(index) for index in range(len(model.layers))]
        for index, layer in enumerate(model.layers):
            path, shape = model.layer_path(index), shapes[index]
            built = keras_layer(layer, shape, precision=precision, initializers=initializers)
            weights = tensors(layer, shape)
            if weights:
                built.build((None, *shape))
                for tensor, variable in zip(weights, built.weights, strict=True):
                    self.variables[f"{path}.{tensor.name}"] = variable.value
                    if tensor.trainable:
                        self.trainable.append(variable.value)
            self._layers.append((path, layer, built))
        self.input_shape = input_shape
        self.output_shape = shapes[-1]

    def __call__(self, x: Tensor, masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """The outputs for x (b, *input_shape); in training with a mask for each dropout layer."""
        outputs = [x]
        for index, sources in enumerate(self.sources):
            outputs.append(self.apply_layer(index, [outputs[place] for place in sources], masks))
        return outputs[-1]

    def apply_layer(self, index: int, inputs: Sequence[Tensor], masks: Mapping[str, Tensor] | None) -> Tensor:
        """One layer's output for its inputs; `sources` says where they come from, 0 being x."""
        path, layer, built = self._layers[index]
        x = inputs[0]
        if isinstance(layer, BatchNorm):
            return built(x, training=masks is not None)
        if len(inputs) > 1:
            return built(list(inputs))
        if built is not None:
            return built(x)
        if masks is not None and layer.rate > 0:
            return x * tf.ensure_shape(masks[path], x.shape)
        return x

    def weights(self) -> Weights:
        """A copy of the weights."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def load(self, weights: Weights) -> None:
        """Replace the weights; raises BadShapeError where they do not fit."""
        check_weights({name: tuple(variable.shape) for name, variable in self.variables.items()}, weights)
        for name, variable in self.variables.items():
            variable.assign(weights[name])


def default_weights(model: Model, *, input_shape: tuple[int, ...], precision: str, seed: int) -> Weights:
    """What `keras.utils.set_random_seed(seed)` and Keras's default initializers give.

    Keras's initializers take their seeds from Python's generator, which is put back afterwards.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        network = Network(model, input_shape=input_shape, precision=precision, initializers=True)
    finally:
        random.setstate(state)
    return network.weights()
