"""How much of a gap each setting that differs accounts for. Pure.

`design` says which mixtures of the two jobs to train, `parts` what each factor closes of the gap by the gaps
that the mixtures leave, and `share` turns a part into a share with its interval over seeds. A mixture is the
set of factors, by their places, that have the reference's value.

With v(S) the gap that is left when the factors of S have the reference's value, a factor i closes
v(S) − v(S ∪ {i}) when it is switched after S. Its part is Shapley's value (1953): the mean of that over all
orders in which the factors can be switched, so that the parts add up to v(nothing) − v(everything). The
orders are not walked. The step from S to S ∪ {i} counts as often as there are orders through it: the number
of ways from nothing to S, times the number of ways from S ∪ {i} to everything. Ways that pass through a
mixture which could not be trained do not count; what is left still adds up (Faigle & Kern 1992). Of many
factors only the ends of the orders are trained: a part is then the mean of switched first and switched last,
the sum set right in proportion to the parts' sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import factorial, sqrt
from typing import Literal

import numpy as np

from likewise.shared.results.seed_table import Float64

MOST_COMBINED = 4
"""Up to so many factors every combination is trained: 16 mixtures for 4."""
LEVEL = 0.95
"""The confidence of an interval."""

Mixture = frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Design:
    """It lists the mixtures to train, from nothing switched to everything switched."""

    kind: Literal["combinations", "ends"]
    factors: int
    mixtures: tuple[Mixture, ...]


def design(factors: int, *, most_combined: int = MOST_COMBINED) -> Design:
    """Choose every combination of few factors; of more, each alone switched and each alone kept."""
    if factors <= most_combined:
        return Design(
            kind="combinations", factors=factors, mixtures=tuple(_mixtures(factors, range(factors + 1)))
        )
    ends = (0, 1, factors - 1, factors)
    return Design(kind="ends", factors=factors, mixtures=tuple(_mixtures(factors, ends)))


def _mixtures(factors: int, sizes: Iterable[int]) -> Iterator[Mixture]:
    """Yield the mixtures in which so many factors are switched, the sizes in their order."""
    for size in sizes:
        yield from map(frozenset, combinations(range(factors), size))


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """It says what each factor closes of the gap, by seed; None where its mixtures could not be trained."""

    whole: Float64
    """The gap with nothing switched."""
    closed: tuple[Float64 | None, ...]
    left: Float64 | None
    """The gap with everything switched."""
    orders_left_out: int = 0


def parts(design: Design, gaps: Mapping[Mixture, Float64]) -> Parts | None:
    """Compute the part of each factor.

    Args:
        design: The mixtures that were planned.
        gaps: The gap, float64 (seeds,), of each mixture that could be trained.

    Returns:
        The parts, or None where the gap itself is not known.
    """
    whole, left = gaps.get(frozenset()), gaps.get(frozenset(range(design.factors)))
    if whole is None:
        return None
    if design.kind == "ends":
        return Parts(whole=whole, closed=_by_ends(design.factors, gaps), left=left)
    factors = design.factors
    before, after = _ways_from_nothing(factors, gaps), _ways_to_everything(factors, gaps)
    orders = after[frozenset()]
    closed = [np.zeros_like(whole) for _ in range(factors)]
    for mixture in _mixtures(factors, range(factors)):
        for factor in set(range(factors)) - mixture:
            through = before[mixture] * after[mixture | {factor}]
            if through:
                closed[factor] += (gaps[mixture] - gaps[mixture | {factor}]) * (through / orders)
    return Parts(
        whole=whole,
        closed=tuple(closed) if orders else (None,) * factors,
        left=left,
        orders_left_out=factorial(factors) - orders,
    )


def _ways_from_nothing(factors: int, known: Mapping[Mixture, Float64]) -> dict[Mixture, int]:
    """Count the orders of switching that lead to each mixture through known ones alone."""
    ways: dict[Mixture, int] = {}
    for mixture in _mixtures(factors, range(factors + 1)):
        came = sum(ways[mixture - {factor}] for factor in mixture) if mixture else 1
        ways[mixture] = came if mixture in known else 0
    return ways


def _ways_to_everything(factors: int, known: Mapping[Mixture, Float64]) -> dict[Mixture, int]:
    """Count the orders of switching that lead from each mixture to the end through known ones alone."""
    everything = frozenset(range(factors))
    ways: dict[Mixture, int] = {}
    for mixture in _mixtures(factors, range(factors, -1, -1)):
        rest = everything - mixture
        goes = sum(ways[mixture | {factor}] for factor in rest) if rest else 1
        ways[mixture] = goes if mixture in known else 0
    return ways


def _by_ends(factors: int, gaps: Mapping[Mixture, Float64]) -> tuple[Float64 | None, ...]:
    everything = frozenset(range(factors))
    closed = []
    for factor in range(factors):
        ends = [
            gaps[before] - gaps[after]
            for before, after in (
                (frozenset[int](), frozenset({factor})),
                (everything - {factor}, everything),
            )
            if before in gaps and after in gaps
        ]
        closed.append(np.asarray(sum(ends) / len(ends)) if ends else None)
    return _adding_up(closed, gaps.get(frozenset()), gaps.get(everything))


def _adding_up(
    closed: list[Float64 | None], whole: Float64 | None, left: Float64 | None
) -> tuple[Float64 | None, ...]:
    """Move the parts, each in proportion to its size, so that their sum is what is closed in all."""
    known = [part for part in closed if part is not None]
    if whole is None or left is None or len(known) < len(closed):
        return tuple(closed)
    missing = whole - left - np.sum(known, axis=0)
    sizes = np.sum(np.abs(known), axis=0)
    weight = [
        np.divide(np.abs(part), sizes, out=np.full_like(sizes, 1 / len(known)), where=sizes > 0)
        for part in known
    ]
    return tuple(part + missing * one for part, one in zip(known, weight, strict=True))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """It is a share with its interval, or without one where a single seed leaves it unknown."""

    value: float
    interval: tuple[float, float] | None


def share(part: Float64, whole: Float64) -> Estimate | None:
    """Return mean(part) / mean(whole) over seeds with its 95 % interval, or None where the whole is 0.

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
    """Return the quantile of Student's distribution that leaves the level between minus and plus it."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + LEVEL / 2))
