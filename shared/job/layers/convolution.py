"""Convolution and pooling, over inputs (length, channels) or (height, width, channels).

Convolution is cross-correlation, as in every framework: the kernel is not turned round. Pooling takes each
channel by itself. Windows begin at the start of the padded input. Padding is

    valid      none; only whole windows
    same       ⌈size/stride⌉ outputs; in all max((outputs − 1)·stride + kernel − size, 0), the smaller half
               before: TensorFlow's rule for any stride
    symmetric  ⌊kernel/2⌋ before and after, such as PyTorch's padding=1 for a kernel of 3: with a stride
               above 1 it has the shape of `same`, and other windows

A convolution's padding is zeros. In pooling it is never the maximum, and no part of a mean unless
count_include_pad is true. Where several inputs of a window are the largest, the gradient of a max_pooling
goes to the first, that of global_max_pooling to each in equal parts.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from likewise.shared.job.activations import LINEAR, Activation
from likewise.shared.job.fields import Count, Many
from likewise.shared.job.layers.base import (
    BaseLayer,
    LayerWeight,
    LearningLayer,
    kernel_and_bias,
    with_activation,
)
from likewise.shared.job.shape import Shape, ShapeError, need_axes
from likewise.shared.job.weights import FanScaled, Initializer, Zeros

Pair = Count | Annotated[Many[Count], Field(min_length=2, max_length=2)]
"""(vertical, horizontal), or one number for both."""
Padding = Literal["valid", "same", "symmetric"]


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Return both numbers of a Pair."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def windows(size: int, window: int, stride: int, padding: Padding) -> int:
    """Return how many windows an axis has; raise ShapeError where not even one fits."""
    if padding == "same":
        return -(-size // stride)
    if padding == "symmetric":
        return (size + 2 * (window // 2) - window) // stride + 1
    if window > size:
        raise ShapeError(
            f"has a window of {window} over {size} values; use padding: same or a smaller window"
        )
    return (size - window) // stride + 1


def transposed_size(size: int, window: int, stride: int, padding: str) -> int:
    """Return how many outputs an axis of a transposed convolution has."""
    return size * stride + (max(window - stride, 0) if padding == "valid" else 0)


class _Kernel(LearningLayer):
    convolves: ClassVar[bool] = True
    slides_windows: ClassVar[bool] = True

    activation: Activation = LINEAR
    use_bias: bool = True
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    bias_initializer: Initializer = Zeros(type="zeros")

    @property
    def last_activation(self) -> str | None:
        return self.activation.type

    def _weights(self, shape: Shape, outputs: int) -> tuple[LayerWeight, ...]:
        initializers = (self.kernel_initializer, self.bias_initializer)
        return kernel_and_bias(shape, outputs, initializers=initializers, use_bias=self.use_bias)


class _Convolution(_Kernel):
    padding: Padding = "valid"
    """Where windows may stand: `valid` inside; `same` for ⌈size/stride⌉ outputs, with the smaller half of
    the zeros before; `symmetric` with ⌊kernel/2⌋ before and after, PyTorch's padding=1 for a kernel of 3."""

    def _grid(self, shape: Shape, window: int | Shape, strides: int | Shape) -> Shape:
        need_axes(shape, "height, width, channels")
        axes = zip(shape, pair(window), pair(strides), strict=False)
        return tuple(windows(*axis, self.padding) for axis in axes)


class Conv1D(_Convolution):
    """activation(x * kernel + bias): kernel (size, channels, filters), bias (filters,).

    Its fans are size·channels and size·filters.
    """

    type: Literal["conv1d"]
    filters: Count
    kernel_size: Count
    strides: Count = 1

    @property
    def summary(self) -> str:
        return with_activation(f"{self.type} {self.filters}", self.activation.type)

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_axes(shape, "length, channels")
        return (windows(shape[0], self.kernel_size, self.strides, self.padding), self.filters)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        (shape,) = inputs
        return self._weights((self.kernel_size, shape[-1], self.filters), self.filters)


class Conv2D(_Convolution):
    """activation(x * kernel + bias): kernel (height, width, channels, filters), bias (filters,).

    Its fans are height·width·channels and height·width·filters.
    """

    type: Literal["conv2d"]
    filters: Count
    kernel_size: Pair
    strides: Pair = 1

    @property
    def summary(self) -> str:
        return with_activation(f"{self.type} {self.filters}", self.activation.type)

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (*self._grid(shape, self.kernel_size, self.strides), self.filters)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        (shape,) = inputs
        return self._weights((*pair(self.kernel_size), shape[-1], self.filters), self.filters)


