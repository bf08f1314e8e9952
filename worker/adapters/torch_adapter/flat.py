"""All trainable values side by side in one tensor, so that an update is few operations, not few a weight.

Each weight begins at a multiple of 64 bytes, as if it had been allocated by itself: where a weight lies
must not change which instructions a matrix product picks. The gaps stay at 0 in the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

Tensor = Any
_ALIGNMENT_BYTES = 64


@dataclass(frozen=True)
class Piece:
    """Where one weight lies: `begin` to `end` on the last axis, and its shape."""

    begin: int
    end: int
    shape: tuple[int, ...]

    def of(self, flat: Tensor) -> Tensor:
        """The view of flat (…, size) that is this weight, flattened: (…, end − begin)."""
        return flat[..., self.begin : self.end]

    def shaped(self, flat: Tensor) -> Tensor:
        """The view of flat (…, size) that is this weight: (…, *shape)."""
        return self.of(flat).unflatten(-1, self.shape) if self.shape else self.of(flat)[..., 0]


@dataclass(frozen=True)
class Layout:
    """The pieces of a model's weights in one tensor of `size` values."""

    pieces: tuple[Piece, ...]
    size: int

    @classmethod
    def of(cls, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> Layout:
        """The weights of these shapes, one after another."""
        unit = _ALIGNMENT_BYTES // dtype.itemsize
        pieces, begin = [], 0
        for shape in shapes:
            end = begin + prod(shape)
            pieces.append(Piece(begin, end, shape))
            begin = -(-end // unit) * unit
        return cls(tuple(pieces), begin)

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Each weight's view of flat (…, size)."""
        return [piece.shaped(flat) for piece in self.pieces]

    def flat(self, values: Sequence[Tensor]) -> Tensor:
        """Values of the pieces' shapes in one new tensor (size,), the gaps at 0."""
        ends = [piece.begin for piece in self.pieces[1:]] + [self.size]
        gaps = [end - piece.end for piece, end in zip(self.pieces, ends, strict=True)]
        return torch.cat(
            [
                part
                for value, gap in zip(values, gaps, strict=True)
                for part in (value.reshape(-1), value.new_zeros(gap))
            ]
        )
