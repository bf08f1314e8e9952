"""How the gap in the loss grows over epochs, in the declared precision and in the float64 twin. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from producer.verdict.models import Comparison, FrameworkRuns, Growth

MOST_EPOCHS = 500
"""Told; of more, evenly chosen ones."""

EQUAL = 1e-12
"""Losses so near in float64 are equal but for rounding; beyond REAL it is no rounding of single updates."""
REAL = 1e-9


def from_rounding(found: Sequence[Growth]) -> bool:
    """Whether float64's losses were equal at first and parted little by little, as rounding that grows does.

    A difference of meaning jumps from equality to its size when it begins to act.
    """
    return any(one.twin[0] <= EQUAL and any(EQUAL < gap <= REAL for gap in one.twin) for one in found)


def growth(runs: Sequence[FrameworkRuns], twin: Comparison | None) -> tuple[Growth, ...]:
    """Of each framework against the reference, over the first seed that has losses everywhere."""
    if twin is None:
        return ()
    reference, *others = (run.framework for run in runs)
    found = []
    for other in others:
        for seed in (one.seed for one in twin.runs[0].seeds):
            told = [_losses(of, seed, (reference, other)) for of in (runs, twin.runs)]
            epochs = min((len(losses) for pair in told for losses in pair), default=0)
            if not epochs:
                continue
            places = np.unique(np.linspace(0, epochs - 1, min(epochs, MOST_EPOCHS)).astype(int))
            declared, in_float64 = (_gaps(pair, epochs)[places].tolist() for pair in told)
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


def _losses(runs: Sequence[FrameworkRuns], seed: int, frameworks: tuple[str, str]) -> list[tuple[float, ...]]:
    named = {run.framework: run for run in runs}
    return [next((one.losses for one in named[name].seeds if one.seed == seed), ()) for name in frameworks]


def _gaps(pair: Sequence[Sequence[float]], epochs: int) -> NDArray[np.float64]:
    """|a − b| of each epoch, relative to the reference's first loss."""
    one, two = (np.array(losses[:epochs]) for losses in pair)
    with np.errstate(all="ignore"):
        scale = abs(one[0]) or np.max(np.abs(one)) or 1.0
        apart: NDArray[np.float64] = np.abs(one - two) / scale
    return np.nan_to_num(apart, nan=0.0, posinf=np.finfo(float).max)
