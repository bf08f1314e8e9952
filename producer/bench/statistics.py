"""Medians with intervals that assume no distribution, outliers, ratios of paired samples. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from producer.bench.models import Interval

CONFIDENCE = 0.95
OUTLIER = 3.5
"""Deviations from the median, by the median absolute deviation (Iglewicz & Hoaglin 1993)."""
_MAD_OF_NORMAL = 0.6745


def median_interval(samples: Sequence[float]) -> Interval | None:
    """The shortest symmetric pair of order statistics that holds the median with CONFIDENCE.

    The number of samples below the median is binomial, with ½ (Le Boudec 2010, theorem 2.1): no
    distribution is assumed. None for fewer than 6 samples, whose extremes are not enough.
    """
    ordered, n = sorted(samples), len(samples)
    outside, below = 0.0, -1
    while outside + math.comb(n, below + 1) / 2**n <= (1 - CONFIDENCE) / 2:
        below += 1
        outside += math.comb(n, below) / 2**n
    return None if below < 0 else (ordered[below], ordered[n - 1 - below])


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
