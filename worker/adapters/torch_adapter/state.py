"""The tensors that training changes, by name, as arrays or copies, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from worker.adapters.base import State

Tensor = Any


def named(
    *, weights: Tensor, slots: Mapping[str, Tensor], buffers: Iterable[tuple[str, Tensor]]
) -> dict[str, Tensor]:
    """All that training changes: the parameters in one tensor, the optimizer's slots, the layers' buffers."""
    return {
        "weights": weights,
        **{f"slots.{name}": slot for name, slot in slots.items()},
        **{f"buffers.{name}": buffer for name, buffer in buffers},
    }


def copied(tensors: Mapping[str, Tensor]) -> State:
    """Their values as arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of them, on the same device."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def put_back(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write what `copied` or `cloned` gave into the same tensors: recorded and compiled programs use them."""
    with torch.no_grad():
        for name, tensor in tensors.items():
            value = values[name]
            tensor.copy_(value if torch.is_tensor(value) else torch.tensor(value))
