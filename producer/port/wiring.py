"""Finds by values which module of a program feeds which, and counterparts that have the same neighbours.

All modules' outputs are put in place as they are, and those of some are disturbed: a module is fed by one
whose disturbance reaches its input. Each module is disturbed in a set of passes of its own, all sets of one
size, so that a few passes show every connection: channel by channel, since what is concatenated has several
sources, and where two sources are added their sets join to a larger one, which is no single module's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import numpy as np

from likewise.producer.port.evidence import first_calls
from likewise.producer.port.exchanged import Arrays, RecordedCall
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.mapping import Seen, WeightMapping
from likewise.producer.port.pairing import Pairing

Wires = dict[str, tuple[str | None, ...]]
"""Each module's sources in the order of its channels; None is what has no lone source."""
_DEPTH = 8
"""Neighbours are compared so many modules away."""
_NOTHING = 1e-9
_DISTURBANCE = 0.5


def by_neighbours(pairing: Pairing) -> WeightMapping:
    """Return the mapping in which modules of one signature have the counterparts with most neighbours alike.

    Of counterparts that are equally alike a module keeps the one it has.
    """
    sides = (pairing.reference, pairing.other)
    passes = (pairing.calls, pairing.other.forward(pairing.inputs))
    fed = (pairing.batch.inputs, pairing.inputs)
    described = []
    for side, calls, inputs in zip(sides, passes, fed, strict=True):
        modules = {one.path: one for one in pairing.seen[side.label].values() if one.slots}
        described.append(_descriptions(modules, wires(side, inputs, calls, list(modules))))
    groups: dict[object, list[Seen]] = {}
    for pair in pairing.mapping.pairs:
        if pair.reference.path not in pairing.fixed and not pair.renamed:
            groups.setdefault(pair.reference.signature, []).append(pair.reference)
    now = {pair.reference.path: pair.other for pair in pairing.mapping.pairs}
    given: dict[str, Seen] = {}
    for group in groups.values():
        free = [now[one.path] for one in group]
        likeness = [
            (_alike(described[0][one.path], described[1][two.path]), now[one.path] is two, -abs(row - column))
            for row, one in enumerate(group)
            for column, two in enumerate(free)
        ]
        taken: set[int] = set()
        for place in sorted(range(len(likeness)), key=lambda number: likeness[number], reverse=True):
            row, column = divmod(place, len(free))
            if group[row].path not in given and column not in taken:
                given[group[row].path] = free[column]
                taken.add(column)
    return pairing.mapping.exchanged(list(given), list(given.values()))


def wires(side: Hosted, inputs: Arrays, calls: Sequence[RecordedCall], modules: Sequence[str]) -> Wires:
    """Return which modules feed each module, of those that are called."""
    places = first_calls(calls)
    called = [path for path in modules if path in places]
    codes = dict(zip(called, _codes(len(called)), strict=True))
    outputs = {path: calls[places[path]].left for path in called}
    draws = np.random.default_rng(2)
    noise = {
        path: _DISTURBANCE * (np.std(one) or 1.0) * draws.normal(size=one.shape)
        for path, one in outputs.items()
    }

    def entered(number: int | None) -> dict[str, np.ndarray]:
        """Return what enters each module, with the outputs disturbed whose code has this number."""
        force = {
            path: (None, outputs[path] + noise[path] if number in codes[path] else outputs[path])
            for path in called
        }
        found = side.forward(inputs, force)
        first = first_calls(found)
        return {
            path: one for path in called if path in first and (one := found[first[path]].entered) is not None
        }

    still = entered(None)
    reached: dict[str, list[np.ndarray]] = {path: [] for path in still}
    for number in range(1 + max((max(code) for code in codes.values()), default=-1)):
        for path, one in entered(number).items():
            reached[path].append(_moved(still[path], one))
    owners = {code: path for path, code in codes.items()}
    return {path: _sources(moved, owners) for path, moved in reached.items() if moved}


def _codes(modules: int) -> list[frozenset[int]]:
    """Return a set of passes for each module, all of one size, of as few passes as there can be."""
    passes = next(number for number in range(1, 64) if comb(number, number // 2) >= modules)
    chosen = combinations(range(passes), passes // 2)
    return [frozenset(code) for code, _ in zip(chosen, range(modules), strict=False)]


def _moved(still: np.ndarray, disturbed: np.ndarray) -> np.ndarray:
    """Return, channel by channel, whether what enters a module was disturbed."""
    largest = float(np.max(np.abs(still), initial=0.0)) or 1.0
    apart = np.abs(still - disturbed).reshape(-1, still.shape[-1] if still.ndim else 1)
    return np.asarray(apart.max(axis=0, initial=0.0) > _NOTHING * largest)


def _sources(moved: Sequence[np.ndarray], owners: Mapping[frozenset[int], str]) -> tuple[str | None, ...]:
    """Return a module's sources in the order of its channels, each once."""
    found: list[str | None] = []
    for column in np.array(moved).T:
        source = owners.get(frozenset(np.flatnonzero(column).tolist()))
        if source not in found:
            found.append(source)
    return tuple(found)


def _descriptions(modules: Mapping[str, Seen], fed_by: Wires) -> dict[str, list[int]]:
    """Describe each module by its neighbours: at each depth a number that equal surroundings share."""
    feeds: dict[str, list[tuple[int, str]]] = {path: [] for path in modules}
    for path, sources in fed_by.items():
        for place, source in enumerate(sources):
            if source is not None:
                feeds[source].append((place, path))
    now = {path: hash(repr(one.signature)) for path, one in modules.items()}
    described = {path: [number] for path, number in now.items()}
    for _ in range(_DEPTH):
        now = {
            path: hash(
                (
                    now[path],
                    tuple(now[one] if one is not None else 0 for one in fed_by.get(path, ())),
                    tuple(sorted((place, now[one]) for place, one in feeds[path])),
                )
            )
            for path in modules
        }
        for path, number in now.items():
            described[path].append(number)
    return described


def _alike(one: Sequence[int], two: Sequence[int]) -> int:
    """Return at how many depths two modules have the same surroundings."""
    return sum(first == second for first, second in zip(one, two, strict=True))
