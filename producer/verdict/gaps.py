"""How far another side's numbers lie from the reference's, by seed and over all seeds. Pure.

A gap is relative to the reference's scale; where that is zero, to the other's, so that a gap is 0
only for equal numbers. Every gap is finite and never negative. All is worked out for many seeds at once:
axis 0 of every array is the seed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.producer.verdict.models import Gap, Measure, PairGaps, SeedGaps, Tolerance
from likewise.shared.results.seed_table import Float64, SeedTable

_Rows = tuple[list[Gap], NDArray[np.bool_]]
"""A measure's gap of each seed, and whether the seed's numbers are the same bytes."""


def loss_gaps(reference: Float64, other: Float64) -> list[Gap]:
    """Return each seed's gap in curves (seeds, epochs), which are NaN after their end, over common epochs."""
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
    """Return each seed's gap in arrays of one shape (seeds, rows, …)."""
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
    """Return each seed's gap in all weights together, by name (seeds, *shape).

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
    """Return a gap that cannot be measured, and why."""
    return Gap(measure=measure, relative=None, absolute=None, problem=problem)


def shape_problem(reference: Sequence[int], other: Sequence[int]) -> str:
    """Return the words that two shapes differ."""
    return f"shapes {_shape(reference)} and {_shape(other)}"


def weights_problem(reference: Mapping[str, Sequence[int]], other: Mapping[str, Sequence[int]]) -> str | None:
    """Return why weights of these shapes cannot be compared; None where they can."""
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
    """Return each seed's largest finite absolute value."""
    sizes = np.abs(array.astype(np.float64)).reshape(len(array), -1)
    largest: Float64 = np.where(np.isfinite(sizes), sizes, 0.0).max(axis=1, initial=0.0)
    return largest


def _at(table: Float64, places: NDArray[np.int64]) -> Float64:
    """Return one value of each row."""
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """It measures two tables of the same seeds against each other, over the seeds that both finished."""

    places: NDArray[np.int64]
    """The rows of those seeds in both tables."""
    gaps: list[tuple[Gap, ...]]
    """The gaps of each of those seeds, a measure that neither has left out."""
    identical: NDArray[np.bool_]
    """Whether predictions, outputs and weights are the same bytes; false where there are none."""


def measured(mine: SeedTable, theirs: SeedTable) -> Measured:
    """Return how far apart two tables of the same seeds are; the first is the reference."""
    both = mine.succeeded & theirs.succeeded
    if not both.any():
        return Measured(places=np.flatnonzero(both), gaps=[], identical=np.zeros(0, np.bool_))
    arrays = [rows for rows in (
        _arrays("predictions", mine, theirs, both),
        _outputs(mine, theirs, both),
        _weights(mine, theirs, both),
    ) if rows is not None]  # fmt: skip
    columns = [_losses(mine, theirs, both), *(gaps for gaps, _ in arrays)]
    return Measured(
        places=np.flatnonzero(both),
        gaps=list(zip(*(column for column in columns if column), strict=True)),
        identical=np.all([same for _, same in arrays], axis=0) if arrays else np.zeros(both.sum(), np.bool_),
    )


def same_hashes(mine: SeedTable, theirs: SeedTable) -> tuple[list[bool | None], list[bool | None]]:
    """Return whether each seed had the same initial weights, and the same batches; None without hashes."""
    known = mine.hashed & theirs.hashed
    same = (mine.hashes == theirs.hashes).all(axis=2)
    starts, batches = (
        [bool(one) if there else None for one, there in zip(same[:, kind], known, strict=True)]
        for kind in (0, 1)
    )
    return starts, batches


Pairs = Mapping[tuple[str, str], tuple[SeedTable, SeedTable]]
"""The tables of the reference and of each other side by their labels, each two in one wording."""


def all_gaps(pairs: Pairs, *, tolerance: Tolerance) -> list[SeedGaps]:
    """Return the gaps of every seed that the first side and another finished."""
    return [
        gaps
        for (reference, other), (mine, theirs) in pairs.items()
        for gaps in _seed_gaps((reference, mine), (other, theirs), tolerance=tolerance)
    ]


def _seed_gaps(
    reference: tuple[str, SeedTable], other: tuple[str, SeedTable], *, tolerance: Tolerance
) -> list[SeedGaps]:
    mine, theirs = reference[1], other[1]
    found = measured(mine, theirs)
    starts, batches = same_hashes(mine, theirs)
    by_seed = []
    for gaps, identical, place in zip(found.gaps, found.identical, found.places.tolist(), strict=True):
        epochs = int(mine.epochs[place]), int(theirs.epochs[place])
        by_seed.append(
            SeedGaps(
                seed=mine.seeds[place],
                reference=reference[0],
                other=other[0],
                gaps=gaps,
                same_initial_weights=starts[place],
                same_batches=batches[place],
                epochs=epochs,
                within_tolerance=_small(gaps, tolerance) and epochs[0] == epochs[1],
                identical=bool(identical),
            )
        )
    return by_seed


