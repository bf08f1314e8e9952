"""Which mixtures of two jobs to train: every one of few settings, else each setting at both ends.

A mixture is the set of factors, by their places, that have the reference's value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Literal

MOST_COMBINED = 4
"""Up to so many factors every combination is trained: 16 mixtures for 4."""

Mixture = frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Design:
    """The mixtures to train, from nothing switched to everything switched."""

    kind: Literal["combinations", "ends"]
    factors: int
    mixtures: tuple[Mixture, ...]


def design(factors: int, *, most_combined: int = MOST_COMBINED) -> Design:
    """Every combination of few factors; of more, each alone switched and each alone kept."""
    everything = range(factors)
    if factors <= most_combined:
        chosen: Iterable[tuple[int, ...]] = chain.from_iterable(
            combinations(everything, size) for size in range(factors + 1)
        )
        return Design(kind="combinations", factors=factors, mixtures=tuple(map(frozenset, chosen)))
    chosen = chain(
        combinations(everything, 0),
        combinations(everything, 1),
        combinations(everything, factors - 1),
        combinations(everything, factors),
    )
    return Design(kind="ends", factors=factors, mixtures=tuple(map(frozenset, chosen)))
