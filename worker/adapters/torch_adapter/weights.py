"""How weights lie in PyTorch: each in its module, and all trainable ones side by side in one tensor.

Side by side, an update is few operations, not few a weight. Each weight begins at a multiple of 64 bytes, as
if it had been allocated by itself: where a weight lies must not change which instructions a matrix product
picks. The gaps stay at 0 in the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
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
        """Return the values in Keras's layout, maybe a view."""
        return self.to_keras(self.parameter.detach())

    def write(self, values: Any) -> None:
        """Replace the values by an array in Keras's layout."""
        with torch.no_grad():
            self.parameter.copy_(self.to_torch(torch.as_tensor(values.copy())))


def stored(parameter: Tensor, *axes: int) -> Stored:
    """Say how a parameter is stored: its axes are `axes` of Keras's layout, or without any the same."""
    order = axes or tuple(range(parameter.ndim))
    back = tuple(order.index(axis) for axis in range(len(order)))
    return Stored(
        parameter=parameter,
        to_torch=lambda values: values.permute(order),
        to_keras=lambda values: values.permute(back),
    )


def affine_stored(module: Any, *axes: int) -> dict[str, Stored]:
    """Return the kernel and, where there is one, the bias of a module that has a weight and a bias."""
    bias = {} if module.bias is None else {"bias": stored(module.bias)}
    return {"kernel": stored(module.weight, *axes), **bias}


def maker(module: Any, *, initializers: bool) -> Callable[..., Any]:
    """Return the module's constructor, leaving the weights as they lie where `initializers` is false."""
    return module if initializers else _bare(module)


@cache
def _bare(module: Any) -> Callable[..., Any]:
    """Make it start at nothing. `torch.nn.utils.skip_init` takes 0.6 ms a layer for the same."""
    return type("Bare", (module,), {"reset_parameters": lambda _: None})


_ALIGNMENT_BYTES = 64


@dataclass(frozen=True)
class Piece:
    """Where one weight lies: `begin` to `end` on the last axis, and its shape."""

    begin: int
    end: int
    shape: tuple[int, ...]

    def of(self, flat: Tensor) -> Tensor:
        """Return the view of flat (…, size) that is this weight, flattened: (…, end − begin)."""
        return flat[..., self.begin : self.end]

    def shaped(self, flat: Tensor) -> Tensor:
        """Return the view of flat (…, size) that is this weight: (…, *shape)."""
        return self.of(flat).unflatten(-1, self.shape) if self.shape else self.of(flat)[..., 0]


@dataclass(frozen=True)
class Layout:
    """The pieces of a model's weights in one tensor of `size` values."""

    pieces: tuple[Piece, ...]
    size: int

    @classmethod
    def of(cls, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> Layout:
        """Return the weights of these shapes, one after another."""
        unit = _ALIGNMENT_BYTES // dtype.itemsize
        pieces, begin = [], 0
        for shape in shapes:
            end = begin + prod(shape)
            pieces.append(Piece(begin, end, shape))
            begin = -(-end // unit) * unit
        return cls(tuple(pieces), begin)

    def spread(self, numbers: Sequence[float], like: Tensor) -> Tensor:
        """Return a number for each weight over all of its values, and 0 in the gaps: (size,)."""
        flat = like.new_zeros(self.size)
        for piece, number in zip(self.pieces, numbers, strict=True):
            piece.of(flat).fill_(number)
        return flat

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Return each weight's view of flat (…, size)."""
        return [piece.shaped(flat) for piece in self.pieces]

    def flat(self, values: Sequence[Tensor]) -> Tensor:
        """Put values of the pieces' shapes into one new tensor (size,), the gaps at 0."""
        ends = [piece.begin for piece in self.pieces[1:]] + [self.size]
        gaps = [end - piece.end for piece, end in zip(self.pieces, ends, strict=True)]
        return torch.cat(
            [
                part
                for value, gap in zip(values, gaps, strict=True)
                for part in (value.reshape(-1), value.new_zeros(gap))
            ]
        )
