"""How a weight is stored in a torch.nn module, and the ways to and from Keras's layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

Tensor = Any


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A parameter or buffer and the ways from Keras's layout to PyTorch's and back."""

    parameter: Tensor
    to_torch: Callable[[Tensor], Tensor]
    to_keras: Callable[[Tensor], Tensor]

    def read(self) -> Tensor:
        """The values in Keras's layout, maybe a view."""
        return self.to_keras(self.parameter.detach())

    def write(self, values: Any) -> None:
        """Replace the values by an array in Keras's layout."""
        with torch.no_grad():
            self.parameter.copy_(self.to_torch(torch.as_tensor(values.copy())))


def stored(parameter: Tensor, *axes: int) -> Stored:
    """A parameter whose axes are `axes` of Keras's layout; without axes the layouts are the same."""
    order = axes or tuple(range(parameter.ndim))
    back = tuple(order.index(axis) for axis in range(len(order)))
    return Stored(
        parameter=parameter,
        to_torch=lambda values: values.permute(order),
        to_keras=lambda values: values.permute(back),
    )


def affine_stored(module: Any, *axes: int) -> dict[str, Stored]:
    """The kernel and, where there is one, the bias of a module that has a weight and a bias."""
    bias = {} if module.bias is None else {"bias": stored(module.bias)}
    return {"kernel": stored(module.weight, *axes), **bias}


def maker(module: Any, *, initializers: bool) -> Callable[..., Any]:
    """The module's constructor, leaving the weights as they lie where `initializers` is false."""
    return module if initializers else _bare(module)


@cache
def _bare(module: Any) -> Callable[..., Any]:
    """The module without initializers. `torch.nn.utils.skip_init` takes 0.6 ms a layer for the same."""
    return type("Bare", (module,), {"reset_parameters": lambda _: None})
