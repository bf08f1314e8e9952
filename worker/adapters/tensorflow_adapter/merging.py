"""Layers of several inputs, as functions of a layer and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import tensorflow as tf

from likewise.shared.job.layers.merging import Concatenate, Dot, Merge, Stack

Tensor = Any
Tensors = Sequence[Tensor]

_PAIRWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": tf.add,
    "average": tf.add,
    "subtract": tf.subtract,
    "multiply": tf.multiply,
    "maximum": tf.maximum,
    "minimum": tf.minimum,
}


def _merged(layer: Merge, inputs: Tensors) -> Tensor:
    x = reduce(_PAIRWISE[layer.type], inputs)
    return x / tf.constant(len(inputs), x.dtype) if layer.type == "average" else x


def _concatenated(layer: Concatenate, inputs: Tensors) -> Tensor:
    return tf.concat(inputs, axis=layer.axis)


def _stacked(layer: Stack, inputs: Tensors) -> Tensor:
    return tf.stack(inputs, axis=layer.axis)


def _dotted(layer: Dot, inputs: Tensors) -> Tensor:
    shapes = [tuple(x.shape[1:]) for x in inputs]
    if layer.normalize:
        inputs = [_unit(x, place + 1) for x, place in zip(inputs, layer.places(*shapes), strict=True)]
    sums = tf.einsum(layer.equation(*shapes), *inputs)
    return tf.reshape(sums, (-1, *layer.output_shape(*shapes)))


def _unit(x: Tensor, axis: int) -> Tensor:
    squares = tf.reduce_sum(x * x, axis=axis, keepdims=True)
    return x * tf.minimum(tf.math.rsqrt(squares), tf.constant(1e7, x.dtype))


MERGES: dict[str, Callable[[Any, Tensors], Tensor]] = {
    **dict.fromkeys(_PAIRWISE, _merged),
    "concatenate": _concatenated,
    "stack": _stacked,
    "dot": _dotted,
}
"""What each kind of layer that takes several inputs makes of them."""
