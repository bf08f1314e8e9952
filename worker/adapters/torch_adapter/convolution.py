"""Convolutions and poolings over channels_last inputs, on modules that take the channels first.

The input is seen with its axes permuted, not copied, so that flattening afterwards goes over the numbers
in Keras's order.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it
from torch import nn

from likewise.shared.job.layers.convolution import (
    AveragePooling1D,
    AveragePooling2D,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    DepthwiseConv2D,
    MaxPooling1D,
    MaxPooling2D,
    pair,
)
from likewise.shared.program import Stage
from likewise.worker.adapters.common import window_padding
from likewise.worker.adapters.torch_adapter.activations import activation_function
from likewise.worker.adapters.torch_adapter.weights import Stored, affine_stored, maker

Tensor = Any
Pooling = MaxPooling1D | MaxPooling2D | AveragePooling1D | AveragePooling2D


class Convolution(nn.Module):  # type: ignore[misc]
    """A conv1d or conv2d."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: Conv1D | Conv2D = stage.layer
        shape = stage.inputs[0]
        one_axis = isinstance(layer, Conv1D)
        window = (layer.kernel_size,) if isinstance(layer, Conv1D) else pair(layer.kernel_size)
        strides = (layer.strides,) if isinstance(layer, Conv1D) else pair(layer.strides)
        make = maker(nn.Conv1d if one_axis else nn.Conv2d, initializers=initializers)
        self.convolution = make(
            shape[-1], layer.filters, window, stride=strides, bias=layer.use_bias, **where
        )
        self._padding = _last_first(window_padding(layer.padding, shape[:-1], window, strides))
        self._activation = activation_function(layer.activation)
        # Keras's (…, channels, filters) is PyTorch's (filters, channels, …)
        self.stored = affine_stored(self.convolution, *((2, 1, 0) if one_axis else (3, 2, 0, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated convolution of x (b, *axes, channels)."""
        x = x.movedim(-1, 1)
        if any(self._padding):
            x = F.pad(x, self._padding)
        return self._activation(self.convolution(x).movedim(1, -1))


class DepthwiseConvolution(nn.Module):  # type: ignore[misc]
    """A depthwise_conv2d: a Conv2d with a group for each channel."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: DepthwiseConv2D = stage.layer
        shape = stage.inputs[0]
        window, strides, channels = pair(layer.kernel_size), pair(layer.strides), shape[-1]
        make = maker(nn.Conv2d, initializers=initializers)
        self.convolution = make(
            channels,
            channels * layer.depth_multiplier,
            window,
            stride=strides,
            groups=channels,
            bias=layer.use_bias,
            **where,
        )
        self._padding = _last_first(window_padding(layer.padding, shape[:-1], window, strides))
        self._activation = activation_function(layer.activation)
        # Keras's (…, channels, multiplier) is PyTorch's (channels·multiplier, 1, …)
        kernel = Stored(
            parameter=self.convolution.weight,
            to_torch=lambda values: values.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1),
            to_keras=lambda values: values.squeeze(1).unflatten(0, (channels, -1)).permute(2, 3, 0, 1),
        )
        self.stored = affine_stored(self.convolution) | {"kernel": kernel}

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated convolution of x (b, height, width, channels)."""
        x = x.movedim(-1, 1)
        if any(self._padding):
            x = F.pad(x, self._padding)
        return self._activation(self.convolution(x).movedim(1, -1))


class TransposedConvolution(nn.Module):  # type: ignore[misc]
    """A conv2d_transpose: the outputs that the spec names, cut from PyTorch's without padding."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: Conv2DTranspose = stage.layer
        shape = stage.inputs[0]
        window, self._strides = pair(layer.kernel_size), pair(layer.strides)
        make = maker(nn.ConvTranspose2d, initializers=initializers)
        self.convolution = make(
            shape[-1], layer.filters, window, stride=self._strides, bias=layer.use_bias, **where
        )
        cuts = []
        for size, wanted, width, stride in zip(shape, stage.output, window, self._strides, strict=False):
            before = max(width - stride, 0) // 2 if layer.padding == "same" else 0
            whole = (size - 1) * stride + width
            cuts.append((-before, before + wanted - whole))
        self._cuts = _last_first(tuple(cuts))
        self._activation = activation_function(layer.activation)
        # Keras's (…, filters, channels) is PyTorch's (channels, filters, …)
        self.stored = affine_stored(self.convolution, 3, 2, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated transposed convolution of x (b, height, width, channels)."""
        weight, bias = self.convolution.weight, self.convolution.bias
        x = F.conv_transpose2d(x.movedim(-1, 1), weight, stride=self._strides)
        if any(self._cuts):  # what is negative is cut off; where a stride leaves gaps, the last one is added
            x = F.pad(x, self._cuts)
        x = x.movedim(1, -1)
        return self._activation(x if bias is None else x + bias)


class Pool(nn.Module):  # type: ignore[misc]
    """A max or average pooling; one axis is pooled as two, of which the first has length 1."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        layer: Pooling = stage.layer
        shape = stage.inputs[0]
        self._one_axis = isinstance(layer, MaxPooling1D | AveragePooling1D)
        self._largest = isinstance(layer, MaxPooling1D | MaxPooling2D)
        window, strides = pair(layer.pool_size), pair(layer.strides or layer.pool_size)
        if self._one_axis:
            shape = (1, *shape)
        self._window = (1, window[1]) if self._one_axis else window
        self._strides = (1, strides[1]) if self._one_axis else strides
        self._padding = _last_first(window_padding(layer.padding, shape[:-1], self._window, self._strides))
        # whether a sum is divided by the whole window, and not by what of it lies inside
        self._whole = not any(self._padding) or getattr(layer, "count_include_pad", False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled x (b, *axes, channels)."""
        if self._one_axis:
            x = x.unsqueeze(1)
        x = x.movedim(-1, 1)
        x = (self._maximum(x) if self._largest else self._mean(x)).movedim(1, -1)
        return x.squeeze(1) if self._one_axis else x

    def _maximum(self, x: Tensor) -> Tensor:
        if any(self._padding):
            x = F.pad(x, self._padding, value=float("-inf"))
        return F.max_pool2d(x, self._window, self._strides)

    def _mean(self, x: Tensor) -> Tensor:
        padded = F.pad(x, self._padding) if any(self._padding) else x
        if self._whole:
            return F.avg_pool2d(padded, self._window, self._strides)
        inside = F.pad(torch.ones_like(x[:1, :1]), self._padding)
        return self._sums(padded) / self._sums(inside)

    def _sums(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self._window, self._strides, divisor_override=1)


class GlobalAverage(nn.Module):  # type: ignore[misc]
    """The mean over all axes between the batch and the channels."""

    def forward(self, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Map (b, *axes, channels) to (b, channels), of steps that count."""
        if counted is None:
            return x.flatten(1, -2).mean(dim=1)
        total = torch.where(counted[..., None], x, torch.zeros_like(x)).sum(dim=1)
        return total / counted.sum(dim=1, keepdim=True).clamp(min=1).to(x.dtype)


class GlobalMax(nn.Module):  # type: ignore[misc]
    """The largest over all axes between the batch and the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, *axes, channels) to (b, channels)."""
        return x.flatten(1, -2).amax(dim=1)


def _last_first(padding: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Return what F.pad takes: before and after each axis, the last axis first."""
    return tuple(amount for axis in reversed(padding) for amount in axis)
