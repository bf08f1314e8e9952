"""How much of a gap each factor accounts for: Shapley's value of the gap that switching closes. Pure.

With v(S) the gap that is left when the factors of S have the reference's value, a factor i closes
v(S) − v(S ∪ {i}) when it is switched after S. Its part is the mean of that over all orders in which the
factors can be switched (Shapley 1953), so that the parts add up to v(nothing) − v(everything). Orders that
pass through a mixture which could not be trained are left out; what is left still adds up (Faigle & Kern
1992). Of many factors only the ends of the orders are known: the mean of switched first and switched last,
its sum set right in proportion to the parts' sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from producer.blame.designs import Design, Mixture

Floats = NDArray[np.float64]
"""One number a seed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What each factor closes of the gap, by seed; None where its mixtures could not be trained."""

    whole: Floats
    """The gap with nothing switched."""
    closed: tuple[Floats | None, ...]
    left: Floats | None
    """The gap with everything switched."""
    orders_left_out: int = 0


def parts(design: Design, gaps: Mapping[Mixture, Floats]) -> Parts | None:
    """The parts of each factor; `gaps` has the mixtures that could be trained. None without a gap to part."""
    whole, left = gaps.get(frozenset()), gaps.get(frozenset(range(design.factors)))
    if whole is None:
        return None
    if design.kind == "ends":
        return Parts(whole=whole, closed=_by_ends(design.factors, gaps), left=left)
    sums: list[Floats] = [np.zeros_like(whole) for _ in range(design.factors)]
    orders = 0
    for order in permutations(range(design.factors)):
        passed = [gaps.get(frozenset(order[:place])) for place in range(design.factors + 1)]
        known = [gap for gap in passed if gap is not None]
        if len(known) < len(passed):
            continue
        orders += 1
        for factor, before, after in zip(order, known, known[1:], strict=False):
            sums[factor] += before - after
    left_out = factorial(design.factors) - orders
    closed = tuple(part / orders if orders else None for part in sums)
    return Parts(whole=whole, closed=closed, left=left, orders_left_out=left_out)


def _by_ends(factors: int, gaps: Mapping[Mixture, Floats]) -> tuple[Floats | None, ...]:
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
    closed: list[Floats | None], whole: Floats | None, left: Floats | None
) -> tuple[Floats | None, ...]:
    """The parts moved, each in proportion to its size, so that their sum is what is closed in all."""
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
