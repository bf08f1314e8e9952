"""PyTorch's tensors as weights in the common language of `worker.port.contract`, and what holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from likewise.worker.port.contract import OWN, Slot

Array = NDArray[Any]
Turn = Callable[[Array], Array]
Rows = slice | tuple[slice, slice] | EllipsisType


@dataclass(frozen=True, kw_only=True)
class Held:
    """One weight in the common layout: the tensors that it is made of, and the way there and back.

    `back` gives one array for each tensor. Of a sum of tensors the first gets the whole and the others zeros;
    a gradient goes to each.
    """

    tensors: tuple[tuple[str, torch.Tensor], ...]
    there: Callable[[Sequence[Array]], Array]
    back: Turn
    rows: Rows = ...
    """Which rows of the tensors it is, where they hold several weights."""
    transform: str = ""

    @property
    def trainable(self) -> bool:
        """Return whether gradients change it."""
        return any(isinstance(one, nn.Parameter) and one.requires_grad for _, one in self.tensors)

    def read(self) -> Array:
        """Return the weight in the common layout."""
        return self.there([_array(one)[self.rows] for _, one in self.tensors])

    def read_gradient(self) -> Array | None:
        """Return the gradient that lies at the first tensor, in the common layout."""
        first = self.tensors[0][1]
        return None if first.grad is None else self.there([_array(first.grad)[self.rows]])

    def write(self, value: Array) -> None:
        """Replace the tensors' numbers."""
        whole = self.back(value)
        for place, (_, one) in enumerate(self.tensors):
            with torch.no_grad():
                one[self.rows] = _tensor(whole if place == 0 else np.zeros_like(whole), one)

    def write_gradient(self, value: Array, factor: float = 1.0) -> None:
        """Lay a gradient, times a factor, at every tensor."""
        for _, one in self.tensors:
            if one.grad is None:
                one.grad = torch.zeros_like(one)
            one.grad[self.rows] = _tensor(self.back(value), one).mul_(factor)

    def slot(self) -> Slot:
        """Return how it is told."""
        return Slot(
            own=" + ".join(name for name, _ in self.tensors),
            transform=self.transform,
            shape=tuple(self.read().shape),
            trainable=self.trainable,
        )


@dataclass(frozen=True, kw_only=True)
class Known:
    """A module in the common language."""

    kind: str
    settings: dict[str, Any]
    held: dict[str, Held] = field(default_factory=dict)
    enters: Turn = lambda array: array
    """It turns the module's layout into the common one; `leaves` turns it back."""
    leaves: Turn = lambda array: array

    @property
    def tensors(self) -> list[torch.Tensor]:
        """Return the tensors of its weights."""
        return [tensor for held in self.held.values() for _, tensor in held.tensors]

    def without(self, tied: Set[int]) -> Known | None:
        """Return the module without the weights that another one before it holds, by their ids.

        Of one that has no weight left nothing remains: its call is that of a function. What is left of
        another, such as the bias of a tied layer, is a weight of its own.
        """
        rest = {
            name: held
            for name, held in self.held.items()
            if not any(id(tensor) in tied for _, tensor in held.tensors)
        }
        if len(rest) == len(self.held):
            return self
        return replace(self, kind=OWN, settings={}, held=rest) if rest else None


def plain(name: str, tensor: torch.Tensor, *, rows: Rows = ...) -> Held:
    """Return a weight whose layout is the common one."""
    return Held(
        tensors=((name, tensor),), there=lambda arrays: arrays[0], back=lambda array: array, rows=rows
    )


def turned(name: str, tensor: torch.Tensor, axes: Sequence[int], transform: str, *, rows: Rows = ...) -> Held:
    """Return a weight that becomes the common one by an order of its axes."""
    return Held(
        tensors=((name, tensor),),
        there=lambda arrays: arrays[0].transpose(axes),
        back=lambda array: array.transpose(np.argsort(axes)),
        rows=rows,
        transform=transform,
    )


def given(**held: Held | None) -> dict[str, Held]:
    """Return the weights that a module has."""
    return {name: one for name, one in held.items() if one is not None}


def optional(name: str, tensor: torch.Tensor | None) -> Held | None:
    """Return `plain` of a weight that a module may lack."""
    return None if tensor is None else plain(name, tensor)


def _array(tensor: torch.Tensor) -> Array:
    return np.array(tensor.detach().cpu().numpy())


def _tensor(array: Array, like: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(np.array(array, order="C"), dtype=like.dtype, device=like.device)


class Buffers:
    """The buffers of a model, each the tensor that it was at first, though the program may make new ones."""

    def __init__(self, model: nn.Module) -> None:
        self._held = [
            (module, name, tensor)
            for module in model.modules()
            for name, tensor in module._buffers.items()
            if tensor is not None
        ]

    def settle(self) -> None:
        """Lay what a program has put in the place of a buffer into that buffer, and put it back."""
        for module, name, tensor in self._held:
            now = module._buffers.get(name)
            if now is not None and now is not tensor and now.shape == tensor.shape:
                tensor.data.copy_(now)
                module._buffers[name] = tensor
