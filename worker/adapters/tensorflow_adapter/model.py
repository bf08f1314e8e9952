"""The model in Keras layers; weight names and layouts need no conversion, they are Keras's own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from shared.shapes import input_shapes, layer_shapes
from shared.spec.layers.normalization import BatchNorm
from shared.spec.layers.recurrent import Bidirectional, Gru, Lstm, SimpleRnn
from shared.spec.model import Model
from worker.adapters.base import Weights
from worker.adapters.shapes import check_weights
from worker.adapters.tensorflow_adapter.layers import keras_layer
from worker.adapters.tensorflow_adapter.recurrent import step_by_step

Tensor = Any


class Network:
    """The model's layers, applied one after another to weights that are given: it keeps none itself."""

    def __init__(
        self, model: Model, *, input_shape: tuple[int, ...], precision: str, initializers: bool
    ) -> None:
        """Build every layer; `initializers` is whether `initial` are Keras's own, else they are zeros."""
        self._layers: list[tuple[str, Any, Any]] = []
        self._variables: dict[str, Any] = {}
        self.trainable: list[str] = []
        """The names of the weights that the optimizer sees."""
        shapes = input_shapes(model, input_shape)
        self.sources = [model.sources(index) for index in range(len(model.layers))]
        for index, layer in enumerate(model.layers):
            path = model.layer_path(index)
            built = keras_layer(layer, *shapes[index], precision=precision, initializers=initializers)
            weights = layer.weights(*shapes[index])
            if weights:
                built.build(*((None, *shape) for shape in shapes[index]))
                for tensor, variable in zip(weights, built.weights, strict=True):
                    name = f"{path}.{tensor.name}"
                    self._variables[name] = variable
                    if tensor.trainable:
                        self.trainable.append(name)
            self._layers.append((path, layer, built))
        self.written_out = False
        """Whether recurrent layers go step by step, as tf.vectorized_map needs them."""
        self.input_shape = input_shape
        self.output_shape = layer_shapes(model, input_shape)[-1]

    def __call__(
        self, weights: Mapping[str, Tensor], x: Tensor, masks: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The outputs for x (b, *input_shape), and the weights with the statistics that a layer moved.

        In training with a mask for each dropout layer, else without masks.
        """
        with self.given(weights) as scope:
            outputs = self._outputs(x, masks)
        after = {name: scope.get_current_value(variable) for name, variable in self._variables.items()}
        return outputs, after

    def given(self, weights: Mapping[str, Tensor]) -> Any:
        """A context in which `apply_layer` uses these weights; Keras keeps what a layer moves there."""
        return keras.StatelessScope(
            state_mapping=[(variable, weights[name]) for name, variable in self._variables.items()]
        )

    def _outputs(self, x: Tensor, masks: Mapping[str, Tensor] | None) -> Tensor:
        outputs = [x]
        for index, sources in enumerate(self.sources):
            outputs.append(self.apply_layer(index, [outputs[place] for place in sources], masks))
        return outputs[-1]

    def apply_layer(self, index: int, inputs: Sequence[Tensor], masks: Mapping[str, Tensor] | None) -> Tensor:
        """One layer's output for its inputs, with the weights `given`; `sources` names them, 0 being x."""
        path, layer, built = self._layers[index]
        x = inputs[0]
        if isinstance(layer, BatchNorm):
            return built(x, training=masks is not None)
        if len(inputs) > 1:
            return built(list(inputs))
        if self.written_out and isinstance(layer, SimpleRnn | Lstm | Gru | Bidirectional):
            return step_by_step(layer, [weight.value for weight in built.weights], x)
        if built is not None:
            return built(x)
        if masks is not None and layer.rate > 0:
            return x * tf.ensure_shape(masks[path], x.shape)
        return x

    def initial(self) -> Weights:
        """The weights that the layers were built with."""
        return {name: variable.numpy() for name, variable in self._variables.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each weight, by canonical name."""
        return {name: tuple(variable.shape) for name, variable in self._variables.items()}

    def check(self, weights: Weights) -> None:
        """Raise BadShapeError where the weights are not this network's."""
        check_weights(self.shapes, weights)


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
    return network.initial()
