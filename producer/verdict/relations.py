"""How one array is another, by a mistake that a port may make: transposed, reordered, scaled. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import number

Array = NDArray[Any]
RELATED = 1e-6
"""Part of the largest element by which related arrays may differ; float32 arrays of one origin are nearer."""
_GATES = (4, 3)
"""An lstm's kernels have four blocks on the last axis, a gru's three."""


def relation(mine: Array, theirs: Array) -> str | None:
    """Return the rest of "the other's is the reference's …"; None where they are equal or nothing fits.

    Arrays are of one tensor, in Keras's layouts. A relation is told only where it holds for every element, to
    RELATED; arrays that any permutation would leave alike (all zeros, one number) have none.
    """
    mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    if mine.size != theirs.size or mine.size < 2 or _same(mine, theirs):
        return None
    return next((said for said, made in _made_of(mine) if _same(made, theirs)), None) or _scaled(mine, theirs)


def ratio(mine: Array, theirs: Array) -> float | None:
    """Return the one number that `theirs` is times `mine`; None where there is none.

    At the first step a gradient of a sum is that of a mean times the elements of the batch.
    """
    if mine.shape != theirs.shape or not np.any(mine):
        return None
    mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    factor = float((mine * theirs).sum() / np.square(mine).sum())
    return factor if factor and _same(factor * mine, theirs) else None


def _made_of(mine: Array) -> Iterator[tuple[str, Array]]:
    """Arrays that mistakes make of one, each with its words."""
    if mine.ndim == 2:
        yield "transposed: inputs and outputs have changed places", mine.T
    if mine.ndim > 2:
        for axes in permutations(range(mine.ndim)):
            yield f"with its axes in the order {axes}: another layout of kernels", mine.transpose(axes)
        window = tuple(range(mine.ndim - 2))
        yield "turned round: a convolution where the other correlates", np.flip(mine, window)
    if mine.ndim in (1, 2):
        yield from _gates(mine)
    if mine.ndim == 2:
        yield from _flattened(mine)
    yield "with the opposite sign", -mine
    yield "in reversed order", np.flip(mine, 0)


def _gates(mine: Array) -> Iterator[tuple[str, Array]]:
    """Yield the blocks of the last axis in other orders."""
    for blocks in _GATES:
        if mine.shape[-1] % blocks:
            continue
        parts = np.split(mine, blocks, axis=-1)
        for order in permutations(range(blocks)):
            if order != tuple(range(blocks)):
                shown = ", ".join(str(place + 1) for place in order)
                yield (
                    f"with its {blocks} gates in the order {shown}: the sides order them differently",
                    np.concatenate([parts[place] for place in order], axis=-1),
                )


def _flattened(mine: Array) -> Iterator[tuple[str, Array]]:
    """Yield the rows as they stand when what was flattened had its channels first, or last."""
    rows = len(mine)
    for channels in range(2, rows // 2 + 1):
        if rows % channels == 0:
            places = mine.reshape(rows // channels, channels, -1)
            yield (
                f"with its rows in the order of {channels} channels first: the flatten before it goes "
                "another way",
                places.transpose(1, 0, 2).reshape(rows, -1),
            )


def _scaled(mine: Array, theirs: Array) -> str | None:
    factor = ratio(mine, theirs) if mine.shape == theirs.shape else None
    return None if factor is None else f"times {number(factor)}"


def _same(one: Array, other: Array) -> bool:
    scale = float(np.max(np.abs(one)))
    return one.shape == other.shape and scale > 0 and bool(np.all(np.abs(one - other) <= RELATED * scale))
