"""Convolutions and poolings: Keras's layers, and written out what Keras has no word or no kernel for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from itertools import product
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from likewise.shared.job.layers.convolution import (
    Convolution,
    DepthwiseConvolution,
    LocallyConnected,
    SeparableConvolution,
    TransposedConvolution,
)
from likewise.shared.job.layers.pooling import AveragePooling, MaxPooling
from likewise.shared.job.layers.windows import Sides, by_axis
from likewise.worker.adapters.base import UnsupportedError

Tensor = Any
Shape = tuple[int, ...]
AnyConvolution = (
    Convolution | DepthwiseConvolution | SeparableConvolution | LocallyConnected | TransposedConvolution
)
Pooling = MaxPooling | AveragePooling

_KERAS = {
    "conv1d": keras.layers.Conv1D,
    "conv2d": keras.layers.Conv2D,
    "conv3d": keras.layers.Conv3D,
    "depthwise_conv1d": keras.layers.DepthwiseConv1D,
    "depthwise_conv2d": keras.layers.DepthwiseConv2D,
    "separable_conv1d": keras.layers.SeparableConv1D,
    "separable_conv2d": keras.layers.SeparableConv2D,
    "conv1d_transpose": keras.layers.Conv1DTranspose,
    "conv2d_transpose": keras.layers.Conv2DTranspose,
    "conv3d_transpose": keras.layers.Conv3DTranspose,
    "max_pooling1d": keras.layers.MaxPooling1D,
    "max_pooling2d": keras.layers.MaxPooling2D,
    "average_pooling1d": keras.layers.AveragePooling1D,
    "average_pooling2d": keras.layers.AveragePooling2D,
}


def convolution(layer: AnyConvolution, shape: Shape, *, initializers: bool, **options: Any) -> Any:
    """Make a convolution for an input of this shape; `initializers` are as in `layers.keras_layer`."""
    if isinstance(layer, LocallyConnected):
        if initializers:
            raise UnsupportedError(
                f"Keras 3 has no {layer.kind}, so that it has no start of its own: use "
                "initial_weights: shared"
            )
        held: Any = OwnWeights(layer, precision=options["dtype"])
        return WrittenOut(layer, shape, held=held, **options)
    words = _initializer_words(layer)
    options |= {} if initializers else dict.fromkeys(words, "zeros")
    options |= {"kernel_size": layer.kernel_size, "data_format": "channels_last"}
    if isinstance(layer, DepthwiseConvolution | SeparableConvolution):
        options["depth_multiplier"] = layer.depth_multiplier
    if not isinstance(layer, DepthwiseConvolution):
        options["filters"] = layer.filters
    if isinstance(layer, Convolution):
        options["groups"] = layer.groups
    if _has_a_kernel(layer):
        return _KERAS[layer.kind](strides=layer.strides, padding=layer.padding, **options)
    # It is never called; with "same" Keras takes any input to build on, padded or not
    padding = "valid" if isinstance(layer, TransposedConvolution) else "same"
    held = _KERAS[layer.kind](padding=padding, **options | {"activation": None})
    return WrittenOut(layer, shape, held=held, **options)


def _initializer_words(layer: AnyConvolution) -> tuple[str, ...]:
    """Return what Keras calls what draws the layer's kernels."""
    if isinstance(layer, SeparableConvolution):
        return "depthwise_initializer", "pointwise_initializer"
    return ("depthwise_initializer" if isinstance(layer, DepthwiseConvolution) else "kernel_initializer",)


def _has_a_kernel(layer: AnyConvolution) -> bool:
    """Return whether TensorFlow computes the layer in one operation, with gradients and on every device."""
    if not isinstance(layer, Convolution | DepthwiseConvolution) or layer.padding not in ("valid", "same"):
        return False
    if set(by_axis(layer.dilation, layer.axes)) != {1} or getattr(layer, "groups", 1) > 1:
        return False
    return isinstance(layer, Convolution) or len(set(layer.steps)) == 1


