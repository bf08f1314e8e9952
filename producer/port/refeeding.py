"""Finds every cause in a segment of calls between two paired modules, by refeeding.

Where two calls part first, the other program's is given what the reference's gives, and the segment is
looked at again. What is found so counts only where it explains the whole segment: what enters the next module
is then the reference's. Each further place must be a cause by itself: two calls of one family, or a call that
one program has more. Arithmetic that two authors write otherwise never counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.evidence import ForcedPass
from likewise.producer.port.exchanged import RecordedCall, relative_difference
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.partings import Parting, Segment, family, first_parting, same_size_twin

Array = NDArray[Any]
Place = tuple[str, str | None]
"""A call's kind and line."""
_MOST_CAUSES = 4
"""No more causes than this are looked for in one segment."""
_MOST_PASSES, _FEW_PASSES = 16, 4
"""At most so many passes are run for it, the few of a large program. Segments left then are told as they
stand.
"""


@dataclass
class _Looked:
    """A segment that is looked at, and what was found in it."""

    partings: list[Parting] = field(default_factory=list)
    handled: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))
    """The places within the segment of the calls of either side that were told."""
    refed: dict[int, Array] = field(default_factory=dict)
    """What leaves calls of the other program from now on, by their numbers in the pass."""
    ended: bool = False
    """Whether nothing more can be refed in it."""
    explained: bool = False
    """Whether the places explain the whole segment, each further one by itself."""
    known: Mapping[Place, Place] = field(default_factory=dict)
    """What the places of the reference's calls parted from in rounds of a loop before, which are no news."""

    @property
    def news(self) -> bool:
        """Return whether a place was found that was not in a round before."""
        return any(mine is None or _where(mine) not in self.known for mine, _ in self.partings)

    def left(self, segment: Segment) -> Segment:
        """Return the calls of a segment that were not told yet."""
        one, two = (
            tuple(call for place, call in enumerate(calls) if place not in handled)
            for calls, handled in zip(segment, self.handled, strict=True)
        )
        return one, two


def all_partings(pairing: Pairing, numbers: Sequence[int]) -> dict[int, list[Parting]]:
    """Return where these segments part, the first place first, the segments in their order of use.

    There are more places than the first only where all of them together explain the segment; there are none
    where what was refed in the segments before explains it.
    """
    found: dict[int, list[Parting]] = {}
    refed: dict[int, Array] = {}
    known: dict[str, dict[Place, Place]] = {}
    forced, passes = pairing.forced, _FEW_PASSES if pairing.is_large else _MOST_PASSES
    for number in numbers:
        before = known.setdefault(forced.segment(number)[1], {})
        one = _Looked(known=before)
        if refed and _apart(forced, number) <= pairing.tolerance:
            found[number] = []
            continue
        kept = forced
        for _ in range(_MOST_CAUSES):
            _look(pairing, forced, number, one)
            if one.ended or passes == 0:
                break
            passes -= 1
            forced = pairing.refed({**refed, **one.refed})
            if len(forced.calls) != len(pairing.forced.calls):  # what it runs depends on what it is fed
                forced, passes = kept, 0
                break
            if _apart(forced, number) <= pairing.tolerance:
                one.explained = True
                break
        if one.explained:
            refed |= one.refed
            before |= {_where(mine): _where(theirs) for mine, theirs in one.partings if mine and theirs}
        else:
            forced = kept
        found[number] = one.partings[: None if one.explained else 1]
    return found


