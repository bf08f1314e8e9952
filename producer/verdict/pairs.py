"""Another side against the reference, seed by seed and over all seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.verdict.gaps import (
    Load,
    array_gaps,
    bitwise_equal,
    equal_bits,
    incomparable,
    loss_gaps,
    seed_gaps,
    shape_problem,
    weight_gaps,
    weights_problem,
)
from producer.verdict.models import Gap, Measure, PairGaps, SeedGaps, Tolerance
from producer.verdict.seed_table import SeedTable
from shared.result import RunResult, SeedResult

_Rows = tuple[list[Gap], NDArray[np.bool_]]
"""A measure's gap of each seed, and whether the seed's numbers are the same bytes."""


def all_gaps(
    sides: Sequence[str],
    results: Mapping[str, RunResult],
    tables: Mapping[str, SeedTable],
    *,
    tolerance: Tolerance,
    arrays: Load,
) -> list[SeedGaps]:
    """Of every seed that succeeded in the reference and in another side.

    `tables` has the sides whose seeds are arrays.
    """
    reference, *others = sides
    if reference in tables:
        return [
            gaps
            for other in others
            if other in tables
            for gaps in _table_gaps(
                (reference, tables[reference]), (other, tables[other]), tolerance=tolerance
            )
        ]
    finished = {
        name: {one.seed: one for one in result.seeds if one.status == "succeeded"}
        for name, result in results.items()
    }
    return [
        _compare_seed((reference, mine), (other, finished[other][seed]), tolerance=tolerance, arrays=arrays)
        for other in others
        for seed, mine in finished.get(reference, {}).items()
        if seed in finished.get(other, {})
    ]


def _compare_seed(
    reference: tuple[str, SeedResult], other: tuple[str, SeedResult], *, tolerance: Tolerance, arrays: Load
) -> SeedGaps:
    mine, theirs = reference[1], other[1]
    gaps = seed_gaps(mine, theirs, arrays=arrays)
    hashes = mine.hashes and theirs.hashes and (mine.hashes, theirs.hashes)
    return SeedGaps(
        seed=mine.seed,
        reference=reference[0],
        other=other[0],
        gaps=gaps,
        same_initial_weights=hashes[0].initial_weights == hashes[1].initial_weights if hashes else None,
        same_batches=hashes[0].batches == hashes[1].batches if hashes else None,
        epochs=(mine.epochs, theirs.epochs),
        within_tolerance=_small(gaps, tolerance) and mine.epochs == theirs.epochs,
        identical=bitwise_equal(mine, theirs),
    )


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


def _table_gaps(
    reference: tuple[str, SeedTable], other: tuple[str, SeedTable], *, tolerance: Tolerance
) -> list[SeedGaps]:
    """As `_compare_seed`, of all seeds at once."""
    mine, theirs = reference[1], other[1]
    both = mine.succeeded & theirs.succeeded
    if not both.any():
        return []
    losses = loss_gaps(mine.losses[both], theirs.losses[both])
    measured = [
        _arrays("predictions", mine.predictions, theirs.predictions, both),
        _outputs(mine, theirs, both),
        _weights(mine.weights(), theirs.weights(), both),
    ]
    known = [rows for rows in measured if rows is not None]
    identical = np.all([same for _, same in known], axis=0) if known else np.zeros(both.sum(), bool)
    hashes = mine.hashes[both], theirs.hashes[both]
    same_hash = (hashes[0] == hashes[1]).all(axis=2)
    told = []
    places = np.flatnonzero(both).tolist()
    for row, place in enumerate(places):
        gaps = (losses[row], *(rows[row] for rows, _ in known))
        epochs = int(mine.epochs[place]), int(theirs.epochs[place])
        told.append(
            SeedGaps(
                seed=mine.seeds[place],
                reference=reference[0],
                other=other[0],
                gaps=gaps,
                same_initial_weights=bool(same_hash[row, 0]),
                same_batches=bool(same_hash[row, 1]),
                epochs=epochs,
                within_tolerance=_small(gaps, tolerance) and epochs[0] == epochs[1],
                identical=bool(identical[row]),
            )
        )
    return told


def _outputs(mine: SeedTable, theirs: SeedTable, both: NDArray[np.bool_]) -> _Rows | None:
    if mine.outputs_of != theirs.outputs_of:
        problem = f"they are of the {mine.outputs_of} and of the {theirs.outputs_of} part"
        return _incomparable("outputs", problem, both)
    return _arrays("outputs", mine.outputs(), theirs.outputs(), both)


def _arrays(
    measure: Measure, mine: NDArray[Any] | None, theirs: NDArray[Any] | None, both: NDArray[np.bool_]
) -> _Rows | None:
    if mine is None and theirs is None:
        return None
    if mine is None or theirs is None:
        return _incomparable(measure, "one of them has none", both)
    if mine.shape != theirs.shape:
        return _incomparable(measure, shape_problem(mine.shape[1:], theirs.shape[1:]), both)
    a, b = mine[both], theirs[both]
    return array_gaps(measure, a, b), _same_bits(a, b)


def _weights(
    mine: Mapping[str, NDArray[Any]], theirs: Mapping[str, NDArray[Any]], both: NDArray[np.bool_]
) -> _Rows | None:
    if not mine and not theirs:
        return None
    problem = weights_problem(
        {name: array.shape[1:] for name, array in mine.items()},
        {name: array.shape[1:] for name, array in theirs.items()},
    )
    if problem:
        return _incomparable("weights", problem, both)
    a = {name: array[both] for name, array in mine.items()}
    b = {name: theirs[name][both] for name in mine}
    return weight_gaps(a, b), np.all([_same_bits(a[name], b[name]) for name in a], axis=0)


def _same_bits(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    return equal_bits(a, b) if a.dtype == b.dtype else np.zeros(len(a), bool)


def _incomparable(measure: Measure, problem: str, both: NDArray[np.bool_]) -> _Rows:
    seeds = int(both.sum())
    return [incomparable(measure, problem)] * seeds, np.zeros(seeds, bool)


def _small(gaps: Sequence[Gap], tolerance: Tolerance) -> bool:
    return bool(gaps) and all(gap.relative is not None and gap.relative <= tolerance.relative for gap in gaps)