class OwnWeights:
    """The weights of a layer that Keras has not."""

    def __init__(self, layer: Any, *, precision: str) -> None:
        self._layer, self._precision = layer, precision
        self.weights: list[Any] = []

    def build(self, *shapes: tuple[int | None, ...]) -> None:
        """Make the weights for inputs (batch, *sample)."""
        self.weights = [
            keras.Variable(np.zeros(weight.shape), dtype=self._precision, name=weight.name)
            for weight in self._layer.weights(*(shape[1:] for shape in shapes))
        ]


class WrittenOut:
    """A convolution in other operations, on weights that a layer holds."""

    def __init__(self, layer: AnyConvolution, shape: Shape, *, held: Any, **options: Any) -> None:
        self._layer, self._shape, self._held = layer, shape, held
        self._activation: Callable[[Tensor], Tensor] | None = options["activation"]

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights for inputs (batch, *axes, channels)."""
        self._held.build(shape)

    @property
    def weights(self) -> list[Any]:
        """Return the kernels and the bias of the layer."""
        return self._held.weights  # type: ignore[no-any-return]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the activated convolution of x (b, *axes, channels)."""
        weights = [weight.value for weight in self.weights]
        kernels, biases = (weights[:-1], weights[-1:]) if self._layer.use_bias else (weights, [])
        y = _WRITTEN_OUT[type(self._layer)](self._layer, x, *kernels)
        y = y + biases[0] if biases else y
        return y if self._activation is None else self._activation(y)


def _bordered(x: Tensor, sides: Sides, value: float = 0.0) -> Tensor:
    if not any(map(any, sides)):
        return x
    return tf.pad(x, ((0, 0), *sides, (0, 0)), constant_values=tf.constant(value, x.dtype))


def _with_holes(kernel: Tensor, dilation: Shape) -> Tensor:
    """Return a kernel (*window, …) whose numbers lie as far apart as a dilation says, with zeros between."""
    for axis, apart in enumerate(dilation):
        if apart > 1:
            size = kernel.shape[axis]
            spread = np.zeros(((size - 1) * apart + 1, size))
            spread[np.arange(size) * apart, np.arange(size)] = 1
            axes = list(range(1, len(kernel.shape)))
            wide = tf.tensordot(tf.constant(spread, kernel.dtype), kernel, [[1], [axis]])
            kernel = tf.transpose(wide, (*axes[:axis], 0, *axes[axis:]))
    return kernel


def _grouped(layer: Convolution, x: Tensor, kernel: Tensor) -> Tensor:
    x = _bordered(x, layer.sides(tuple(x.shape[1:])))
    kernel = _with_holes(kernel, by_axis(layer.dilation, layer.axes))
    parts = zip(tf.split(x, layer.groups, -1), tf.split(kernel, layer.groups, -1), strict=True)
    every = [
        tf.nn.convolution(of_x, of_kernel, strides=layer.steps, padding="VALID") for of_x, of_kernel in parts
    ]
    return every[0] if len(every) == 1 else tf.concat(every, axis=-1)


def _by_channel(layer: DepthwiseConvolution | SeparableConvolution, x: Tensor, kernel: Tensor) -> Tensor:
    """TensorFlow's kernel takes two axes, and one stride for both; of others it leaves outputs out."""
    x = _bordered(x, layer.sides(tuple(x.shape[1:])))
    kernel = _with_holes(kernel, by_axis(layer.dilation, layer.axes))
    steps = layer.steps
    if layer.axes == 1:
        x, kernel, steps = x[:, None], kernel[None], steps * 2
    even = len(set(steps)) == 1
    stride = steps[0] if even else 1
    y = tf.nn.depthwise_conv2d(x, kernel, strides=(1, stride, stride, 1), padding="VALID")
    if not even:
        y = y[:, :: steps[0], :: steps[1]]
    return y[:, 0] if layer.axes == 1 else y


def _separable(layer: SeparableConvolution, x: Tensor, depthwise: Tensor, pointwise: Tensor) -> Tensor:
    return tf.nn.convolution(_by_channel(layer, x, depthwise), pointwise, padding="VALID")