def _look(pairing: Pairing, forced: ForcedPass, number: int, one: _Looked) -> None:
    """Note where a segment parts first of what is left of it, and what is to be refed there."""
    segment, _ = forced.segment(number)
    left = one.left(segment)
    mine, theirs = first_parting(left, pairing.tolerance)
    if mine is not None and (place := one.known.get(_where(mine))) is not None:
        theirs = next((two for two in left[1] if _where(two) == place), theirs)
    while mine is not None and theirs is None and _is_given(pairing, forced, mine):
        # It is there, before a module that stands elsewhere in the reference.
        left = tuple(call for call in left[0] if call is not mine), left[1]
        mine, theirs = first_parting(left, pairing.tolerance)
    refed, wanted = theirs, None
    if mine is None and theirs is not None:
        wanted = _without(pairing, forced, number, one, theirs)
    elif mine is not None and theirs is not None:
        kin = family(mine) is not None and family(mine) == family(theirs)
        refed = theirs if mine.left.size == theirs.left.size else same_size_twin(mine, left[1])
        if refed is not None and (kin or not one.news):
            wanted = _nearest(_lyings(mine.left, refed.left.shape), refed.left)
    elif mine is not None:
        refed, wanted = _with(pairing, segment, mine)
    told = {_where(before) for before, _ in one.partings if before is not None}
    again = mine is not None and _where(mine) in told
    lacks = mine is not None and bool(one.partings) and not again and _lacks(pairing, forced, number, mine)
    one.partings.append((mine, None if lacks else theirs))
    if lacks or wanted is None or refed is None:
        one.ended, one.explained = True, lacks
        return
    if mine is not None:
        one.handled[0].add(_place(mine, segment[0]))
    between = range(_place(theirs or refed, segment[1]), _place(refed, segment[1]) + 1)
    one.handled[1].update(between if between else [_place(refed, segment[1])])
    one.refed[_place(refed, forced.calls)] = wanted


def _where(call: RecordedCall) -> Place:
    return call.kind, call.line


def _is_given(pairing: Pairing, forced: ForcedPass, mine: RecordedCall) -> bool:
    return any(_has_numbers_of(mine.left, two.left, pairing) for two in forced.calls)


def _with(pairing: Pairing, segment: Segment, mine: RecordedCall) -> tuple[RecordedCall | None, Array | None]:
    """Return the other program's call after which the reference has one more, and what that one gives."""
    for before in reversed(segment[0][: _place(mine, segment[0])]):
        for two in reversed(segment[1]):
            if _has_numbers_of(before.left, two.left, pairing):
                return two, _nearest(_lyings(mine.left, two.left.shape), two.left)
    return None, None


def _without(
    pairing: Pairing, forced: ForcedPass, number: int, one: _Looked, theirs: RecordedCall
) -> Array | None:
    """Return what the reference has where the other program calls something more: what that was given."""
    place = _place(theirs, forced.calls)
    before = one.refed.get(place - 1, forced.calls[place - 1].left if place else None)
    given = [call.left for call in forced.segment(number)[0][0]]
    if number < len(pairing.forced.steps):
        entered = pairing.forced.steps[number].given
        given += [] if entered is None else [entered]
    fits = [array for array in given if before is not None and _has_numbers_of(array, before, pairing)]
    return _nearest([one for array in fits for one in _lyings(array, theirs.left.shape)], theirs.left)


def _lacks(pairing: Pairing, forced: ForcedPass, number: int, mine: RecordedCall) -> bool:
    """Return whether the other program goes on with what the reference has right before a call."""
    if number >= len(forced.steps) or (entered := forced.steps[number].entered) is None:
        return False
    segment = forced.segment(number)[0][0]
    place = _place(mine, segment)
    return place > 0 and _has_numbers_of(segment[place - 1].left, entered, pairing)


def _has_numbers_of(one: Array, two: Array, pairing: Pairing) -> bool:
    """Return whether two tensors have the same numbers, in whatever order."""
    if one.size != two.size:
        return False
    return relative_difference(np.sort(one.ravel()), np.sort(two.ravel())) <= pairing.tolerance


def _lyings(array: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """Yield an array in the orders of axes that fit a shape: as it is, with its channels moved, or joined."""
    if array.size != np.prod(shape, dtype=np.int64):
        return
    moved = [array]
    if array.ndim > 2:
        moved += [np.moveaxis(array, -1, 1), np.moveaxis(array, 1, -1)]
    yield from (one.reshape(shape) for one in moved)


def _nearest(several: Iterator[Array] | Sequence[Array], to: Array) -> Array | None:
    return min(several, key=lambda one: relative_difference(one, to), default=None)


def _apart(forced: ForcedPass, number: int) -> float:
    """Return how far apart a segment is; with the module behind it where that could not be fed the same."""
    if number == len(forced.steps):
        return forced.outputs
    step = forced.steps[number]
    return step.segment if step.fed else step.local


def _place(call: RecordedCall, calls: Sequence[RecordedCall]) -> int:
    return next(place for place, one in enumerate(calls) if one is call)
