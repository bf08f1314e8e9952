"""Convolution over one, two or three axes: where its windows stand is in `windows`.

Convolution is cross-correlation, as in every framework: the kernel is not turned round. Padding is zeros.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from likewise.shared.job.activations import LINEAR, Activation
from likewise.shared.job.fields import Count, Many
from likewise.shared.job.layers.base import (
    HoldsBias,
    HoldsKernel,
    LayerWeight,
    kernel_and_bias,
    with_activation,
)
from likewise.shared.job.layers.windows import Amount, ByAxis, Padding, Spatial, Windowed, by_axis
from likewise.shared.job.regularizers import Constraint, Regularizer
from likewise.shared.job.shape import Shape, ShapeError
from likewise.shared.job.weights import FanScaled, Initializer, Zeros


class _Affine(HoldsBias):
    convolves: ClassVar[bool] = True

    activation: Activation = LINEAR
    use_bias: bool = True
    bias_initializer: Initializer = Zeros(type="zeros")

    @property
    def last_activation(self) -> str | None:
        return self.activation.type

    @property
    def summary(self) -> str:
        filters = f" {self.__dict__['filters']}" if "filters" in self.__dict__ else ""
        return with_activation(f"{self.kind}{filters}", self.activation.type)


class _WithKernel(_Affine, HoldsKernel):
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")

    def _weights(self, shape: Shape, outputs: int) -> tuple[LayerWeight, ...]:
        initializers = (self.kernel_initializer, self.bias_initializer)
        return kernel_and_bias(shape, outputs, initializers=initializers, use_bias=self.use_bias)


class _Sliding(Windowed):
    kernel_size: ByAxis
    strides: ByAxis = 1
    padding: Padding = "valid"
    """Where windows may stand: `valid` inside; `same` for ⌈size/stride⌉ outputs, with the smaller half of
    the zeros before; `symmetric` with half a window before and after; or the zeros themselves, a number for
    every side, one an axis as PyTorch's padding=(1, 2), or a pair an axis."""

    @property
    def window(self) -> Shape:
        return by_axis(self.kernel_size, self.axes)

    @property
    def steps(self) -> Shape:
        return by_axis(self.strides, self.axes)


class Convolution(_WithKernel, _Sliding):
    """activation(x * kernel + bias): kernel (*kernel_size, channels/groups, filters), bias (filters,).

    Each group of filters sees its own group of channels. The fans are the kernel's last two axes, each times
    the size of the window.
    """

    type: Literal["conv1d", "conv2d", "conv3d"]
    filters: Count
    dilation: ByAxis = 1
    """How far apart the numbers of a window are; Keras's dilation_rate."""
    groups: Count = 1

    @model_validator(mode="after")
    def _has_filters_for_each_group(self) -> Convolution:
        if self.filters % self.groups:
            raise ValueError(f"{self.filters} filters do not divide into {self.groups} groups")
        return self

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        grid = self.grid(shape)
        if shape[-1] % self.groups:
            raise ShapeError(f"gets {shape[-1]} channels, which do not divide into {self.groups} groups")
        return (*grid, self.filters)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        channels = inputs[0][-1] // self.groups
        return self._weights((*self.window, channels, self.filters), self.filters)


class _Depthwise(_Sliding):
    dilation: ByAxis = 1
    """How far apart the numbers of a window are; Keras's dilation_rate."""
    depth_multiplier: Count = 1


class DepthwiseConvolution(_WithKernel, _Depthwise):
    """activation(x * kernel + bias), each channel by itself: kernel (*kernel_size, channels, multiplier).

    Its output has channels·multiplier channels, those of the first channel first, and bias as many. The fans
    are the kernel's last two axes, each times the size of the window, as Keras counts them.
    """

    type: Literal["depthwise_conv1d", "depthwise_conv2d"]

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (*self.grid(shape), shape[-1] * self.depth_multiplier)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        channels = inputs[0][-1]
        kernel = (*self.window, channels, self.depth_multiplier)
        return self._weights(kernel, channels * self.depth_multiplier)


