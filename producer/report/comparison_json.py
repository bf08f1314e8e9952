"""A comparison as the public JSON document; here alone the tables of seeds become lists.

Of few seeds everything is listed; of many each seed's last values, and their curves as quantiles, unless all
is asked for. The paths of `DESIGN` stay; further ones may be added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.verdict.models import Comparison, SideRuns, Twin
from likewise.shared.results.seed_table import SeedRow, SeedTable
from likewise.shared.store.arrays import encode_array

MOST_LISTED_SEEDS = 10
"""The most seeds that are all listed with their curves and arrays where that is not asked for."""
MOST_LISTED = 10_000
"""The most elements of an array that is listed where that is not asked for; else it is what it hashes to."""
MOST_PREDICTED = 10
"""The most predictions that are listed for each of many seeds; more are listed for one seed alone."""


def to_document(comparison: Comparison, *, full: bool = False) -> dict[str, Any]:
    """Return the document: plain dicts, lists, strings and finite numbers.

    `full` lists the curves and arrays of every seed, however many and however large they are.
    """
    many = len(comparison.experiment.seed_list) > MOST_LISTED_SEEDS
    short = many and not full
    dumped = comparison.model_dump(
        mode="json",
        include={
            *("schema_version", "experiment_id", "name", "submitted_s", "verdict", "reasons", "notes"),
            *("tolerance", "equivalence", "growth", "noise_floor", "first_divergences"),
        },
    )
    divergence = comparison.first_divergence
    return dumped | {
        "frameworks": list(comparison.sides),
        "setting_differences": [
            {"path": one.path, **{name: one.values.get(name) for name in comparison.sides}}
            for one in comparison.setting_differences
        ],
        "first_divergence": None if divergence is None else divergence.model_dump(mode="json"),
        "twin": None if comparison.twin is None else _twin(comparison.twin),
        "gaps": [_pair(one.model_dump(mode="json")) for one in comparison.gaps],
        "seed_gaps": [] if short else [one.model_dump(mode="json") for one in comparison.seed_gaps],
        "summary": {run.side: _summary(run, curves=many) for run in comparison.runs},
        "runs": {
            run.side: _last_values(run, example=_example(comparison)) if short else seeds(run, full=full)
            for run in comparison.runs
        },
        "jobs": {name: job.model_dump(mode="json") for name, job in comparison.jobs.items()},
    }


def seeds(run: SideRuns, *, full: bool = False) -> list[dict[str, Any]]:
    """Return every seed of a side with its curves, its arrays and what ran it."""
    environment = run.environment
    ran = {
        "execution": environment.execution if environment else None,
        "device": environment.device if environment else None,
        "environment": environment.model_dump(mode="json") if environment else None,
    }
    most = None if full else MOST_LISTED
    outputs, weights = run.table.outputs(), run.table.weights()
    listed = []
    for seed in run.seeds:
        succeeded = seed.status == "succeeded"
        arrays = {
            "predictions": _by_output(seed.predictions, run.table, most=most),
            "outputs": _by_output(outputs[seed.row], run.table, most=most)
            if succeeded and outputs is not None
            else None,
            "weights": {name: _listed(array[seed.row], most=most) for name, array in weights.items()}
            if succeeded
            else {},
        }
        curves = {"losses": list(seed.losses), "validation_losses": list(seed.validation_losses)}
        listed.append(_last(seed) | curves | arrays | ran)
    return listed


def _last_values(run: SideRuns, *, example: int | None) -> list[dict[str, Any]]:
    """Return every seed's last values, and the predictions where they are few, or of the `example`."""
    listed = []
    for seed in run.seeds:
        predicted = seed.predictions
        few = predicted is not None and (predicted.size <= MOST_PREDICTED or seed.row == example)
        listed.append(
            _last(seed) | {"predictions": _by_output(predicted, run.table, most=MOST_LISTED) if few else None}
        )
    return listed


def _last(seed: SeedRow) -> dict[str, Any]:
    memory = seed.memory
    return {
        "seed": seed.seed,
        "status": seed.status,
        "failure": seed.failure.model_dump(mode="json") if seed.failure else None,
        "epochs": seed.epochs,
        "final_loss": seed.final_loss,
        "stopped_early": seed.stopped_early,
        "metrics": seed.metrics,
        "outputs_of": seed.table.outputs_of if seed.status == "succeeded" else None,
        "hashes": seed.hashes.model_dump(mode="json") if seed.hashes else None,
        "timings": seed.timings.model_dump(mode="json") if seed.timings else None,
        "peak_bytes": memory.peak_bytes,
        "device_peak_bytes": memory.device_peak_bytes,
    }


def _example(comparison: Comparison) -> int | None:
    """Return the row of the first seed that succeeded everywhere, or else somewhere; None without any."""
    succeeded = [run.table.succeeded for run in comparison.runs if run.table.returned.any()]
    if not succeeded:
        return None
    for rows in (np.flatnonzero(np.all(succeeded, axis=0)), np.flatnonzero(np.any(succeeded, axis=0))):
        if len(rows):
            return int(rows[0])
    return None


def _by_output(array: NDArray[Any] | None, table: SeedTable, *, most: int | None) -> Any:
    """Return rows of outputs as `_listed` does; those of several outputs by name."""
    if array is None or not table.output_columns:
        return _listed(array, most=most)
    return {name: _listed(own, most=most) for name, own in table.by_output(array).items()}


def _listed(array: NDArray[Any] | None, *, most: int | None) -> Any:
    """Return an array as nested lists, or what it hashes to where it is large; JSON has no NaN."""
    if array is None:
        return None
    if most is not None and array.size > most:
        return encode_array(array)[0].model_dump(mode="json")
    if np.isfinite(array).all():
        return array.tolist()
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist()


def _twin(twin: Twin) -> dict[str, Any]:
    dumped = twin.model_dump(mode="json")
    return dumped | {"gaps": [_pair(one) for one in dumped["gaps"]]}


def _pair(pair: dict[str, Any]) -> dict[str, Any]:
    """Put the seed of each largest gap beside it."""
    seeds_of = pair.pop("largest_seeds")
    pair["largest"] = [one | {"seed": seed} for one, seed in zip(pair["largest"], seeds_of, strict=True)]
    return pair


def _summary(run: SideRuns, *, curves: bool) -> dict[str, Any]:
    dumped = run.model_dump(
        mode="json",
        include={
            *("run_id", "failure", "worker", "attempt", "environment", "final_loss", "metrics"),
            *("train_s", "total_train_s", "notes", "curves"),
        },
    )
    return dumped if curves else dumped | {"curves": None}
