"""What each side returned, and what its seeds say together: spreads, and curves as quantiles. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from likewise.producer.verdict.models import Curves, SideRuns, Spread
from likewise.shared.job import Experiment
from likewise.shared.results.run_result import RunResult, Timings
from likewise.shared.results.seed_table import Float64, Load, SeedTable

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_EPOCHS = 1_500
"""The most epochs of a quantile curve; of more, evenly chosen ones."""

_RUN_FIELDS = ("run_id", "failure", "environment", "worker", "attempt", "notes")
"""The fields of `SideRuns` that a result has under the same name."""


def side_runs(experiment: Experiment, results: Mapping[str, RunResult], arrays: Load) -> tuple[SideRuns, ...]:
    """Return each side's runs, in the experiment's order; of a side without a result, a table of none."""
    tables = {
        label: SeedTable.of(results.get(label), experiment.seed_list, arrays=arrays)
        for label in experiment.labels
    }
    return tuple(
        SideRuns(
            framework=side.framework,
            side=side.label,
            **{name: getattr(results[side.label], name) for name in _RUN_FIELDS if side.label in results},
            table=tables[side.label],
            curves=curves(tables[side.label]),
            **_over_seeds(tables[side.label]),
        )
        for side in experiment.side_list
    )


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
    """Return the fields of `SideRuns` that tell of all seeds together."""
    names = list(Timings.model_fields)
    timed = table.timings[~np.isnan(table.timings[:, names.index("train_s")])]
    train_s = (timed[:, names.index("train_s")] + timed[:, names.index("compile_s")]).tolist()
    return {
        "final_loss": spread(final_losses(table).tolist()),
        "metrics": {part: _spreads(named) for part, named in table.metrics.items()},
        "train_s": spread(train_s),
        "total_train_s": math.fsum(train_s) if train_s else None,
    }


def _spreads(named: Mapping[str, Float64]) -> dict[str, Spread]:
    spreads = {name: spread(values.tolist()) for name, values in named.items()}
    return {name: one for name, one in spreads.items() if one is not None}


def _quantiles(losses: Float64) -> tuple[tuple[float, ...], ...]:
    """Return one row for each of QUANTILES, over the curves that reach the epoch."""
    if np.isfinite(losses).all():
        found = np.quantile(losses, QUANTILES, axis=0)
    else:
        columns = (column[np.isfinite(column)] for column in losses.T)
        found = np.stack([np.quantile(one, QUANTILES) for one in columns if len(one)], axis=1)
    return tuple(tuple(row) for row in found.tolist())


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean, sample deviation and range of the finite values; None where there are none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    low, high = min(known), max(known)
    mean = min(max(low, _mean(known)), high)
    deviation = _deviation(known, mean)
    if deviation is not None and not math.isfinite(deviation):
        deviation = None  # it is larger than the largest number
    return Spread(count=len(known), mean=mean, deviation=deviation, smallest=low, largest=high)


def final_losses(table: SeedTable) -> Float64:
    """Return the final losses of the seeds that succeeded; if none did, the last known loss of each seed.

    A seed that diverged or was stopped has a last loss, too, which does not say where it would have ended.
    """
    ended = table.final_losses[table.succeeded] if table.succeeded.any() else table.final_losses
    return ended[np.isfinite(ended)]


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