class SeparableConvolution(_Affine, _Depthwise):
    """A depthwise convolution without bias, then one of window 1 over all its channels.

    depthwise_kernel is (*kernel_size, channels, multiplier), pointwise_kernel (1, …, channels·multiplier,
    filters), bias (filters,). Fans are those of the two convolutions.
    """

    type: Literal["separable_conv1d", "separable_conv2d"]
    filters: Count
    depthwise_initializer: Initializer = FanScaled(type="glorot_uniform")
    pointwise_initializer: Initializer = FanScaled(type="glorot_uniform")
    depthwise_regularizer: Regularizer | None = None
    """What the loss adds for the kernel by channel."""
    pointwise_regularizer: Regularizer | None = None
    """What the loss adds for the kernel over channels."""
    depthwise_constraint: Constraint | None = None
    """What the kernel by channel is kept to after each update."""
    pointwise_constraint: Constraint | None = None
    """What the kernel over channels is kept to after each update."""

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (*self.grid(shape), self.filters)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        channels, ones = inputs[0][-1], (1,) * self.axes
        pointwise, *bias = kernel_and_bias(
            (*ones, channels * self.depth_multiplier, self.filters),
            self.filters,
            initializers=(self.pointwise_initializer, self.bias_initializer),
            use_bias=self.use_bias,
        )
        window = prod(self.window)
        depthwise = LayerWeight(
            name="depthwise_kernel",
            shape=(*self.window, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            fan_in=window * channels,
            fan_out=window * self.depth_multiplier,
        )
        return (depthwise, pointwise.renamed("pointwise_kernel"), *bias)


class LocallyConnected(_WithKernel, _Sliding):
    """A convolution whose windows each have a kernel of their own, as in Keras 2.

    kernel is (windows, window·channels, filters), the window's axes before its channels, bias (*windows by
    axis, filters). The fans are window·channels and filters, of one window.
    """

    type: Literal["locally_connected1d", "locally_connected2d"]
    filters: Count

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (*self.grid(shape), self.filters)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        (shape,) = inputs
        grid, inside = self.grid(shape), prod(self.window) * shape[-1]
        initializers = (self.kernel_initializer, self.bias_initializer)
        shapes = {"kernel": (prod(grid), inside, self.filters), "bias": (*grid, self.filters)}
        return tuple(
            LayerWeight(name=name, shape=size, initializer=initializer, fan_in=inside, fan_out=self.filters)
            for (name, size), initializer in zip(shapes.items(), initializers, strict=True)
            if name == "kernel" or self.use_bias
        )

    def uses(self, *inputs: Shape) -> int:
        return 1


class TransposedConvolution(_WithKernel, Spatial):
    """The gradient of a convolution by its input: kernel (*kernel_size, filters, channels), bias (filters,).

    Each input adds its channels' kernels to the outputs from its place times the stride on, of which there
    are (size − 1)·stride + kernel. The fans are the kernel's last two axes, each times the size of the
    window, as Keras counts them.
    """

    type: Literal["conv1d_transpose", "conv2d_transpose", "conv3d_transpose"]
    filters: Count
    kernel_size: ByAxis
    strides: ByAxis = 1
    padding: Literal["valid", "same", "symmetric"] | Amount | Many[Amount] = "valid"
    """What is cut off: `valid` nothing; `same` leaves size·stride outputs, from ⌊(kernel − stride)/2⌋ on, and
    `symmetric` as many from ⌈(kernel − stride)/2⌉ on, as PyTorch's padding=1, output_padding=1 for a kernel
    of 3 and a stride of 2; numbers are cut off both sides of each axis, as PyTorch's padding."""
    output_padding: Amount | Many[Amount] | None = Field(default=None)
    """How many outputs are added at the end, less than a stride; null is what `valid`, `same` and `symmetric`
    ask for, and 0 beside numbers. Beside `same`, Keras counts them from 2·⌊kernel/2⌋ cut off."""

    @property
    def window(self) -> Shape:
        """Return the kernel's size on each axis."""
        return by_axis(self.kernel_size, self.axes)

    @property
    def steps(self) -> Shape:
        """Return how far apart inputs stand in the outputs, on each axis."""
        return by_axis(self.strides, self.axes)

    @model_validator(mode="after")
    def _adds_less_than_a_stride(self) -> TransposedConvolution:
        if self.output_padding is not None:
            for added, step in zip(by_axis(self.output_padding, self.axes), self.steps, strict=True):
                if added >= step and added > 0:
                    raise ValueError(f"output_padding {added} is not below the stride, {step}")
        return self

    def places(self, shape: Shape) -> tuple[tuple[int, int], ...]:
        """Return for each axis which output of the whole comes first, and how many there are."""
        self.need_axes(shape)
        axes = zip(shape, self.window, self.steps, range(self.axes), strict=False)
        found = tuple(self._place(*axis) for axis in axes)
        if any(count < 1 for _, count in found):
            raise ShapeError(f"cuts all outputs of samples of shape {shape} off; use a smaller padding")
        return found

    def _place(self, size: int, window: int, step: int, axis: int) -> tuple[int, int]:
        whole = (size - 1) * step + window
        added = None if self.output_padding is None else by_axis(self.output_padding, self.axes)[axis]
        match self.padding:
            case "valid":
                return 0, whole + (max(step - window, 0) if added is None else added)
            case "same":
                count = size * step if added is None else whole - 2 * (window // 2) + added
                return max(whole - count, 0) // 2, count
            case "symmetric":
                begin = max(window - step + 1, 0) // 2
                return begin, size * step if added is None else whole - 2 * begin + added
            case numbers:
                begin = by_axis(numbers, self.axes)[axis]
                return begin, whole - 2 * begin + (added or 0)

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (*(count for _, count in self.places(shape)), self.filters)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        return self._weights((*self.window, self.filters, inputs[0][-1]), self.filters)

    def uses(self, *inputs: Shape) -> int:
        return prod(count for _, count in self.places(inputs[0]))
