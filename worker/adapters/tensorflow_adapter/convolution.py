"""Convolutions and poolings in Keras, and the paddings that Keras has no word for."""

from __future__ import annotations

from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from likewise.shared.job.layers.convolution import (
    AveragePooling1D,
    AveragePooling2D,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    DepthwiseConv2D,
    MaxPooling1D,
    MaxPooling2D,
    Padding,
    pair,
)
from likewise.worker.adapters.common import window_padding

Tensor = Any
Shape = tuple[int, ...]
Convolution = Conv1D | Conv2D | DepthwiseConv2D | Conv2DTranspose
Pooling = MaxPooling1D | MaxPooling2D | AveragePooling1D | AveragePooling2D

_POOLS = {
    MaxPooling1D: keras.layers.MaxPooling1D,
    MaxPooling2D: keras.layers.MaxPooling2D,
    AveragePooling1D: keras.layers.AveragePooling1D,
    AveragePooling2D: keras.layers.AveragePooling2D,
}


_CONVOLUTIONS = {
    Conv1D: keras.layers.Conv1D,
    Conv2D: keras.layers.Conv2D,
    Conv2DTranspose: keras.layers.Conv2DTranspose,
}


def convolution(layer: Convolution, shape: Shape, *, initializers: bool, **options: Any) -> Any:
    """Make a convolution for an input of this shape; `initializers` are as in `layers.keras_layer`."""
    options |= {
        "kernel_size": layer.kernel_size,
        "strides": layer.strides,
        "padding": "valid" if layer.padding == "symmetric" else layer.padding,
        "data_format": "channels_last",
    }
    if isinstance(layer, DepthwiseConv2D):
        zeros = {} if initializers else {"depthwise_initializer": "zeros"}
        built = keras.layers.DepthwiseConv2D(depth_multiplier=layer.depth_multiplier, **zeros, **options)
    else:
        zeros = {} if initializers else {"kernel_initializer": "zeros"}
        built = _CONVOLUTIONS[type(layer)](filters=layer.filters, **zeros, **options)
    if layer.padding != "symmetric":
        return built
    return Padded(built, _padding(layer.padding, layer.kernel_size, layer.strides, shape))


def pooling(layer: Pooling, shape: Shape, *, precision: str) -> Any:
    """Make a pooling of inputs of this shape."""
    average = isinstance(layer, AveragePooling1D | AveragePooling2D)
    counted = isinstance(layer, AveragePooling1D | AveragePooling2D) and layer.count_include_pad
    native = layer.padding == "valid" or (layer.padding == "same" and not counted)
    built = _POOLS[type(layer)](
        layer.pool_size,
        strides=layer.strides,
        padding=layer.padding if native else "valid",
        data_format="channels_last",
        dtype=precision,
    )
    if native:
        return built
    strides = layer.strides or layer.pool_size
    padding = _padding(layer.padding, layer.pool_size, strides, shape)
    if not average:
        return Padded(built, padding, value=-np.inf)
    padded = Padded(built, padding)
    if counted:
        return padded
    whole = _axes(layer.pool_size, shape)
    inside = [
        _inside(size, window, stride, before, after)
        for size, window, stride, (before, after) in zip(
            shape[:-1], whole, _axes(strides, shape), padding, strict=True
        )
    ]
    grid = inside[0] if len(inside) == 1 else np.outer(*inside)
    factor = tf.constant((prod(whole) / grid)[None, ..., None], precision)
    return lambda x: padded(x) * factor


class Padded:
    """A Keras layer, built for its input with a border of one value."""

    def __init__(self, layer: Any, padding: tuple[tuple[int, int], ...], *, value: float = 0.0) -> None:
        self._layer, self._value = layer, value
        self._padding = ((0, 0), *padding, (0, 0))

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights for inputs (batch, *axes, channels)."""
        self._layer.build(
            tuple(
                size and size + before + after
                for size, (before, after) in zip(shape, self._padding, strict=True)
            )
        )

    @property
    def weights(self) -> list[Any]:
        """Return the weights of the layer."""
        return self._layer.weights  # type: ignore[no-any-return]

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the layer to x (b, *axes, channels) within its border."""
        return self._layer(tf.pad(x, self._padding, constant_values=tf.constant(self._value, x.dtype)))


def channels_first(x: Tensor) -> Tensor:
    """Flatten x so that the channels go slowest: (b, *axes, channels) → (b, numbers)."""
    axes = len(x.shape)
    if axes > 2:
        x = tf.transpose(x, (0, axes - 1, *range(1, axes - 1)))
    return tf.reshape(x, (-1, prod(x.shape[1:])))


def _padding(
    kind: Padding, window: int | Shape, strides: int | Shape, shape: Shape
) -> tuple[tuple[int, int], ...]:
    return window_padding(kind, shape[:-1], _axes(window, shape), _axes(strides, shape))


def _axes(value: int | Shape, shape: Shape) -> Shape:
    """Return a window's size or its strides by axis."""
    return pair(value)[: len(shape) - 1]


def _inside(size: int, window: int, stride: int, before: int, after: int) -> Any:
    """Return how much of each window of an axis is not padding."""
    begins = np.arange((size + before + after - window) // stride + 1) * stride - before
    return np.minimum(begins + window, size) - np.maximum(begins, 0)
