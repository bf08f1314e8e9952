"""A share of a mean gap over seeds, with the interval that the seeds leave open. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A share and its interval; no interval where one seed leaves it unknown."""

    value: float
    interval: tuple[float, float] | None


def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Estimate | None:
    """mean(part) / mean(whole) over seeds with its 95 % interval; None where the whole is 0.

    The ratio estimator (Cochran 1977, Sampling Techniques, 6.4): residuals part − ratio·whole, Student's t
    with one degree of freedom fewer than seeds. Seeds that all give the same leave an interval of width 0.
    """
    if not whole.any():
        return None
    ratio = float(part.mean() / whole.mean())
    seeds = len(whole)
    if seeds < 2:
        return Estimate(value=ratio, interval=None)
    residuals = part - ratio * whole
    error = sqrt(float(np.square(residuals).sum()) / (seeds - 1) / seeds) / float(whole.mean())
    reach = error * _t(seeds - 1)
    return Estimate(value=ratio, interval=(ratio - reach, ratio + reach))


def _t(freedom: int) -> float:
    """The quantile of Student's distribution that leaves the level between minus and plus it."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + LEVEL / 2))
