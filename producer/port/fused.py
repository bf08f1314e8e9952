"""What one program has as one module and another otherwise: query, key and value, and patches of pictures.

A matrix for query, key and value is three dense layers in the common language, whose outputs lie one behind
the other. A dense layer over flattened patches is a convolution whose windows touch. Both are proved by
values, as every other pair is; another order than the usual one is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import Any

from numpy.typing import NDArray

from likewise.producer.port.exchanged import relative_difference
from likewise.producer.port.mapping import Pair, Seen, WeightMapping

PARTS = ("query", "key", "value")
"""What the thirds of such a matrix are called (see `worker.port.contract`)."""
_AXES = ("rows", "columns", "channels")
_NAMED = re.compile(r"(?:^|[._])(?:w|to_)?(q|k|v|query|key|value)(?:_?(?:proj|dense|layer))?$")


def fused_projections(reference: Sequence[Seen], other: Sequence[Seen]) -> tuple[list[str], list[str]]:
    """Return the paths of either side's dense layers of which the other side has three."""
    return _fused(reference, other), _fused(other, reference)


def _fused(whole: Sequence[Seen], apart: Sequence[Seen]) -> list[str]:
    spare = Counter(_kernels(apart))
    spare.subtract(Counter(_kernels(whole)))
    found = []
    for one in whole:
        shape = one.shape("kernel") or ()
        if one.kind != "dense" or len(shape) != 2 or shape[1] % len(PARTS):
            continue
        third = (shape[0], shape[1] // len(PARTS))
        if spare[shape] < 0 and spare[third] >= len(PARTS):
            spare[third] -= len(PARTS)
            spare[shape] += 1
            found.append(one.path)
    return found


def _kernels(modules: Sequence[Seen]) -> list[tuple[int, ...]]:
    return [one.shape("kernel") or () for one in modules if one.kind == "dense"]


def thirds_exchanged(mapping: WeightMapping, divided: Sequence[str]) -> dict[str, list[Pair]]:
    """Return the pairs of each matrix of which a third has another name in the other program, by its path.

    What a program calls its query is that; so is the first third of a matrix, since its weights come so.
    """
    found: dict[str, list[Pair]] = {}
    for pair in mapping.pairs:
        for one in (pair.reference, pair.other):
            if one.owner in divided:
                found.setdefault(one.owner, []).append(pair)
    return {path: pairs for path, pairs in found.items() if any(map(_is_exchanged, pairs))}


def _is_exchanged(pair: Pair) -> bool:
    names = [_NAMED.search(one.path.lower()) for one in (pair.reference, pair.other)]
    return None not in names and len({one[1][0] for one in names if one is not None}) > 1


def order_of_patches(
    pictures: NDArray[Any], flat: NDArray[Any], window: Sequence[int], tolerance: float
) -> tuple[str, ...] | None:
    """Return in which order patches are flattened, where it is that of no convolution; else None.

    `pictures` are (samples, rows, columns, channels), as they enter a convolution whose windows touch, and
    `flat` the patches of the same pictures, (samples, patches, numbers).
    """
    patches = patches_of(pictures, window)
    if patches is None or patches.size != flat.size:
        return None
    for axes in permutations(range(3)):
        turned = patches.transpose(0, 1, *(2 + axis for axis in axes)).reshape(flat.shape)
        if relative_difference(turned, flat) <= tolerance:
            return None if axes == (0, 1, 2) else tuple(_AXES[axis] for axis in axes)
    return None


def patches_of(pictures: NDArray[Any], window: Sequence[int]) -> NDArray[Any] | None:
    """Return the patches of pictures, (samples, patches, rows, columns, channels); None where none fit."""
    if pictures.ndim != 4 or len(window) != 2:
        return None
    samples, rows, columns, channels = pictures.shape
    high, wide = window
    if rows % high or columns % wide:
        return None
    cut = pictures.reshape(samples, rows // high, high, columns // wide, wide, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(samples, -1, high, wide, channels)