def _locally(layer: LocallyConnected, x: Tensor, kernel: Tensor) -> Tensor:
    shape = tuple(x.shape[1:])
    grid = layer.grid(shape)
    x = _bordered(x, layer.sides(shape))
    patches = []
    for begins in product(*map(range, layer.window)):
        places = (
            slice(begin, begin + (count - 1) * step + 1, step)
            for begin, count, step in zip(begins, grid, layer.steps, strict=True)
        )
        patches.append(x[(slice(None), *places)])
    windows = tf.reshape(tf.stack(patches, axis=-2), (-1, *kernel.shape[:2]))
    return tf.reshape(tf.einsum("bpi,pif->bpf", windows, kernel), (-1, *grid, layer.filters))


def _turned_round(layer: TransposedConvolution, x: Tensor, kernel: Tensor) -> Tensor:
    shape = tuple(x.shape[1:])
    places = layer.places(shape)
    least = (
        (size - 1) * step + window
        for size, step, window in zip(shape, layer.steps, layer.window, strict=False)
    )
    whole = [max(begin + count, size) for (begin, count), size in zip(places, least, strict=True)]
    y = tf.nn.conv_transpose(
        x,
        kernel,
        output_shape=tf.stack([tf.shape(x)[0], *whole, layer.filters]),
        strides=layer.steps,
        padding="VALID",
    )
    kept = y[(slice(None), *(slice(begin, begin + count) for begin, count in places))]
    return tf.ensure_shape(kept, (x.shape[0], *(count for _, count in places), layer.filters))


_WRITTEN_OUT: dict[type, Callable[..., Tensor]] = {
    Convolution: _grouped,
    DepthwiseConvolution: _by_channel,
    SeparableConvolution: _separable,
    LocallyConnected: _locally,
    TransposedConvolution: _turned_round,
}


def pooling(layer: Pooling, shape: Shape, *, precision: str) -> Any:
    """Make a pooling of inputs of this shape."""
    average = isinstance(layer, AveragePooling)
    counted = isinstance(layer, AveragePooling) and layer.count_include_pad
    flat = layer.axes < 3
    native = flat and (layer.padding == "valid" or (layer.padding == "same" and not counted))
    built = partial(_plane_by_plane, layer)
    if flat:
        built = _KERAS[layer.kind](
            layer.pool_size,
            strides=layer.strides,
            padding=layer.padding if native else "valid",
            data_format="channels_last",
            dtype=precision,
        )
    sides = layer.sides(shape)
    if native or not any(map(any, sides)):
        return built
    if not average:
        return lambda x: built(_bordered(x, sides, -np.inf))
    if counted:
        return lambda x: built(_bordered(x, sides))
    inside = [
        _inside(size, window, step, before, after)
        for size, window, step, (before, after) in zip(
            shape[:-1], layer.window, layer.steps, sides, strict=True
        )
    ]
    grid = reduce(np.multiply.outer, inside)
    factor = tf.constant((prod(layer.window) / grid)[None, ..., None], precision)
    return lambda x: built(_bordered(x, sides)) * factor


def _plane_by_plane(layer: Pooling, x: Tensor) -> Tensor:
    """Pool whole windows of x (b, depth, height, width, channels), each plane and then along the depth.

    TensorFlow's kernels for three axes know no float64. The first largest of a window stays the first.
    """
    pool = tf.nn.max_pool2d if isinstance(layer, MaxPooling) else tf.nn.avg_pool2d
    _, depth, height, width, channels = x.shape
    (deep, *plane), (down, *across) = layer.window, layer.steps
    x = pool(tf.reshape(x, (-1, height, width, channels)), plane, across, "VALID")
    height, width = x.shape[1:3]
    x = pool(tf.reshape(x, (-1, depth, height * width, channels)), (deep, 1), (down, 1), "VALID")
    return tf.reshape(x, (-1, x.shape[1], height, width, channels))


def channels_first(x: Tensor) -> Tensor:
    """Flatten x so that the channels go slowest: (b, *axes, channels) → (b, numbers)."""
    axes = len(x.shape)
    if axes > 2:
        x = tf.transpose(x, (0, axes - 1, *range(1, axes - 1)))
    return tf.reshape(x, (-1, prod(x.shape[1:])))


def _inside(size: int, window: int, step: int, before: int, after: int) -> Any:
    """Return how much of each window of an axis is not padding."""
    begins = np.arange((size + before + after - window) // step + 1) * step - before
    return np.minimum(begins + window, size) - np.maximum(begins, 0)
