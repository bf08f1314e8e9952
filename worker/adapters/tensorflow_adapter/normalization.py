"""Normalizations over axes and groups, prelu, gates and learnt positions: what Keras has otherwise or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from likewise.shared.job.layers.base import LayerWeight
from likewise.shared.job.layers.gates import Glu, Prelu, Swiglu
from likewise.shared.job.layers.normalization import (
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RmsNorm,
    UnitNormalization,
)
from likewise.shared.job.layers.positions import PositionEmbedding
from likewise.shared.job.shape import axis_of
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.tensorflow_adapter.activations import activation_function

Tensor = Any
Shape = tuple[int, ...]


class WeightedFunction:
    """A function of an input and of weights, which Keras variables hold."""

    def __init__(
        self, function: Callable[..., Tensor], declared: Sequence[LayerWeight], *, precision: str
    ) -> None:
        """`declared` are the weights, in the function's order; gammas start at 1 and all others at 0."""
        self._function = function
        self.weights = [
            keras.Variable(np.full(weight.shape, float(weight.name == "gamma")), dtype=precision)
            for weight in declared
        ]
        """The variables, in order."""

    def build(self, *_: Shape) -> None:
        """Do nothing: the weights are there."""

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the function to x and the weights."""
        return self._function(x, *(weight.value for weight in self.weights))


def over_axes(layer: LayerNorm | RmsNorm, shape: Shape, *, precision: str) -> WeightedFunction:
    """Return a normalization over any axes of samples of this shape."""
    places = layer.places(shape)
    axes = [place + 1 for place in places]
    sizes = [size if place in places else 1 for place, size in enumerate(shape)]
    epsilon = tf.constant(layer.epsilon, precision)

    def function(x: Tensor, gamma: Tensor, beta: Tensor = None) -> Tensor:
        if beta is not None:
            x = x - tf.reduce_mean(x, axis=axes, keepdims=True)
        root = tf.math.rsqrt(tf.reduce_mean(x * x, axis=axes, keepdims=True) + epsilon)
        scaled = x * (root * tf.reshape(gamma, sizes))
        return scaled if beta is None else scaled + tf.reshape(beta, sizes)

    return WeightedFunction(function, layer.weights(shape), precision=precision)


def of_unit_length(layer: UnitNormalization, x: Tensor) -> Tensor:
    """Divide the vectors of x (b, *shape) along an axis by their lengths."""
    axis = axis_of(layer.axis, tuple(x.shape[1:])) + 1
    tiny = 2.0**-14 if x.dtype == tf.float16 else 2.0**-126  # the least normal number
    least = tf.constant(max(layer.epsilon**2, tiny), x.dtype)
    return x * tf.math.rsqrt(tf.maximum(tf.reduce_sum(x * x, axis=axis, keepdims=True), least))


def by_group(layer: GroupNorm | InstanceNorm, shape: Shape, *, precision: str) -> WeightedFunction:
    """Return a normalization over groups of channels and all other axes of samples of this shape."""
    groups = layer.count(shape)
    split = [*shape[:-1], groups, shape[-1] // groups]
    axes = [*range(1, len(shape)), len(shape) + 1]
    epsilon = tf.constant(layer.epsilon, precision)

    def function(x: Tensor, gamma: Tensor = None, beta: Tensor = None) -> Tensor:
        grouped = tf.reshape(x, [-1, *split])
        centred = grouped - tf.reduce_mean(grouped, axis=axes, keepdims=True)
        root = tf.math.rsqrt(tf.reduce_mean(centred * centred, axis=axes, keepdims=True) + epsilon)
        even = tf.reshape(centred * root, [-1, *shape])
        return even if gamma is None else even * gamma + beta

    return WeightedFunction(function, layer.weights(shape), precision=precision)


def prelu(layer: Prelu, shape: Shape, *, precision: str) -> WeightedFunction:
    """Return a relu with a learnt slope below 0."""
    return WeightedFunction(
        lambda x, alpha: tf.nn.relu(x) - alpha * tf.nn.relu(-x), layer.weights(shape), precision=precision
    )


def learned_positions(
    layer: PositionEmbedding, shape: Shape, *, precision: str, initializers: bool
) -> WeightedFunction:
    """Return what adds a learnt row to each step. Raises UnsupportedError for a start of Keras's own."""
    if initializers:
        raise UnsupportedError(
            "Keras has no position_embedding, so that it has no start of its own: use initial_weights: shared"
        )
    begin, end = layer.offset, layer.offset + shape[0]
    return WeightedFunction(lambda x, table: x + table[begin:end], layer.weights(shape), precision=precision)


def gate(layer: Glu | Swiglu) -> Callable[[Tensor], Tensor]:
    """Return one half of the features times a function of the other half."""
    function = activation_function(layer.activation)

    def gated(x: Tensor) -> Tensor:
        first, second = tf.split(x, 2, axis=-1)
        return function(first) * second if layer.gate == "first" else first * function(second)

    return gated
