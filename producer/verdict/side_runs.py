"""What each side returned, as the Comparison lists it: here tables become lists. Pure.

Of few seeds everything is listed; of many each seed's last values, their curves as quantiles, and one
example with curves and arrays.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.verdict.models import ArrayValue, Curves, SeedRun, SideRuns, Spread
from shared.job import Experiment
from shared.results.run_result import Hashes, RunResult, Timings
from shared.results.seed_table import Float64, SeedTable
from shared.store.arrays import encode_array

MOST_LISTED_SEEDS = 10
"""The most seeds of which every one is listed with its curves and arrays, unless all are asked for."""
MOST_LISTED = 10_000
"""Arrays up to this many elements are listed in the Comparison; of larger ones only what they hash to."""
MOST_PREDICTED = 10
"""Predictions of up to so many numbers are listed for every seed; larger ones only where a seed is listed."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_EPOCHS = 1_500
"""The most epochs of a quantile curve; of more, evenly chosen ones."""

_RUN_FIELDS = ("run_id", "failure", "environment", "worker", "attempt", "notes")
"""The fields of `SideRuns` that a result has under the same name."""


def side_runs(
    experiment: Experiment, results: Mapping[str, RunResult], tables: Mapping[str, SeedTable], *, full: bool
) -> list[SideRuns]:
    """Return each side's runs, in the experiment's order.

    `full` lists the curves and arrays of every seed, however many and however large they are.
    """
    seeds = len(experiment.seed_list)
    many = seeds > MOST_LISTED_SEEDS
    listed = range(seeds) if full or not many else _example(list(tables.values()))
    most = None if full else MOST_LISTED
    return [
        SideRuns(
            framework=side.framework,
            side=side.label,
            **{name: getattr(results[side.label], name) for name in _RUN_FIELDS if side.label in results},
            seeds=_Lister(tables[side.label], listed, most=most).runs(),
            curves=curves(tables[side.label]) if many else None,
            **_over_seeds(tables[side.label]),
        )
        for side in experiment.side_list
    ]


def curves(table: SeedTable) -> Curves | None:
    """Return quantiles over seeds of the loss at each epoch; None where nothing was trained."""
    trained = np.isfinite(table.losses).any(axis=0)
    epochs = np.flatnonzero(trained)
    if not len(epochs):
        return None
    if len(epochs) > MOST_EPOCHS:
        epochs = epochs[np.unique(np.linspace(0, len(epochs) - 1, MOST_EPOCHS).astype(np.int64))]
    validated = table.validation_losses[:, epochs] if table.validation_losses.shape[1] else None
    return Curves(
        seeds=int(np.isfinite(table.losses).any(axis=1).sum()),
        quantiles=QUANTILES,
        epochs=tuple((epochs + 1).tolist()),
        losses=_quantiles(table.losses[:, epochs]),
        validation_losses=() if validated is None else _quantiles(validated),
    )


def _over_seeds(table: SeedTable) -> dict[str, Any]:
    """Return the fields of `SideRuns` that tell of all seeds together.

    A seed that diverged or was stopped has a last loss, too, which does not say where it would have ended: it
    counts only where no seed succeeded.
    """
    ended = table.final_losses[table.succeeded] if table.succeeded.any() else table.final_losses
    names = list(Timings.model_fields)
    timed = table.timings[~np.isnan(table.timings[:, names.index("train_s")])]
    train_s = (timed[:, names.index("train_s")] + timed[:, names.index("compile_s")]).tolist()
    return {
        "final_loss": spread(ended.tolist()),
        "metrics": {part: _spreads(named) for part, named in table.metrics.items()},
        "train_s": spread(train_s),
        "total_train_s": math.fsum(train_s) if train_s else None,
    }


def _spreads(named: Mapping[str, Float64]) -> dict[str, Spread]:
    spreads = {name: spread(values.tolist()) for name, values in named.items()}
    return {name: one for name, one in spreads.items() if one is not None}


def _example(tables: Sequence[SeedTable]) -> Sequence[int]:
    """Return the place of the first seed that succeeded everywhere, or else somewhere; empty without any."""
    succeeded = [table.succeeded for table in tables if table.returned.any()]
    if not succeeded:
        return ()
    everywhere, somewhere = np.all(succeeded, axis=0), np.any(succeeded, axis=0)
    found = np.flatnonzero(everywhere) if everywhere.any() else np.flatnonzero(somewhere)
    return [int(place) for place in found[:1]]


