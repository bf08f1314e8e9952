"""Which module of one program is which of the other: an alignment of both in their order of use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.mapping import OWN, Pair, Seen, WeightMapping

_GAP = -0.6
_MOST_WEIGHTS = 5
"""The weights of a module of the user's own with more of them are not exchanged."""


def align(
    reference: Sequence[Seen], other: Sequence[Seen], by_hand: Sequence[tuple[Seen, Seen]] = ()
) -> WeightMapping:
    """Pair the modules of two programs, each in its order of use, so that most weights have a counterpart.

    An alignment of two sequences by dynamic programming (Needleman and Wunsch, 1970): equal signatures gain,
    more so with names that are alike; a module without a counterpart costs. Of equally good ones it is that
    which pairs as early as possible, so that what one program has more is found in one piece. Modules that
    are paired by hand are left out of it.
    """
    order = reference
    reference = [one for one in reference if not any(one is mine for mine, _ in by_hand)]
    other = [one for one in other if not any(one is theirs for _, theirs in by_hand)]
    rows, columns = len(reference), len(other)
    rest = np.zeros((rows + 1, columns + 1))  # what can still be gained from a module of each on
    rest[:, -1] = _GAP * np.arange(rows, -1, -1)
    rest[-1, :] = _GAP * np.arange(columns, -1, -1)
    gains = np.array([[_gain(one, two) for two in other] for one in reference]).reshape(rows, columns)
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            paired = rest[row + 1, column + 1] + gains[row, column]
            rest[row, column] = max(paired, max(rest[row + 1, column], rest[row, column + 1]) + _GAP)
    pairs: list[Pair] = list({one.path: Pair(one, two) for one, two in by_hand}.values())
    alone: list[Seen] = []
    strangers: list[Seen] = []
    row = column = 0
    while row < rows and column < columns:
        if rest[row, column] == rest[row + 1, column + 1] + gains[row, column]:
            pairs.append(Pair(reference[row], other[column]))
            row, column = row + 1, column + 1
        elif rest[row, column] == rest[row, column + 1] + _GAP:
            strangers.append(other[column])
            column += 1
        else:
            alone.append(reference[row])
            row += 1
    return _crossed(pairs, [*alone, *reference[row:]], [*strangers, *other[column:]], order)


def _crossed(
    pairs: list[Pair], alone: list[Seen], strangers: list[Seen], order: Sequence[Seen]
) -> WeightMapping:
    """Pair what is left and fits, too: branches that the programs run through in another order."""
    free = list(strangers)
    left = []
    for one in alone:
        found = next((two for two in free if two.signature == one.signature), None)
        if found is not None:
            pairs.append(Pair(one, found))
        else:
            found = next((two for two in free if _same_weights(one, two)), None)
            if found is None:
                left.append(one)
                continue
            pairs.append(_renamed(one, found, _same_weights(one, found)))
        free.remove(found)
    place = {id(one): number for number, one in enumerate(order)}
    pairs.sort(key=lambda pair: place[id(pair.reference)])
    return WeightMapping(tuple(pairs), tuple(left), tuple(free))


def _same_weights(one: Seen, two: Seen) -> dict[str, str]:
    """Return which weights of modules of two kinds may be the same, but for axes of one.

    A module of the user's own may hold what another one does, such as a table of positions or a matrix and
    its bias; two of them may give their weights other names; and a dense layer is a convolution of one point.
    """
    if OWN in (one.kind, two.kind) and (one.kind == two.kind or len(one.slots) > 1):
        return _by_shape(one, two)
    if OWN in (one.kind, two.kind) and len(one.slots) == len(two.slots) == 1:
        names = {next(iter(one.slots)): next(iter(two.slots))}
    elif {one.kind, two.kind} == {"dense", "conv"}:
        names = {name: name for name in one.slots if name in two.slots}
        if _of_patches(one, two) or _of_patches(two, one):
            return names
    else:
        return {}
    fits = all(_without_ones(one.shape(name)) == _without_ones(two.shape(own)) for name, own in names.items())
    return names if fits else {}


def _of_patches(dense: Seen, conv: Seen) -> bool:
    """Return whether a dense layer over flattened patches may be a convolution whose windows touch.

    A patch is flattened with its rows first, then its columns, then its channels.
    """
    flat, windows = dense.shape("kernel") or (), conv.shape("kernel") or ()
    settings = conv.settings
    touching = settings.get("strides") == settings.get("kernel_size") and settings.get("groups", 1) == 1
    if dense.kind != "dense" or conv.kind != "conv" or len(flat) != 2 or not touching:
        return False
    return flat == (int(np.prod(windows[:-1])), windows[-1])


