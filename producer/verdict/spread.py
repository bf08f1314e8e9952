"""Numbers over seeds, in one pure function."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from producer.verdict.models import SeedRun, Spread


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean, sample deviation and range of the finite values; None where there are none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    low, high = min(known), max(known)
    mean = min(max(low, _mean(known)), high)
    deviation = _deviation(known, mean)
    return Spread(count=len(known), mean=mean, deviation=deviation, smallest=low, largest=high)


def final_losses(seeds: Sequence[SeedRun]) -> list[float]:
    """The final losses of the seeds that succeeded; if none did, the last known loss of each seed.

    A seed that diverged or was stopped has a last loss, too, which does not say where it would have ended.
    """
    ended = [seed for seed in seeds if seed.status == "succeeded"] or seeds
    return [seed.final_loss for seed in ended if seed.final_loss is not None]


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of at least one number in ascending order, by linear interpolation as in NumPy."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _mean(values: Sequence[float]) -> float:
    """Their mean, even where their sum is beyond float64."""
    size = 2 * len(values)
    return 2 * math.fsum(value / size for value in values)


def _deviation(values: Sequence[float], mean: float) -> float | None:
    if len(values) < 2:
        return None
    scale = max(abs(value - mean) / 2 for value in values)
    if scale in (0, math.inf):
        return None if scale else 0.0
    return 2 * scale * statistics.stdev([(value - mean) / 2 / scale for value in values])
