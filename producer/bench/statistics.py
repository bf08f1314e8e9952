"""Medians with intervals that assume no distribution, outliers, ratios of paired samples. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from producer.bench.models import Interval

CONFIDENCE = 0.95
OUTLIER = 3.5
"""Deviations from the median, by the median absolute deviation (Iglewicz & Hoaglin 1993)."""
MANY = 1_000
"""Samples from which the binomial is as good as normal, and slow to add up."""
_HALF_WIDTH_OF_NORMAL = 0.98
_MAD_OF_NORMAL = 0.6745


def median_interval(samples: Sequence[float]) -> Interval | None:
    """The shortest symmetric pair of order statistics that holds the median with CONFIDENCE.

    The number of samples below the median is binomial, with ½ (Le Boudec 2010, theorem 2.1): no
    distribution is assumed. None for fewer than 6 samples, whose extremes are not enough.
    """
    ordered, n = sorted(samples), len(samples)
    below = _below_the_interval(n)
    return None if below < 0 else (ordered[below], ordered[n - 1 - below])


@lru_cache
def _below_the_interval(n: int) -> int:
    """The place of its lower end among n ordered samples; -1 if even the extremes are not far enough out."""
    if n > MANY:
        return math.floor(n / 2 - _HALF_WIDTH_OF_NORMAL * math.sqrt(n)) - 1
    most_outside = (1 - Fraction(str(CONFIDENCE))) / 2 * 2**n
    outside, ways, below = 0, 1, -1  # ways to choose which below + 1 of the samples are under the median
    while outside + ways <= most_outside:
        outside, below = outside + ways, below + 1
        ways = ways * (n - below) // (below + 1)
    return below


def relative_width(samples: Sequence[float]) -> float:
    """Half the interval by the median; infinite while there is no interval."""
    interval, middle = median_interval(samples), statistics.median(samples)
    if interval is None:
        return math.inf
    return (interval[1] - interval[0]) / 2 / middle if middle else 0.0


def outliers(samples: Sequence[float]) -> int:
    """Samples whose modified z-score is above OUTLIER."""
    middle = statistics.median(samples)
    deviation = statistics.median(abs(value - middle) for value in samples)
    if not deviation:
        return 0
    return sum(_MAD_OF_NORMAL * abs(value - middle) / deviation > OUTLIER for value in samples)


def paired_ratio(samples: Sequence[float], reference: Sequence[float]) -> tuple[float, Interval | None]:
    """The median of sample by sample ratios with its interval: what troubled both alike cancels."""
    ratios = [mine / theirs for mine, theirs in zip(samples, reference, strict=True)]
    return statistics.median(ratios), median_interval(ratios)