class _Lister:
    """Lists the seeds of one table: the last values of each, and all of those at the places `listed`."""

    def __init__(self, table: SeedTable, listed: Sequence[int], *, most: int | None) -> None:
        self._table = table
        self._listed = listed
        self._most = most
        self._outputs, self._weights = (table.outputs(), table.weights()) if len(listed) else (None, {})
        self._final = _optional(table.final_losses)
        self._metrics = {
            part: {name: _optional(values) for name, values in named.items()}
            for part, named in table.metrics.items()
        }

    def runs(self) -> tuple[SeedRun, ...]:
        """Return every seed, in the table's order."""
        return tuple(
            self._run(row) if returned else self._without_result(row)
            for row, returned in enumerate(self._table.returned.tolist())
        )

    def _without_result(self, row: int) -> SeedRun:
        """Return a seed without a result: failed with its run, or nothing is known of it."""
        failure = self._table.why_failed(row)
        return SeedRun(
            seed=self._table.seeds[row], status="failed" if failure else "missing", failure=failure
        )

    def _run(self, row: int) -> SeedRun:
        table, whole = self._table, row in self._listed
        memory = table.memory_of(row)
        return SeedRun(
            seed=table.seeds[row],
            status="succeeded" if table.succeeded[row] else "failed",
            failure=table.why_failed(row),
            epochs=int(table.epochs[row]),
            losses=_known(table.losses[row]) if whole else (),
            validation_losses=_known(table.validation_losses[row]) if whole else (),
            final_loss=self._final[row],
            stopped_early=bool(table.stopped_early[row]),
            **self._of_outcome(row, whole=whole),
            hashes=_hashes(table.hashes[row]),
            timings=table.timings_of(row),
            peak_bytes=memory.peak_bytes,
            device_peak_bytes=memory.device_peak_bytes,
        )

    def _of_outcome(self, row: int, *, whole: bool) -> dict[str, Any]:
        """Return what only a seed that succeeded has."""
        table = self._table
        if not table.succeeded[row]:
            return {}
        predicted = table.predictions
        told = predicted is not None and (whole or predicted[row].size <= MOST_PREDICTED)
        return {
            "metrics": {
                part: {name: values[row] for name, values in named.items()}
                for part, named in self._metrics.items()
            },
            "predictions": self._values(predicted[row]) if told and predicted is not None else None,
            "outputs": self._values(self._outputs[row]) if whole and self._outputs is not None else None,
            "outputs_of": table.outputs_of,
            "weights": {name: self._values(array[row]) for name, array in self._weights.items()}
            if whole
            else {},
        }

    def _values(self, array: NDArray[Any]) -> ArrayValue:
        """Return the array as nested lists, or what it hashes to where it is large; JSON has no NaN."""
        if self._most is not None and array.size > self._most:
            return encode_array(array)[0]
        if np.isfinite(array).all():
            listed: ArrayValue = array.tolist()
            return listed
        plain = array.astype(object)
        plain[~np.isfinite(array)] = None
        gapped: ArrayValue = plain.tolist()
        return gapped


def _quantiles(losses: Float64) -> tuple[tuple[float, ...], ...]:
    """Return one row for each of QUANTILES, over the curves that reach the epoch."""
    if np.isfinite(losses).all():
        found = np.quantile(losses, QUANTILES, axis=0)
    else:
        columns = (column[np.isfinite(column)] for column in losses.T)
        found = np.stack([np.quantile(one, QUANTILES) for one in columns if len(one)], axis=1)
    return tuple(tuple(row) for row in found.tolist())


def _optional(values: Float64) -> list[float | None]:
    """Return the numbers with None for what is not finite."""
    return [value if fine else None for value, fine in zip(values.tolist(), np.isfinite(values), strict=True)]


def _known(curve: Float64) -> tuple[float, ...]:
    return tuple(curve[np.isfinite(curve)].tolist())


def _hashes(numbers: NDArray[np.int64]) -> Hashes | None:
    if not numbers.any():
        return None
    initial_weights, batches = (row.tobytes().hex() for row in numbers.astype(">i8"))
    return Hashes(initial_weights=initial_weights, batches=batches)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean, sample deviation and range of the finite values; None where there are none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    low, high = min(known), max(known)
    mean = min(max(low, _mean(known)), high)
    deviation = _deviation(known, mean)
    return Spread(count=len(known), mean=mean, deviation=deviation, smallest=low, largest=high)


def final_losses(seeds: Sequence[SeedRun]) -> list[float]:
    """Return the final losses of the seeds that succeeded; if none did, the last known loss of each seed.

    A seed that diverged or was stopped has a last loss, too, which does not say where it would have ended.
    """
    ended = [seed for seed in seeds if seed.status == "succeeded"] or seeds
    return [seed.final_loss for seed in ended if seed.final_loss is not None]


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of at least one number in ascending order, by linear interpolation as in NumPy."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _mean(values: Sequence[float]) -> float:
    """Return their mean, even where their sum is beyond float64."""
    size = 2 * len(values)
    return 2 * math.fsum(value / size for value in values)


def _deviation(values: Sequence[float], mean: float) -> float | None:
    if len(values) < 2:
        return None
    scale = max(abs(value - mean) / 2 for value in values)
    if scale in (0, math.inf):
        return None if scale else 0.0
    return 2 * scale * statistics.stdev([(value - mean) / 2 / scale for value in values])
