"""What each side returned, as the Comparison lists it. Pure.

Few seeds come as results of their own, many as arrays (`SeedTable`); either way they end as `SideRuns`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.verdict.gaps import Load
from producer.verdict.models import ArrayValue, Curves, SeedRun, SideRuns
from producer.verdict.seed_table import SeedTable, untrained
from producer.verdict.spread import final_losses, metric_spreads, spread
from shared.result import RunResult, SeedResult
from shared.spec import Experiment
from shared.spec.side import Side
from shared.store.arrays import ArrayRef

MAX_LISTED = 10_000
"""Arrays up to this many elements are listed in the Comparison; larger ones stay references."""

_RUN_FIELDS = ("run_id", "failure", "environment", "worker", "attempt", "notes")
"""The fields of `SideRuns` that a result has under the same name."""
_SEED_FIELDS = (
    "seed", "status", "failure", "epochs", "losses", "validation_losses", "final_loss", "stopped_early",
    "metrics", "outputs_of", "hashes", "timings", "peak_bytes", "device_peak_bytes",
)  # fmt: skip
"""The fields of `SeedRun` that a seed's result has under the same name."""


def side_runs(
    experiment: Experiment,
    results: Mapping[str, RunResult],
    tables: Mapping[str, SeedTable],
    *,
    arrays: Load,
    full: bool,
) -> list[SideRuns]:
    """Each side's runs, in the experiment's order.

    `tables` has the sides whose results are arrays. Of their seeds only one has its curves and arrays
    listed, unless `full`.
    """
    seeds = experiment.seed_list
    listed = range(len(seeds)) if full else _example(tables)
    found = []
    for side in experiment.side_list:
        result, table = results.get(side.label), tables.get(side.label)
        if table is not None:
            found.append(_runs(side, result, table.runs(listed=listed), curves=table.curves()))
        else:
            found.append(_runs(side, result, _seed_runs(result, seeds, arrays=arrays)))
    return found


def _runs(
    side: Side, result: RunResult | None, seeds: tuple[SeedRun, ...], *, curves: Curves | None = None
) -> SideRuns:
    train_s = [one.timings.train_s + one.timings.compile_s for one in seeds if one.timings]
    return SideRuns(
        framework=side.framework,
        side=side.label,
        **({} if result is None else {name: getattr(result, name) for name in _RUN_FIELDS}),
        seeds=seeds,
        curves=curves,
        final_loss=spread(final_losses(seeds)),
        metrics=metric_spreads(seeds),
        train_s=spread(train_s),
        total_train_s=math.fsum(train_s) if train_s else None,
    )


def _example(tables: Mapping[str, SeedTable]) -> Sequence[int]:
    """The place of the first seed that succeeded in every side, or else in one; empty without any."""
    succeeded = [table.succeeded for table in tables.values()]
    if not succeeded:
        return ()
    everywhere, somewhere = np.all(succeeded, axis=0), np.any(succeeded, axis=0)
    found = np.flatnonzero(everywhere) if everywhere.any() else np.flatnonzero(somewhere)
    return [int(place) for place in found[:1]]


def _seed_runs(result: RunResult | None, seeds: Sequence[int], *, arrays: Load) -> tuple[SeedRun, ...]:
    trained = {one.seed: one for one in result.seeds} if result else {}
    failure = result.failure if result else None
    return tuple(
        _seed_run(trained[seed], arrays=arrays) if seed in trained else untrained(seed, failure)
        for seed in seeds
    )


def _seed_run(result: SeedResult, *, arrays: Load) -> SeedRun:
    return SeedRun(
        **{name: getattr(result, name) for name in _SEED_FIELDS},
        predictions=_listed(result.predictions, arrays),
        outputs=_listed(result.outputs, arrays),
        weights={name: _listed(ref, arrays) for name, ref in result.weights.items()},
    )


def _listed(ref: ArrayRef | None, arrays: Load) -> Any:
    """The array as nested lists, or its reference where it is large."""
    if ref is None:
        return None
    if math.prod(ref.shape) > MAX_LISTED:
        return ref
    return _nested_lists(arrays(ref))


def _nested_lists(array: NDArray[Any]) -> ArrayValue:
    """The array's numbers, with None for what is not finite: JSON has no NaN."""
    if np.isfinite(array).all():
        listed: ArrayValue = array.tolist()
        return listed
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    gapped: ArrayValue = plain.tolist()
    return gapped