class DepthwiseConv2D(_Convolution):
    """activation(x * kernel + bias), each channel by itself: kernel (height, width, channels, multiplier).

    Its output has channels·multiplier channels, those of the first channel first, and bias as many. Its fans
    are height·width·channels and height·width·multiplier, as Keras counts them.
    """

    type: Literal["depthwise_conv2d"]
    kernel_size: Pair
    strides: Count = 1
    """The stride of both axes: TensorFlow knows no two."""
    depth_multiplier: Count = 1

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        grid = self._grid(shape, self.kernel_size, self.strides)
        return (*grid, shape[-1] * self.depth_multiplier)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        channels = inputs[0][-1]
        kernel = (*pair(self.kernel_size), channels, self.depth_multiplier)
        return self._weights(kernel, channels * self.depth_multiplier)


class Conv2DTranspose(_Kernel):
    """The gradient of a conv2d by its input: kernel (height, width, filters, channels), bias (filters,).

    Each input adds its channels' kernels to the outputs from its place times the stride on. Its fans are
    height·width·filters and height·width·channels, as Keras counts them.
    """

    type: Literal["conv2d_transpose"]
    filters: Count
    kernel_size: Pair
    strides: Pair = 1
    padding: Literal["valid", "same"] = "valid"
    """`valid` gives (size − 1)·stride + max(kernel, stride) outputs, `same` size·stride: of the former, those
    from ⌊max(kernel − stride, 0)/2⌋ on. PyTorch's padding=1, output_padding=1 takes others."""

    @property
    def summary(self) -> str:
        return with_activation(f"{self.type} {self.filters}", self.activation.type)

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_axes(shape, "height, width, channels")
        axes = zip(shape, pair(self.kernel_size), pair(self.strides), strict=False)
        return (*(transposed_size(*axis, self.padding) for axis in axes), self.filters)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        (shape,) = inputs
        return self._weights((*pair(self.kernel_size), self.filters, shape[-1]), self.filters)


class _Pooling(BaseLayer):
    slides_windows: ClassVar[bool] = True

    padding: Padding = "valid"

    def _pooled_1d(self, shape: Shape, window: int, strides: int | None) -> Shape:
        need_axes(shape, "length, channels")
        return (windows(shape[0], window, strides or window, self.padding), shape[-1])

    def _pooled_2d(self, shape: Shape, window: int | Shape, strides: int | Shape | None) -> Shape:
        need_axes(shape, "height, width, channels")
        axes = zip(shape, pair(window), pair(strides or window), strict=False)
        return (*(windows(*axis, self.padding) for axis in axes), shape[-1])


class MaxPooling1D(_Pooling):
    """The largest of each window."""

    type: Literal["max_pooling1d"]
    pool_size: Count = 2
    strides: Count | None = None
    """The distance between windows; null is the pool size."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return self._pooled_1d(inputs[0], self.pool_size, self.strides)


class MaxPooling2D(_Pooling):
    """The largest of each window."""

    type: Literal["max_pooling2d"]
    pool_size: Pair = 2
    strides: Pair | None = None
    """The distance between windows; null is the pool size."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return self._pooled_2d(inputs[0], self.pool_size, self.strides)


class _AveragePooling(_Pooling):
    count_include_pad: bool = False
    """Whether padding counts as zeros, so that a sum is divided by the whole window, as in PyTorch."""


class AveragePooling1D(_AveragePooling):
    """The mean of each window."""

    type: Literal["average_pooling1d"]
    pool_size: Count = 2
    strides: Count | None = None
    """The distance between windows; null is the pool size."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return self._pooled_1d(inputs[0], self.pool_size, self.strides)


class AveragePooling2D(_AveragePooling):
    """The mean of each window."""

    type: Literal["average_pooling2d"]
    pool_size: Pair = 2
    strides: Pair | None = None
    """The distance between windows; null is the pool size."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return self._pooled_2d(inputs[0], self.pool_size, self.strides)


class _GlobalPooling(BaseLayer):
    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) not in (2, 3):
            raise ShapeError(f"gets samples of shape {shape}, but needs one or two axes before the channels")
        return shape[-1:]


class GlobalAveragePooling(_GlobalPooling):
    """The mean of each channel over its one or two other axes, without steps that are padding; 0 of none."""

    type: Literal["global_average_pooling"]

    @property
    def minds_padding(self) -> bool:
        return True


class GlobalMaxPooling(_GlobalPooling):
    """The largest of each channel over its one or two other axes."""

    type: Literal["global_max_pooling"]
