"""Which random draw of one program is which of the other: dropout, noise, and masks of a user's own.

Draws pair by their order of use and their size, and where what enters them is known, by its values; those
also say in which order the axes lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.exchanged import DrawSite, relative_difference

MASKS = ("dropout", "uniform")
"""The families of draws of which masks are made."""
_FAMILIES = (MASKS, ("normal",))
_NEAR = 1e-3
"""What enters two draws that are this near is the same, whatever else differs."""
_GAP = -0.6


@dataclass(frozen=True)
class SitePair:
    """A draw of the reference and its counterpart, and how the numbers lie there."""

    reference: DrawSite
    other: DrawSite
    axes: tuple[int, ...]
    """The reference's axis of each of the other's."""
    order: tuple[int, ...] = ()
    """The reference's place of each of the other's on the last axis; empty where they are the same."""
    mirrored: bool = False

    @property
    def is_masks_own(self) -> bool:
        """Return whether one side makes its mask itself, so that it may keep the large or the small."""
        return self.reference.family != self.other.family

    def arrangement(self) -> dict[str, Any]:
        """Return what makes the other program draw the reference's numbers."""
        rate = self.reference.rate if self.other.rate is not None else None
        return {
            "key": self.reference.key,
            "shape": self.reference.shape,
            "axes": self.axes,
            "order": self.order,
            "rate": rate,
            "mirrored": self.mirrored,
        }


@dataclass(frozen=True)
class PairedDraws:
    """The paired draws of two programs, and those of each without a counterpart."""

    pairs: tuple[SitePair, ...] = ()
    alone: tuple[DrawSite, ...] = ()
    strangers: tuple[DrawSite, ...] = ()
    """PairedDraws of the other program."""
    unpairable: tuple[tuple[int, DrawSite], ...] = ()
    """PairedDraws that cannot be replaced, with 0 for the reference's and 1 for the other's."""

    def arrangements(self) -> dict[str, Mapping[str, Any]]:
        """Return the arrangement of each of the other program's draws."""
        return {pair.other.key: pair.arrangement() for pair in self.pairs}

    @property
    def lonely(self) -> set[tuple[int, str]]:
        """Return the draws without a counterpart, as the side's number and the key."""
        return {(0, one.key) for one in self.alone} | {(1, one.key) for one in self.strangers}


def pair_draws(
    reference: Sequence[DrawSite], other: Sequence[DrawSite], orders: Sequence[NDArray[np.int64]]
) -> PairedDraws:
    """Pair the draws of two training passes. `orders` are those in which a flatten lays its rows."""
    pairs: list[SitePair] = []
    alone: list[DrawSite] = []
    strangers: list[DrawSite] = []
    for families in _FAMILIES:
        mine, theirs = ([one for one in sites if one.family in families] for sites in (reference, other))
        found, left, right = _aligned(mine, theirs, orders)
        pairs, alone, strangers = [*pairs, *found], [*alone, *left], [*strangers, *right]
    unpairable = [
        (side, one)
        for side, sites in enumerate((reference, other))
        for one in sites
        if one.family == "unpaired"
    ]
    return PairedDraws(tuple(pairs), tuple(alone), tuple(strangers), tuple(unpairable))


def _aligned(
    mine: Sequence[DrawSite], theirs: Sequence[DrawSite], orders: Sequence[NDArray[np.int64]]
) -> tuple[list[SitePair], list[DrawSite], list[DrawSite]]:
    """Align two sequences so that most draws pair (as `mapping.align` does with modules)."""
    found = {
        (row, column): _fit(one, two, orders)
        for row, one in enumerate(mine)
        for column, two in enumerate(theirs)
    }
    rest = np.zeros((len(mine) + 1, len(theirs) + 1))
    for row in range(len(mine) - 1, -1, -1):
        rest[row, -1] = rest[row + 1, -1] + _GAP
    for column in range(len(theirs) - 1, -1, -1):
        rest[-1, column] = rest[-1, column + 1] + _GAP
    for row in range(len(mine) - 1, -1, -1):
        for column in range(len(theirs) - 1, -1, -1):
            paired = rest[row + 1, column + 1] + found[row, column][0]
            rest[row, column] = max(paired, max(rest[row + 1, column], rest[row, column + 1]) + _GAP)
    pairs, alone, strangers = [], [], []
    row = column = 0
    while row < len(mine) and column < len(theirs):
        gain, pair = found[row, column]
        if pair is not None and rest[row, column] == rest[row + 1, column + 1] + gain:
            pairs.append(pair)
            row, column = row + 1, column + 1
        elif rest[row, column] == rest[row, column + 1] + _GAP:
            strangers.append(theirs[column])
            column += 1
        else:
            alone.append(mine[row])
            row += 1
    return pairs, [*alone, *mine[row:]], [*strangers, *theirs[column:]]


def _fit(one: DrawSite, two: DrawSite, orders: Sequence[NDArray[np.int64]]) -> tuple[float, SitePair | None]:
    """Return what pairing two draws gains, and the pair."""
    if int(np.prod(one.shape)) != int(np.prod(two.shape)):
        return -np.inf, None
    near = 0.1 * (one.rate == two.rate) + 0.1 * (one.family == two.family)
    candidates = _lays(one, two, orders)
    if one.entered is None or two.entered is None:
        return 1.0 + near, candidates[0]
    for pair in candidates:
        turned = _turned(one.entered, pair)
        if relative_difference(turned.reshape(-1), two.entered.reshape(-1)) <= _NEAR:
            return 2.0 + near, pair
    return 1.0 + near, candidates[0]


def _turned(array: NDArray[Any], pair: SitePair) -> NDArray[Any]:
    if array.ndim != len(pair.axes):
        return array
    turned = array.transpose(pair.axes)
    return turned[..., list(pair.order)] if pair.order else turned


def _lays(one: DrawSite, two: DrawSite, orders: Sequence[NDArray[np.int64]]) -> list[SitePair]:
    """Return the ways in which the reference's numbers can lie in the other program, likely ones first."""
    rank = len(one.shape)
    straight = tuple(range(rank))
    if rank != len(two.shape):
        return [SitePair(one, two, straight)]
    first, last = (0, rank - 1, *range(1, rank - 1)), (0, *range(2, rank), 1)  # where the channels go
    others = permutations(straight) if rank < 5 else ()
    tried = dict.fromkeys([straight, *((first, last) if rank > 2 else ()), *others])
    found = [
        SitePair(one, two, axes) for axes in tried if tuple(one.shape[axis] for axis in axes) == two.shape
    ]
    if one.shape == two.shape:
        turned = [*orders, *(np.argsort(order) for order in orders)]
        found += [
            SitePair(one, two, straight, tuple(order.tolist()))
            for order in turned
            if rank and len(order) == one.shape[-1]
        ]
    return found or [SitePair(one, two, straight)]
