"""How the gap in the loss grows over epochs, in the declared precision and in the float64 twin. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from producer.verdict.models import Comparison, Growth, SideRuns

MOST_EPOCHS = 500
"""The most epochs that are listed; of more, evenly chosen ones."""

EQUAL = 1e-12
"""Float64 losses that differ by no more are equal but for rounding."""
REAL = 1e-9
"""Float64 losses that differ by more are really different, unless training has amplified rounding."""
AMPLIFIED = 1e3
"""Rounding counts as amplified where the gap ends so many times above what adding up could give: as much in
every epoch as in the first."""


def epochs_before_rounding_took_over(runs: Sequence[SideRuns]) -> int | None:
    """For how many first epochs float64's losses were equal, where only rounding may have parted them later.

    None where no losses part, or some part in another way. A real difference jumps from equality to its size
    when it begins to act, or adds up from update to update. Rounding that training amplifies passes through
    every size in between, and ends far above what adding up could give.
    """
    reference, *others = (run.side for run in runs)
    equal_for = []
    for other in others:
        for seed in (one.seed for one in runs[0].seeds):
            gaps = _gaps(_losses(runs, seed, (reference, other)))
            if not len(gaps) or gaps.max() <= REAL:
                continue
            added_up = len(gaps) * max(gaps[:2].max(), np.finfo(np.float64).eps)
            between = np.any((gaps > EQUAL) & (gaps <= REAL))
            if gaps[:2].max() > EQUAL or not between or gaps.max() < AMPLIFIED * added_up:
                return None
            equal_for.append(int(np.argmax(gaps > EQUAL)))
    return min(equal_for, default=None)


def growth(runs: Sequence[SideRuns], twin: Comparison | None) -> tuple[Growth, ...]:
    """The growth of each side's gap on the first seed with losses everywhere; none without a twin."""
    if twin is None:
        return ()
    reference, *others = (run.side for run in runs)
    found = []
    for other in others:
        for seed in (one.seed for one in twin.runs[0].seeds):
            told = [_gaps(_losses(of, seed, (reference, other))) for of in (runs, twin.runs)]
            epochs = min(map(len, told))
            if not epochs:
                continue
            places = np.unique(np.linspace(0, epochs - 1, min(epochs, MOST_EPOCHS)).astype(int))
            declared, in_float64 = (gaps[places].tolist() for gaps in told)
            found.append(
                Growth(
                    other=other,
                    seed=seed,
                    epochs=tuple((places + 1).tolist()),
                    declared=tuple(declared),
                    twin=tuple(in_float64),
                )
            )
            break
    return tuple(found)


def _losses(runs: Sequence[SideRuns], seed: int, sides: tuple[str, str]) -> list[tuple[float, ...]]:
    named = {run.side: run for run in runs}
    return [next((one.losses for one in named[name].seeds if one.seed == seed), ()) for name in sides]


def _gaps(pair: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """|a − b| of each epoch that both have, relative to the reference's first loss."""
    epochs = min(map(len, pair))
    if not epochs:
        return np.empty(0)
    one, two = (np.array(losses[:epochs]) for losses in pair)
    with np.errstate(all="ignore"):
        scale = abs(one[0]) or np.max(np.abs(one)) or 1.0
        apart: NDArray[np.float64] = np.abs(one - two) / scale
    return np.nan_to_num(apart, nan=0.0, posinf=np.finfo(float).max)
