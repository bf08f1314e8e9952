"""Another side against the reference, seed by seed and over all seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from producer.verdict.gaps import (
    array_gaps,
    equal_bits,
    incomparable,
    loss_gaps,
    shape_problem,
    weight_gaps,
    weights_problem,
)
from producer.verdict.models import Gap, Measure, PairGaps, SeedGaps, Tolerance
from shared.results.seed_table import SeedTable

_Rows = tuple[list[Gap], NDArray[np.bool_]]
"""A measure's gap of each seed, and whether the seed's numbers are the same bytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Two tables of the same seeds against each other, over the seeds that both finished."""

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


def all_gaps(tables: Mapping[str, SeedTable], *, tolerance: Tolerance) -> list[SeedGaps]:
    """Return the gaps of every seed that the first side and another finished."""
    reference, *others = tables
    return [
        gaps
        for other in others
        for gaps in _seed_gaps((reference, tables[reference]), (other, tables[other]), tolerance=tolerance)
    ]


def _seed_gaps(
    reference: tuple[str, SeedTable], other: tuple[str, SeedTable], *, tolerance: Tolerance
) -> list[SeedGaps]:
    mine, theirs = reference[1], other[1]
    found = measured(mine, theirs)
    starts, batches = same_hashes(mine, theirs)
    told = []
    for gaps, identical, place in zip(found.gaps, found.identical, found.places.tolist(), strict=True):
        epochs = int(mine.epochs[place]), int(theirs.epochs[place])
        told.append(
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
    return told


def pair_gaps(reference: str, other: str, seeds: Sequence[SeedGaps]) -> PairGaps:
    """The largest gaps of all seeds, and how many are within the tolerance."""
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
    return array_gaps(measure, a[both], b[both]), equal_bits(a[both], b[both])


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
