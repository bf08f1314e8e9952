"""Convolutions, over inputs (length, channels) or (height, width, channels).

Convolution is cross-correlation, as in every framework: the kernel is not turned round. Padding is with
zeros:

    valid      none; only whole windows
    same       ⌈size/stride⌉ outputs; in all max((outputs − 1)·stride + kernel − size, 0), the smaller half
               before: TensorFlow's rule for any stride
    symmetric  ⌊kernel/2⌋ before and after, such as PyTorch's padding=1 for a kernel of 3: with a stride
               above 1 it has the shape of `same`, and other windows
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.spec.activations import LINEAR, Activation
from shared.spec.fields import Count, Many
from shared.spec.initializers import FanScaled, Initializer, Zeros
from shared.spec.layers.base import BaseLayer

Pair = Count | Annotated[Many[Count], Field(min_length=2, max_length=2)]
"""(vertical, horizontal), or one number for both."""
Padding = Literal["valid", "same", "symmetric"]


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Both numbers of a Pair."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class _Kernel(BaseLayer):
    activation: Activation = LINEAR
    use_bias: bool = True
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    bias_initializer: Initializer = Zeros(type="zeros")


class _Convolution(_Kernel):
    padding: Padding = "valid"
    """Where windows may stand: `valid` inside; `same` for ⌈size/stride⌉ outputs, with the smaller half of
    the zeros before; `symmetric` with ⌊kernel/2⌋ before and after, PyTorch's padding=1 for a kernel of 3."""


class Conv1D(_Convolution):
    """activation(x * kernel + bias): kernel (size, channels, filters), bias (filters,).

    Its fans are size·channels and size·filters.
    """

    type: Literal["conv1d"]
    filters: Count
    kernel_size: Count
    strides: Count = 1


class Conv2D(_Convolution):
    """activation(x * kernel + bias): kernel (height, width, channels, filters), bias (filters,).

    Its fans are height·width·channels and height·width·filters.
    """

    type: Literal["conv2d"]
    filters: Count
    kernel_size: Pair
    strides: Pair = 1


class DepthwiseConv2D(_Convolution):
    """activation(x * kernel + bias), each channel by itself: kernel (height, width, channels, multiplier).

    Its output has channels·multiplier channels, those of the first channel first, and bias as many. Its fans
    are height·width·channels and height·width·multiplier, as Keras counts them.
    """

    type: Literal["depthwise_conv2d"]
    kernel_size: Pair
    strides: Count = 1
    """For both axes: TensorFlow knows no two."""
    depth_multiplier: Count = 1


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
