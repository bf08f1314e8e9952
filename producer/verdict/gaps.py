"""How far two sides' numbers lie apart, seed by seed. Every gap is finite and never negative.

A gap is relative to the reference's scale; where that is zero, to the other's, so that a gap is 0
only for equal numbers. All is worked out for many seeds at once: axis 0 of every array is the seed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.verdict.models import Gap, Measure

Float64 = NDArray[np.float64]


def loss_gaps(reference: Float64, other: Float64) -> list[Gap]:
    """Each seed's gap in curves (seeds, epochs) over the epochs that both have; NaN after a curve's end."""
    epochs = min(reference.shape[1], other.shape[1])
    a, b = reference[:, :epochs], other[:, :epochs]
    known = ~(np.isnan(a) | np.isnan(b))
    apart = np.where(known, _distances(a, b), 0.0)
    worst = np.argmax(apart, axis=1)
    distance = _at(apart, worst)
    a, b = np.where(known, np.abs(a), 0.0), np.where(known, np.abs(b), 0.0)
    scale = _first_above_zero(a[:, 0], a.max(axis=1), b.max(axis=1))
    return _gaps("losses", distance, scale, [f"epoch {place + 1}" for place in worst.tolist()])


def array_gaps(measure: Measure, reference: NDArray[Any], other: NDArray[Any]) -> list[Gap]:
    """Each seed's gap in arrays of one shape (seeds, rows, …)."""
    seeds = len(reference)
    if not reference[0].size:
        return [Gap(measure=measure, relative=0.0, absolute=0.0)] * seeds
    apart = _distances(reference, other).reshape(seeds, -1)
    apart[equal_bits(reference, other)] = 0.0  # also where both are NaN
    worst = np.argmax(apart, axis=1)
    values_a_row = apart.shape[1] // (reference.shape[1] if reference.ndim > 1 else 1)
    scale = _first_above_zero(_largest(reference), _largest(other))
    rows = [f"row {place // values_a_row + 1}" for place in worst.tolist()]
    return _gaps(measure, _at(apart, worst), scale, rows)


def weight_gaps(reference: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> list[Gap]:
    """Each seed's gap in all weights together, by name (seeds, *shape).

    It is relative to the largest absolute value of any weight.
    """
    names = list(reference)
    seeds = len(reference[names[0]])
    apart = np.stack(
        [
            _distances(reference[name], other[name]).reshape(seeds, -1).max(axis=1, initial=0.0)
            for name in names
        ],
        axis=1,
    )
    worst = np.argmax(apart, axis=1)
    mine, theirs = ([_largest(weights[name]) for name in names] for weights in (reference, other))
    scale = _first_above_zero(np.max(mine, axis=0), np.max(theirs, axis=0))
    return _gaps("weights", _at(apart, worst), scale, [names[place] for place in worst])


def equal_bits(reference: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each seed's numbers are the same bytes: (seeds,)."""
    if reference.dtype != other.dtype:
        return np.zeros(len(reference), np.bool_)
    same = np.ascontiguousarray(reference).view(np.uint8) == np.ascontiguousarray(other).view(np.uint8)
    equal: NDArray[np.bool_] = same.reshape(len(reference), -1).all(axis=1)
    return equal


def incomparable(measure: Measure, problem: str) -> Gap:
    """A gap that cannot be measured, and why."""
    return Gap(measure=measure, relative=None, absolute=None, problem=problem)


def shape_problem(reference: Sequence[int], other: Sequence[int]) -> str:
    """That two shapes differ."""
    return f"shapes {_shape(reference)} and {_shape(other)}"


def weights_problem(reference: Mapping[str, Sequence[int]], other: Mapping[str, Sequence[int]]) -> str | None:
    """Why weights of these shapes cannot be compared; None where they can."""
    if odd := sorted(set(reference) ^ set(other)):
        return f"only one of them has {odd[0]}"
    for name, shape in reference.items():
        if tuple(shape) != tuple(other[name]):
            return f"{name} has the shapes {_shape(shape)} and {_shape(other[name])}"
    return None


def _gaps(measure: Measure, distance: Float64, scale: Float64, places: Sequence[str]) -> list[Gap]:
    relative = _ratios(distance, scale)
    return [
        Gap(measure=measure, relative=ratio, absolute=apart, where=place if apart else None)
        for ratio, apart, place in zip(relative.tolist(), distance.tolist(), places, strict=True)
    ]


def _distances(a: NDArray[Any], b: NDArray[Any]) -> Float64:
    """|a − b| in float64; a number that is not finite on one side only is as far as can be."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a - b))
    return np.nan_to_num(apart, nan=sys.float_info.max, posinf=sys.float_info.max)


def _largest(array: NDArray[Any]) -> Float64:
    """Each seed's largest finite absolute value."""
    sizes = np.abs(array.astype(np.float64)).reshape(len(array), -1)
    largest: Float64 = np.where(np.isfinite(sizes), sizes, 0.0).max(axis=1, initial=0.0)
    return largest


def _at(table: Float64, places: NDArray[np.int64]) -> Float64:
    """One value of each row."""
    values: Float64 = np.take_along_axis(table, places[:, None], axis=1)[:, 0]
    return values


def _first_above_zero(*scales: Float64) -> Float64:
    first, *others = scales
    for other in others:
        first = np.where(first != 0, first, other)
    return first


def _ratios(distance: Float64, scale: Float64) -> Float64:
    with np.errstate(all="ignore"):
        ratio = np.where(distance == 0, 0.0, distance / scale)
    return np.nan_to_num(ratio, nan=sys.float_info.max, posinf=sys.float_info.max)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"
