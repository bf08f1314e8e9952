"""Layers of several inputs, as torch.nn modules without weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import nn

from likewise.shared.job.layers.merging import Dot
from likewise.shared.job.shape import axis_of
from likewise.shared.program import Stage

Tensor = Any


def _maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(x >= y, x, y)  # torch.maximum halves the gradient between equals


def _minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(x <= y, x, y)


_PAIRWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "average": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": _maximum,
    "minimum": _minimum,
}


class Merged(nn.Module):  # type: ignore[misc]
    """Inputs of one shape put together number by number, in their order."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._function = _PAIRWISE[stage.kind]
        self._divisor = len(stage.inputs) if stage.kind == "average" else None

    def forward(self, *inputs: Tensor) -> Tensor:
        """Merge tensors of one shape, or with axes of size 1."""
        merged = reduce(self._function, inputs)
        return merged if self._divisor is None else merged / self._divisor


class SideBySide(nn.Module):  # type: ignore[misc]
    """A concatenation on one axis, or a stack on a new one."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        new = stage.kind == "stack"
        self._join = torch.stack if new else torch.cat
        self._axis = 1 + axis_of(stage.layer.axis, stage.output)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Put tensors side by side."""
        return self._join(inputs, dim=self._axis)


class Dotted(nn.Module):  # type: ignore[misc]
    """Sums of products over an axis of each of two inputs."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        layer: Dot = stage.layer
        self._normalize = layer.normalize
        self._places = layer.places(*stage.inputs)
        self._equation = layer.equation(*stage.inputs)
        self._output = stage.output

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map (b, …, n, …) and (b, …, n, …) to (b, … of the first, … of the second)."""
        if self._normalize:
            inputs = tuple(_unit(x, place + 1) for x, place in zip(inputs, self._places, strict=True))
        return torch.einsum(self._equation, *inputs).reshape(-1, *self._output)


def _unit(x: Tensor, axis: int) -> Tensor:
    squares = (x * x).sum(dim=axis, keepdim=True)
    return x * torch.rsqrt(squares).clamp(max=1e7)


MERGES: dict[str, Callable[..., Any]] = {
    **{kind: lambda stage, **_: Merged(stage) for kind in _PAIRWISE},
    "concatenate": lambda stage, **_: SideBySide(stage),
    "stack": lambda stage, **_: SideBySide(stage),
    "dot": lambda stage, **_: Dotted(stage),
}
"""The module of each kind of stage that takes several inputs."""
