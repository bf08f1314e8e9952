"""Modules that both programs call several times, as in a loop over the steps of a sequence.

A forced pass replaces what enters and leaves the first call of each module. Here what leaves every later call
is the reference's, too, so that each round of a loop is judged by itself, and what comes behind the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.evidence import Repeat
from likewise.producer.port.exchanged import RecordedCall
from likewise.producer.port.pairing import Pairing

_MOST_CALLS = 512
"""Longer loops are judged by their first round alone."""


def repeats_of(pairing: Pairing) -> list[Repeat]:
    """Return the later calls of modules that both programs call as often, in the same order.

    There are none where some module is given, in another round, what the reference's is given in this one:
    the programs run through their branches in another order.
    """
    found: list[Repeat] = []
    mine, theirs = _calls_by_path(pairing.calls), _calls_by_path(pairing.forced.calls)
    for step in pairing.forced.steps:
        one, two = mine[step.pair.reference.path], theirs[step.pair.other.path]
        if len(one) != len(two) or len(one) < 2:
            continue
        entered = [pairing.calls[place].entered for place in one]
        others = [pairing.forced.calls[place].entered for place in two]
        if _is_in_another_order(entered, others):
            return []
        found += [Repeat(step.pair, *places) for places in list(zip(one, two, strict=True))[1:]]
    return sorted(found, key=lambda one: one.mine) if len(found) <= _MOST_CALLS else []


def _calls_by_path(calls: Sequence[RecordedCall]) -> dict[str | None, list[int]]:
    found: dict[str | None, list[int]] = {}
    for place, call in enumerate(calls):
        found.setdefault(call.path, []).append(place)
    return found


def _is_in_another_order(mine: Sequence[NDArray[Any] | None], theirs: Sequence[NDArray[Any] | None]) -> bool:
    """Return whether a module is given in some round what the reference's is given in another one alone."""
    for place, two in enumerate(theirs):
        same = [one is not None and two is not None and _is_same(one, two) for one in mine]
        if any(same) and not same[place]:
            return True
    return False


def _is_same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    return one.shape == two.shape and bool(np.allclose(one, two, rtol=1e-9, atol=1e-12))
