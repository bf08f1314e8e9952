"""How the gap in the loss grows over epochs, in the declared precision and in the float64 twin. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from producer.verdict.models import Growth
from shared.results.seed_table import Float64, SeedTable

MOST_EPOCHS = 500
"""The most epochs that are listed; of more, evenly chosen ones."""

EQUAL = 1e-12
"""Float64 losses that differ by no more are equal but for rounding."""
REAL = 1e-9
"""Float64 losses that differ by more are really different, unless training has amplified rounding."""
AMPLIFIED = 1e3
"""Rounding counts as amplified where the gap ends so many times above what adding up could give: as much in
every epoch as in the first."""


def epochs_before_rounding_took_over(tables: Mapping[str, SeedTable]) -> int | None:
    """Return for how many first epochs float64's losses were equal, where only rounding parted them later.

    None where no losses part, or some part in another way. A real difference jumps from equality to its size
    when it begins to act, or adds up from update to update. Rounding that training amplifies passes through
    every size in between, and ends far above what adding up could give.
    """
    reference, *others = tables.values()
    equal_for = []
    for other in others:
        gaps = _gaps(reference.losses, other.losses)
        gaps = gaps[np.nanmax(gaps, axis=1, initial=0.0) > REAL]
        if not len(gaps):
            continue
        early, most = np.nanmax(gaps[:, :2], axis=1), np.nanmax(gaps, axis=1)
        added_up = np.isfinite(gaps).sum(axis=1) * np.maximum(early, np.finfo(np.float64).eps)
        between = np.any((gaps > EQUAL) & (gaps <= REAL), axis=1)
        if np.any((early > EQUAL) | ~between | (most < AMPLIFIED * added_up)):
            return None
        equal_for.append(int(np.argmax(gaps > EQUAL, axis=1).min()))
    return min(equal_for, default=None)


def growth(tables: Mapping[str, SeedTable], twin: Mapping[str, SeedTable]) -> tuple[Growth, ...]:
    """Return the growth of each side's gap on the first seed with losses everywhere.

    `twin` has the tables of the float64 twin, or nothing without one.
    """
    if not twin:
        return ()
    reference, *others = tables
    seeds = twin[reference].seeds
    found = []
    for other in others:
        of_declared, of_twin = (
            _gaps(of[reference].only(seeds).losses, of[other].only(seeds).losses) for of in (tables, twin)
        )
        epochs = min(of_declared.shape[1], of_twin.shape[1])
        both = of_declared[:, :epochs] + of_twin[:, :epochs]
        known = np.isfinite(both).sum(axis=1)
        if not known.any():
            continue
        row = int(np.argmax(known > 0))
        places = np.unique(np.linspace(0, known[row] - 1, min(known[row], MOST_EPOCHS)).astype(int))
        found.append(
            Growth(
                other=other,
                seed=seeds[row],
                epochs=tuple((places + 1).tolist()),
                declared=tuple(of_declared[row, places].tolist()),
                twin=tuple(of_twin[row, places].tolist()),
            )
        )
    return tuple(found)


def _gaps(mine: Float64, theirs: Float64) -> Float64:
    """Return |a − b| of each seed and epoch (seeds, epochs), NaN where one has none.

    It is relative to the reference's first loss, or where that is zero to its largest.
    """
    epochs = min(mine.shape[1], theirs.shape[1])
    one, two = mine[:, :epochs], theirs[:, :epochs]
    known = ~(np.isnan(one) | np.isnan(two))
    sizes = np.where(known, np.abs(one), 0.0)
    first = sizes[:, :1] if epochs else np.ones((len(sizes), 1))
    scale = np.where(first > 0, first, sizes.max(axis=1, initial=0.0)[:, None])
    with np.errstate(all="ignore"):
        apart = np.abs(one - two) / np.where(scale > 0, scale, 1.0)
    return np.where(known, np.nan_to_num(apart, nan=0.0, posinf=np.finfo(float).max), np.nan)
