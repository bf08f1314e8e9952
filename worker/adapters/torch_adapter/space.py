"""Zero padding, cropping and upsampling over channels_last inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it
from torch import nn

from likewise.shared.job.layers.space import Cropping, Upsampling, ZeroPadding
from likewise.shared.job.layers.windows import by_axis, by_side
from likewise.shared.program import Stage
from likewise.worker.adapters.common import interpolation_weights

Tensor = Any


class Bordered(nn.Module):  # type: ignore[misc]
    """A zero_padding, or a cropping, which is one by negative amounts."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        layer: ZeroPadding | Cropping = stage.layer
        sign, amounts = (1, layer.padding) if isinstance(layer, ZeroPadding) else (-1, layer.cropping)
        sides = ((0, 0), *reversed(by_side(amounts, layer.axes)))  # what F.pad takes: the last axis first
        self._amounts = tuple(sign * amount for axis in sides for amount in axis)

    def forward(self, x: Tensor) -> Tensor:
        """Put zeros around x (b, *axes, channels), or cut its border off."""
        return F.pad(x, self._amounts)


class Upsampled(nn.Module):  # type: ignore[misc]
    """An upsampling, axis after axis; a linear one is a product with each axis's weights."""

    def __init__(self, stage: Stage, *, dtype: Any, device: str) -> None:
        super().__init__()
        layer: Upsampling = stage.layer
        self._factors = by_axis(layer.size, layer.axes)
        self._weights = [
            torch.tensor(
                interpolation_weights(size, factor, align_corners=layer.align_corners),
                dtype=dtype,
                device=device,
            )
            for size, factor in zip(stage.inputs[0], self._factors, strict=False)
            if layer.is_linear
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, *axes, channels) to the same with longer axes."""
        if not self._weights:
            for axis, factor in enumerate(self._factors, start=1):
                x = x.repeat_interleave(factor, dim=axis)
            return x
        for axis, weights in enumerate(self._weights, start=1):
            x = torch.tensordot(x, weights, dims=([axis], [1])).movedim(-1, axis)
        return x


SPACES: dict[str, Callable[..., Any]] = {
    **{
        f"{word}{axes}d": lambda stage, **_: Bordered(stage)
        for word in ("zero_padding", "cropping")
        for axes in (1, 2, 3)
    },
    **{
        f"upsampling{axes}d": lambda stage, dtype, device, **_: Upsampled(stage, dtype=dtype, device=device)
        for axes in (1, 2, 3)
    },
}
"""The module of each kind of stage that changes the axes before the channels."""
