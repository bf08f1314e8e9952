"""What differs between the first samples of two loaders: axes, channels, scale, order, padding, labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from likewise.producer.display import both
from likewise.producer.port.exchanged import Arrays, LoadedSamples, relative_difference
from likewise.producer.port.loaded import (
    SAME,
    Array,
    LoaderComparison,
    fitted_channels,
    tell_scale,
    tell_values,
)
from likewise.producer.port.loaded_targets import compare_targets

TARGETS = ("y", "targets", "labels")


def compare_loaders(
    mine: Sequence[LoadedSamples], theirs: Sequence[LoadedSamples], labels: tuple[str, str]
) -> LoaderComparison:
    """Compare what two loaders gave, each read twice with other seeds, so that a shuffle shows."""
    told = LoaderComparison()
    one, two = mine[0], theirs[0]
    _compare_batches(told, one, two, labels)
    names = list(
        zip(one.arrays, one.arrays if set(one.arrays) == set(two.arrays) else two.arrays, strict=False)
    )
    if len(one.arrays) != len(two.arrays):
        told.found(
            "data",
            "arrays",
            f"a batch has {both(list(one.arrays))} in {labels[0]} and {both(list(two.arrays))} in "
            f"{labels[1]}",
        )
    shuffles = [_shuffles(several) for several in (mine, theirs)]
    if shuffles[0] != shuffles[1] and None not in shuffles:
        who, other = labels if shuffles[0] else labels[::-1]
        told.found(
            "data",
            "shuffle",
            f"{who} gives its samples in another order each time and {other} in the same",
            values=(shuffles[0], shuffles[1]),
            fix="shuffle as the reference does" if shuffles[0] else "do not shuffle",
        )
    order = _order(one.arrays, two.arrays, names)
    for first, second in names:
        left, right = one.arrays[first], two.arrays[second]
        if order is not None and len(left) == len(right):
            right = right[order]
        else:
            size = min(len(left), len(right))
            left, right = left[:size], right[:size]
        if first in TARGETS:
            compare_targets(told, first, left, right, labels)
        else:
            _compare_inputs(told, first, left, right, labels)
    if order is not None and not np.array_equal(order, np.arange(len(order))) and not any(shuffles):
        told.found(
            "data",
            "order",
            f"both loaders give the same samples, in another order: sample 0 of {labels[0]} is sample "
            f"{int(order[0])} of {labels[1]}",
        )
    return told


def _compare_batches(
    told: LoaderComparison, one: LoadedSamples, two: LoadedSamples, labels: tuple[str, str]
) -> None:
    if one.sizes[0] != two.sizes[0]:
        told.found(
            "data",
            "batch_size",
            f"a batch has {one.sizes[0]} samples in {labels[0]} and {two.sizes[0]} in {labels[1]}",
            values=(one.sizes[0], two.sizes[0]),
            fix=f"read batches of {one.sizes[0]}",
        )
    elif one.ended and two.ended and sum(one.sizes) != sum(two.sizes):
        dropped = abs(sum(one.sizes) - sum(two.sizes)) < one.sizes[0]
        why = "; one drops the last, smaller batch" if dropped else ""
        told.found(
            "data",
            "samples",
            f"an epoch has {sum(one.sizes)} samples in {labels[0]} and {sum(two.sizes)} in {labels[1]}{why}",
            values=(sum(one.sizes), sum(two.sizes)),
        )


def _shuffles(several: Sequence[LoadedSamples]) -> bool | None:
    """Return whether a loader gives another order with another seed; None where that cannot be told."""
    first, second = (next(iter(one.arrays.values())) for one in several)
    return None if first.shape != second.shape else not np.array_equal(first, second)


# ---- order


def _order(mine: Arrays, theirs: Arrays, names: Sequence[tuple[str, str]]) -> Array | None:
    """Return the other's place of each of the reference's samples, by what no scale or axis order changes.

    None where the samples cannot be matched one to one.
    """
    inputs = [(mine[one], theirs[two]) for one, two in names if one not in TARGETS]
    if not inputs or len(inputs[0][0]) != len(inputs[0][1]):
        return None
    one, two = (_signatures(array) for array in inputs[0])
    if one.shape != two.shape:
        return None
    if relative_difference(one, two) <= 1e-3:
        return np.arange(len(one))
    places = [np.lexsort(np.round(each, 3).T[::-1]) for each in (one, two)]
    if relative_difference(one[places[0]], two[places[1]]) > 1e-2:
        return None
    order = np.empty(len(one), dtype=np.int64)
    order[places[0]] = places[1]
    return order


def _signatures(array: Array) -> Array:
    """Return a few numbers a sample that axes, channels, a scale and a shift of all leave as they are."""
    flat = np.sort(array.reshape(len(array), -1).astype(np.float64), axis=1)
    spread = flat.std() or 1.0
    flat = (flat - flat.mean()) / spread
    places = np.linspace(0, flat.shape[1] - 1, min(9, flat.shape[1])).astype(int)
    return np.asarray(flat[:, places])


# ---- inputs


def _compare_inputs(
    told: LoaderComparison, name: str, one: Array, two: Array, labels: tuple[str, str]
) -> None:
    if one.dtype != two.dtype and one.dtype.kind == two.dtype.kind == "f":
        told.found(
            f"data.{name}",
            "dtype",
            f"{name} is {one.dtype} in {labels[0]} and {two.dtype} in {labels[1]}",
            values=(str(one.dtype), str(two.dtype)),
            fix=f"cast {name} to {one.dtype}",
        )
    if (
        one.dtype.kind in "iu"
        and two.dtype.kind in "iu"
        and one.ndim == 2
        and _padded(told, name, one, two, labels)
    ):
        return
    one, two = one.astype(np.float64), two.astype(np.float64)
    if relative_difference(one, two) <= SAME:
        return
    for axes, turned in _lays(two, one.shape):
        fitted = fitted_channels(one, turned)
        if fitted is None and one.ndim > 2:  # the reference's channels may come first
            fitted = fitted_channels(np.moveaxis(one, 1, -1), np.moveaxis(turned, 1, -1))
        if fitted is None:
            continue
        reversed_, scale, shift = fitted
        layout = _layout(axes)
        if layout:
            _tell_layout(told, name, axes, labels)
        if reversed_:
            told.found(
                f"data.{name}",
                "channels",
                f"the channels of {name} are in the other order in {labels[1]}: red and blue are exchanged",
                fix="reverse the last axis of the picture, as x[..., ::-1]",
            )
        tell_scale(told, name, scale, shift, labels)
        return
    tell_values(told, name, one, two, labels)


def _lays(array: Array, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Yield the other's samples with their axes in each order that gives the reference's shape."""
    straight = tuple(range(array.ndim))
    if array.ndim != len(shape):
        if array.size == int(np.prod(shape)) and len(array) == shape[0]:
            yield straight, array.reshape(shape)
        return
    rest = permutations(straight[1:]) if array.ndim <= 5 else (straight[1:],)
    for order in rest:
        axes = (0, *order)
        if tuple(array.shape[axis] for axis in axes) == shape:
            yield axes, array.transpose(axes)