def _renamed(one: Seen, two: Seen, names: Mapping[str, str]) -> Pair:
    """Return a pair of modules by the names of their weights; oblong ones may have their axes exchanged."""
    turned = {
        mine
        for mine, theirs in names.items()
        if one.shape(mine) != two.shape(theirs) and (one.shape(mine) or ())[::-1] == two.shape(theirs)
    }
    return Pair(one, two, renamed=names, turned=frozenset(turned))


def _by_shape(one: Seen, two: Seen) -> dict[str, str]:
    """Return the weights of two modules by shape, in whatever order of two axes, then by the likeness of
    their names; none where some have no counterpart.
    """
    free, names = list(two.slots), {}
    if len(free) != len(one.slots):
        return {}
    for name in one.slots:
        size = sorted(_without_ones(one.shape(name)))
        fits = [own for own in free if sorted(_without_ones(two.shape(own))) == size]
        if not fits:
            return {}
        names[name] = max(fits, key=lambda own: SequenceMatcher(None, name, own, autojunk=False).ratio())
        free.remove(names[name])
    return names


def own_to_divide(mapping: WeightMapping) -> tuple[list[str], list[str]]:
    """Return the paths of either side's modules of the user's own that have no counterpart, of which the
    other side has a weight in another module.
    """
    sides = mapping.alone, mapping.strangers
    shapes = [
        {tuple(_without_ones(one.shape(name))) for one in several for name in one.slots} for several in sides
    ]
    found = [
        [
            one.path
            for one in several
            if one.kind == OWN
            and len(one.slots) > 1
            and any(tuple(_without_ones(one.shape(name))) in others for name in one.slots)
        ]
        for several, others in zip(sides, shapes[::-1], strict=True)
    ]
    return found[0], found[1]


def other_assignments(pair: Pair, most: int) -> list[Pair]:
    """Return the other ways in which the weights of a renamed pair may be each other's: those of one shape
    exchanged, and square ones with their axes exchanged. None where there are more than `most`.
    """
    names = list(pair.renamed)
    if len(names) > _MOST_WEIGHTS:
        return []
    sizes = {name: sorted(pair.reference.shape(name) or ()) for name in names}
    found = []
    for order in permutations(pair.renamed.values()):
        renamed = dict(zip(names, order, strict=True))
        if any(sizes[name] != sorted(pair.other.shape(own) or ()) for name, own in renamed.items()):
            continue
        made = _renamed(pair.reference, pair.other, renamed)
        squares = [name for name in names if len(sizes[name]) == 2 and len(set(sizes[name])) == 1]
        for number in range(len(squares) + 1):
            found += [
                replace(made, turned=made.turned | set(turned)) for turned in combinations(squares, number)
            ]
    return found if len(found) <= most else []


def _without_ones(shape: tuple[int, ...] | None) -> list[int]:
    return [size for size in shape or () if size != 1]


def _gain(one: Seen, two: Seen) -> float:
    if one.signature != two.signature:
        return -np.inf
    alike = SequenceMatcher(None, one.path.lower(), two.path.lower(), autojunk=False).ratio()
    return 1.0 + 0.2 * alike + 0.1 * (set(one.slots) == set(two.slots))


def row_orders(length: int, shapes: Sequence[tuple[int, ...]]) -> list[NDArray[np.int64]]:
    """Return the orders in which a flatten can have laid `length` features, other than the reference's own.

    `shapes` are those of the samples that entered a flatten in the reference. Their channels are last where a
    module of the common language gave them, and else where the program has them: first or last.
    """
    in_place = np.arange(length, dtype=np.int64)
    found: list[NDArray[np.int64]] = []
    for shape in shapes:
        if len(shape) < 2 or int(np.prod(shape)) != length:
            continue
        first, last = (shape[-1], *shape[:-1]), (*shape[1:], shape[0])
        for laid in dict.fromkeys((shape, first, last)):
            array = in_place.reshape(laid)
            for order in (np.moveaxis(array, -1, 0).ravel(), np.moveaxis(array, 0, -1).ravel()):
                known = (in_place, *found)
                if not any(np.array_equal(order, one) for one in known):
                    found.append(order)
    return found
