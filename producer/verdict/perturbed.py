"""How far a training carries rounding alone: the float64 twin from a start moved in its last place.

A weight whose gradient is 0 but for rounding, as that of a bias that a batch normalization takes off again,
goes as far as any other where the optimizer divides by the gradient's size. Two sides then part in it, and in
what it enters, though they compute the same. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from likewise.producer.verdict.gaps import Pairs
from likewise.producer.verdict.models import Twin
from likewise.shared.results.seed_table import Float64, SeedTable

AS_FAR = 10.0
"""A gap of up to so many times what a side moves by itself is no evidence: one start is one throw."""


def with_perturbed(twin: Twin, pairs: Pairs, moved: Pairs) -> Twin:
    """Return the twin, equal where all that parts the sides is rounding that training has amplified.

    `pairs` has the twin's tables and `moved` those from the moved start, both in one wording. The losses must
    be equal: where they part, too, nothing shows that the sides compute the same.
    """
    losses = [one for pair in twin.gaps for one in pair.largest if one.measure == "losses"]
    if twin.equal or not all(one.relative is not None and one.relative <= twin.tolerance for one in losses):
        return twin
    names: list[str] = []
    for key, (mine, theirs) in pairs.items():
        if key not in moved:
            return twin
        for name, fine in _tensors((mine, theirs), moved[key], tolerance=twin.tolerance):
            if fine is None:
                return twin
            names += [name] * (not fine)
    return twin.model_copy(update={"equal": True, "amplified": tuple(dict.fromkeys(names))})


def _tensors(
    pair: tuple[SeedTable, SeedTable], moved: tuple[SeedTable, SeedTable], *, tolerance: float
) -> Iterator[tuple[str, bool | None]]:
    """Yield each array's name, and whether it is equal; None where its gap is more than rounding makes."""
    tables = (*pair, *moved)
    if len({one.seeds for one in tables}) > 1 or not all(one.succeeded.all() for one in tables):
        yield "seeds", None
        return
    arrays = [_arrays(one) for one in tables]
    if len({tuple(sorted(one)) for one in arrays}) > 1:
        yield "weights", None
        return
    mine, theirs, mine_moved, theirs_moved = arrays
    weights = max((_size(array) for name, array in mine.items() if name not in _OUTPUTS), default=0.0)
    for name, array in mine.items():
        scale = _size(array) if name in _OUTPUTS else weights
        parted = _apart(array, theirs[name])
        if parted <= tolerance * scale:
            yield name, True
            continue
        own = max(_apart(array, mine_moved[name]), _apart(theirs[name], theirs_moved[name]))
        yield name, False if parted <= AS_FAR * own else None


_OUTPUTS = ("outputs", "predictions")


def _arrays(table: SeedTable) -> dict[str, NDArray[np.generic]]:
    known = {"outputs": table.outputs(), "predictions": table.predictions}
    return {**{name: array for name, array in known.items() if array is not None}, **table.weights()}


def _size(array: NDArray[np.generic]) -> float:
    return float(np.abs(np.asarray(array, np.float64)).max(initial=0.0))


def _apart(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Return the largest difference; infinite where the shapes differ or a number is not finite."""
    if one.shape != other.shape:
        return float("inf")
    difference: Float64 = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return _size(difference) if np.isfinite(difference).all() else float("inf")