def _layout(axes: tuple[int, ...]) -> bool:
    return axes != tuple(range(len(axes)))


def _tell_layout(told: LoaderComparison, name: str, axes: tuple[int, ...], labels: tuple[str, str]) -> None:
    """Note channels first or last, which each framework has as it likes; other orders are findings."""
    last = len(axes) - 1
    if axes in ((0, *range(2, last + 1), 1), (0, last, *range(1, last))):
        where = "first" if axes[-1] == 1 else "last"
        told.notes.append(f"the channels of {name} come {where} in what {labels[1]}'s loader gives")
        return
    told.found(
        f"data.{name}",
        "axes",
        f"the axes of {name} are permuted: {labels[1]}'s are {labels[0]}'s in the order "
        f"{tuple(int(one) for one in np.argsort(axes))}",
        values=(list(range(len(axes))), [int(one) for one in np.argsort(axes)]),
        fix=f"permute {name} by {axes}",
    )


def _padded(told: LoaderComparison, name: str, one: Array, two: Array, labels: tuple[str, str]) -> bool:
    """Tell where rows of whole numbers are padded otherwise; return whether that is all that differs."""
    if one.shape == two.shape and np.array_equal(one, two):
        return True
    first, second = _padding(one), _padding(two)
    if first is None or second is None:
        return False
    ends = (first, second)
    words = [
        [row[row != end[0]].tolist() for row in array] for array, end in zip((one, two), ends, strict=True)
    ]
    cut = words[0] != words[1] and all(
        a[: len(b)] == b or a[-len(b) :] == b or b[: len(a)] == a or b[-len(a) :] == a
        for a, b in zip(*words, strict=False)
    )
    if words[0] != words[1] and not cut:
        return False
    for setting, texts in (
        ("padding", [f"at the {end[1]}" for end in ends]),
        ("padding_value", [f"with {end[0]}" for end in ends]),
        ("length", [f"to {array.shape[1]}" for array in (one, two)]),
    ):
        if texts[0] != texts[1]:
            told.found(
                f"data.{name}",
                setting,
                f"{name} is padded {texts[0]} in {labels[0]} and {texts[1]} in {labels[1]}"
                + ("; longer rows are cut" if cut and setting == "length" else ""),
                values=(texts[0], texts[1]),
                fix=f"pad {name} {texts[0]}",
            )
    return True


def _padding(array: Array) -> tuple[int, str] | None:
    """Return the number that rows are padded with, and at which end; None where no row is padded."""
    for place, word in ((-1, "end"), (0, "start")):
        values, counts = np.unique(array[:, place], return_counts=True)
        number = int(values[np.argmax(counts)])
        if counts.max() * 2 >= len(array) and counts.max() > 1:
            inner = array[:, 0 if place == -1 else -1]
            if not np.all(inner == number):
                return number, word
    return None