def pair_gaps(reference: str, other: str, seeds: Sequence[SeedGaps]) -> PairGaps:
    """Return the largest gaps of all seeds, and how many are within the tolerance."""
    largest: dict[str, tuple[Gap, int]] = {}
    for one in seeds:
        for gap in one.gaps:
            held = largest.get(gap.measure)
            if held is None or _size(gap) > _size(held[0]):
                largest[gap.measure] = (gap, one.seed)
    return PairGaps(
        reference=reference,
        other=other,
        seeds=len(seeds),
        seeds_within_tolerance=sum(one.within_tolerance for one in seeds),
        seeds_identical=sum(one.identical for one in seeds),
        largest=tuple(gap for gap, _ in largest.values()),
        largest_seeds=tuple(seed for _, seed in largest.values()),
    )


def _size(gap: Gap) -> float:
    return math.inf if gap.relative is None else gap.relative


def _losses(mine: SeedTable, theirs: SeedTable, both: NDArray[np.bool_]) -> list[Gap]:
    """Return each seed's gap in the losses; empty where neither has any."""
    epochs = mine.losses.shape[1], theirs.losses.shape[1]
    if not any(epochs):
        return []
    if not all(epochs):
        return _incomparable("losses", "one of them has none", both)[0]
    return loss_gaps(mine.losses[both], theirs.losses[both])


def _arrays(
    measure: Literal["predictions", "outputs"], mine: SeedTable, theirs: SeedTable, both: NDArray[np.bool_]
) -> _Rows | None:
    if mine.has(measure) and mine.same_bytes(theirs, measure):
        return _nothing(measure, both)
    a, b = mine.array(measure), theirs.array(measure)
    if a is None and b is None:
        return None
    if a is None or b is None:
        return _incomparable(measure, "one of them has none", both)
    if a.shape != b.shape:
        return _incomparable(measure, shape_problem(a.shape[1:], b.shape[1:]), both)
    return _of_outputs(measure, mine, a[both], b[both]), equal_bits(a[both], b[both])


def _of_outputs(
    measure: Literal["predictions", "outputs"], table: SeedTable, a: NDArray[Any], b: NDArray[Any]
) -> list[Gap]:
    """Return each seed's gap in the output where it is largest; each has a scale of its own."""
    every = [
        [
            gap
            if not name or gap.where is None
            else gap.model_copy(update={"where": f"{gap.where} of {name}"})
            for gap in array_gaps(measure, own, theirs)
        ]
        for (name, own), theirs in zip(table.by_output(a).items(), table.by_output(b).values(), strict=True)
    ]
    return [max(gaps, key=_size) for gaps in zip(*every, strict=True)]


def _outputs(mine: SeedTable, theirs: SeedTable, both: NDArray[np.bool_]) -> _Rows | None:
    parts = mine.outputs_of, theirs.outputs_of
    if None not in parts and parts[0] != parts[1]:
        problem = f"they are of the {parts[0]} and of the {parts[1]} part"
        return _incomparable("outputs", problem, both)
    return _arrays("outputs", mine, theirs, both)


def _weights(mine: SeedTable, theirs: SeedTable, both: NDArray[np.bool_]) -> _Rows | None:
    if mine.has("weights") and mine.same_bytes(theirs, "weights"):
        return _nothing("weights", both)
    a, b = mine.weights(), theirs.weights()
    if not a and not b:
        return None
    problem = weights_problem(
        {name: array.shape[1:] for name, array in a.items()},
        {name: array.shape[1:] for name, array in b.items()},
    )
    if problem:
        return _incomparable("weights", problem, both)
    a = {name: array[both] for name, array in a.items()}
    b = {name: b[name][both] for name in a}
    return weight_gaps(a, b), np.all([equal_bits(a[name], b[name]) for name in a], axis=0)


def _nothing(measure: Measure, both: NDArray[np.bool_]) -> _Rows:
    """Return that no seed's numbers differ at all."""
    seeds = int(both.sum())
    return [Gap(measure=measure, relative=0.0, absolute=0.0)] * seeds, np.ones(seeds, np.bool_)


def _incomparable(measure: Measure, problem: str, both: NDArray[np.bool_]) -> _Rows:
    seeds = int(both.sum())
    return [incomparable(measure, problem)] * seeds, np.zeros(seeds, bool)


def _small(gaps: Sequence[Gap], tolerance: Tolerance) -> bool:
    return bool(gaps) and all(gap.relative is not None and gap.relative <= tolerance.relative for gap in gaps)
