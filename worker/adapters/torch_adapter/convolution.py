"""Convolutions and poolings over channels_last inputs, on modules that take the channels first.

The input is seen with its axes permuted, not copied, so that flattening afterwards goes over the numbers
in Keras's order.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it
from torch import nn

from likewise.shared.job.layers.convolution import (
    Convolution,
    DepthwiseConvolution,
    LocallyConnected,
    SeparableConvolution,
    TransposedConvolution,
)
from likewise.shared.job.layers.pooling import AveragePooling, MaxPooling
from likewise.shared.job.layers.windows import Sides, by_axis
from likewise.shared.program import Stage
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.torch_adapter.activations import activation_function
from likewise.worker.adapters.torch_adapter.weights import Stored, affine_stored, maker, stored

Tensor = Any

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {
    1: (nn.ConvTranspose1d, F.conv_transpose1d),
    2: (nn.ConvTranspose2d, F.conv_transpose2d),
    3: (nn.ConvTranspose3d, F.conv_transpose3d),
}


def _channels_first(axes: int) -> tuple[int, ...]:
    """Return where the axes of PyTorch's kernels, (filters, channels, …), are in Keras's."""
    return (axes + 1, axes, *range(axes))


class Convolved(nn.Module):  # type: ignore[misc]
    """A convolution over one to three axes."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: Convolution = stage.layer
        shape = stage.inputs[0]
        make = maker(_CONVOLUTIONS[layer.axes], initializers=initializers)
        self.convolution = make(
            shape[-1],
            layer.filters,
            layer.window,
            stride=layer.steps,
            padding=_on_both_sides(layer.sides(shape)),
            dilation=by_axis(layer.dilation, layer.axes),
            groups=layer.groups,
            bias=layer.use_bias,
            **where,
        )
        self._padding = _uneven(layer.sides(shape))
        self._activation = activation_function(layer.activation)
        self.stored = affine_stored(self.convolution, *_channels_first(layer.axes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated convolution of x (b, *axes, channels)."""
        x = _bordered(x.movedim(-1, 1), self._padding)
        return self._activation(self.convolution(x).movedim(1, -1))


class ConvolvedByChannel(nn.Module):  # type: ignore[misc]
    """A depthwise convolution: one with a group for each channel; a separable one goes on pointwise."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: DepthwiseConvolution | SeparableConvolution = stage.layer
        shape, axes = stage.inputs[0], layer.axes
        channels = shape[-1]
        separable = isinstance(layer, SeparableConvolution)
        make = maker(_CONVOLUTIONS[axes], initializers=initializers)
        self.depthwise = make(
            channels,
            channels * layer.depth_multiplier,
            layer.window,
            stride=layer.steps,
            padding=_on_both_sides(layer.sides(shape)),
            dilation=by_axis(layer.dilation, axes),
            groups=channels,
            bias=layer.use_bias and not separable,
            **where,
        )
        self._padding = _uneven(layer.sides(shape))
        self._activation = activation_function(layer.activation)
        # Keras's (…, channels, multiplier) is PyTorch's (channels·multiplier, 1, …)
        kernel = Stored(
            parameter=self.depthwise.weight,
            to_torch=lambda values: values.permute(axes, axes + 1, *range(axes)).flatten(0, 1).unsqueeze(1),
            to_keras=lambda values: (
                values.squeeze(1).unflatten(0, (channels, -1)).permute(*range(2, axes + 2), 0, 1)
            ),
        )
        if isinstance(layer, SeparableConvolution):
            inside = channels * layer.depth_multiplier
            self.pointwise = make(inside, layer.filters, (1,) * axes, bias=layer.use_bias, **where)
            pointwise = affine_stored(self.pointwise, *_channels_first(axes))
            self.stored = {
                "depthwise_kernel": kernel,
                "pointwise_kernel": pointwise.pop("kernel"),
                **pointwise,
            }
        else:
            self.pointwise = nn.Identity()
            self.stored = affine_stored(self.depthwise) | {"kernel": kernel}

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated convolution of x (b, *axes, channels)."""
        x = _bordered(x.movedim(-1, 1), self._padding)
        return self._activation(self.pointwise(self.depthwise(x)).movedim(1, -1))


class LocallyConvolved(nn.Module):  # type: ignore[misc]
    """A locally connected layer, on a kernel as Keras has it."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        if initializers:
            raise UnsupportedError(
                f"PyTorch has no {stage.kind}, so that it has no start of its own: "
                "use initial_weights: shared"
            )
        self._layer: LocallyConnected = stage.layer
        shape = stage.inputs[0]
        self._grid = self._layer.grid(shape)
        self._padding = _last_first(self._layer.sides(shape))
        self._activation = activation_function(self._layer.activation)
        self.stored = {}
        for weight in stage.weights:
            parameter = nn.Parameter(torch.zeros(weight.shape, **where))
            self.register_parameter(weight.own_name, parameter)
            self.stored[weight.own_name] = stored(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated products of the windows of x (b, *axes, channels), each with its kernel."""
        x = _bordered(x.movedim(-1, 1), self._padding).movedim(1, -1)
        patches = []
        for begins in product(*map(range, self._layer.window)):
            places = (
                slice(begin, begin + (count - 1) * step + 1, step)
                for begin, count, step in zip(begins, self._grid, self._layer.steps, strict=True)
            )
            patches.append(x[(slice(None), *places)])
        windows = torch.stack(patches, dim=-2).reshape(len(x), *self.kernel.shape[:2])
        y = torch.einsum("bpi,pif->bpf", windows, self.kernel).unflatten(1, self._grid)
        return self._activation(y + self.bias if self._layer.use_bias else y)


class TurnedRound(nn.Module):  # type: ignore[misc]
    """A transposed convolution: the outputs that the rule names, cut from PyTorch's without padding."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: TransposedConvolution = stage.layer
        shape = stage.inputs[0]
        module, self._function = _TRANSPOSED[layer.axes]
        make = maker(module, initializers=initializers)
        self._steps = layer.steps
        self.convolution = make(
            shape[-1], layer.filters, layer.window, stride=self._steps, bias=layer.use_bias, **where
        )
        wholes = (
            (size - 1) * step + window
            for size, step, window in zip(shape, layer.steps, layer.window, strict=False)
        )
        cuts = (
            (-begin, begin + count - whole)
            for (begin, count), whole in zip(layer.places(shape), wholes, strict=True)
        )
        self._cuts = _last_first(tuple(cuts))
        self._activation = activation_function(layer.activation)
        # Keras's (…, filters, channels) is PyTorch's (channels, filters, …)
        self.stored = affine_stored(self.convolution, *_channels_first(layer.axes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated transposed convolution of x (b, *axes, channels)."""
        weight, bias = self.convolution.weight, self.convolution.bias
        x = self._function(x.movedim(-1, 1), weight, stride=self._steps)
        # what is negative is cut off; what is added at the end has met no input
        x = _bordered(x, self._cuts).movedim(1, -1)
        return self._activation(x if bias is None else x + bias)


class Pool(nn.Module):  # type: ignore[misc]
    """A max or average pooling; one axis is pooled as two, of which the first has length 1."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        layer: MaxPooling | AveragePooling = stage.layer
        self._one_axis = layer.axes == 1
        self._largest = isinstance(layer, MaxPooling)
        first = (1,) if self._one_axis else ()
        self._window, self._strides = (*first, *layer.window), (*first, *layer.steps)
        self._padding = _last_first(((0, 0),) * self._one_axis + layer.sides(stage.inputs[0]))
        flat = layer.axes < 3
        self._max = F.max_pool2d if flat else F.max_pool3d
        self._average = F.avg_pool2d if flat else F.avg_pool3d
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
        return self._max(_bordered(x, self._padding, -torch.inf), self._window, self._strides)

    def _mean(self, x: Tensor) -> Tensor:
        padded = _bordered(x, self._padding)
        if self._whole:
            return self._average(padded, self._window, self._strides)
        inside = F.pad(torch.ones_like(x[:1, :1]), self._padding)
        return self._sums(padded) / self._sums(inside)

    def _sums(self, x: Tensor) -> Tensor:
        return self._average(x, self._window, self._strides, divisor_override=1)


class GlobalPool(nn.Module):  # type: ignore[misc]
    """The mean or the largest over all axes between the batch and the channels."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._function = torch.mean if stage.kind == "global_average_pooling" else torch.amax

    def forward(self, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Map (b, *axes, channels) to (b, channels); a mean is of the steps that count."""
        if counted is None:
            return self._function(x.flatten(1, -2), dim=1)
        total = torch.where(counted[..., None], x, torch.zeros_like(x)).sum(dim=1)
        return total / counted.sum(dim=1, keepdim=True).clamp(min=1).to(x.dtype)


def _bordered(x: Tensor, padding: tuple[int, ...], value: float = 0.0) -> Tensor:
    return F.pad(x, padding, value=value) if any(padding) else x


def _on_both_sides(sides: Sides) -> tuple[int, ...]:
    """Return the padding of each axis that PyTorch's convolution adds by itself: as much after as before."""
    return tuple(min(before, after) for before, after in sides)


def _uneven(sides: Sides) -> tuple[int, ...]:
    """Return what is left of the padding, as F.pad takes it."""
    even = _on_both_sides(sides)
    return _last_first(tuple((b - each, a - each) for (b, a), each in zip(sides, even, strict=True)))


def _last_first(sides: Sides) -> tuple[int, ...]:
    """Return what F.pad takes: before and after each axis, the last axis first."""
    return tuple(amount for axis in reversed(sides) for amount in axis)


WINDOWS: dict[str, Callable[..., Any]] = {
    **{f"conv{axes}d": Convolved for axes in (1, 2, 3)},
    **{f"{word}_conv{axes}d": ConvolvedByChannel for word in ("depthwise", "separable") for axes in (1, 2)},
    **{f"locally_connected{axes}d": LocallyConvolved for axes in (1, 2)},
    **{f"conv{axes}d_transpose": TurnedRound for axes in (1, 2, 3)},
    **{
        f"{word}_pooling{axes}d": lambda stage, **_: Pool(stage)
        for word in ("max", "average")
        for axes in (1, 2, 3)
    },
    "global_average_pooling": lambda stage, **_: GlobalPool(stage),
    "global_max_pooling": lambda stage, **_: GlobalPool(stage),
}
"""The module of each kind of stage that has windows."""
