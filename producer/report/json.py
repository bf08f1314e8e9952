"""The comparison as the public JSON document. The paths of `DESIGN` stay; further ones may be added."""

from __future__ import annotations

import json
from typing import Any

from producer.verdict.models import Comparison, SeedRun, SideRuns, Twin

_CURVES_AND_ARRAYS = {"losses", "validation_losses", "outputs", "weights"}
"""What is left out of each of many seeds."""


def to_json(comparison: Comparison, *, full: bool = False) -> str:
    """The document as text, on several lines."""
    return json.dumps(to_document(comparison, full=full), indent=2, ensure_ascii=False, allow_nan=False)


def to_document(comparison: Comparison, *, full: bool = False) -> dict[str, Any]:
    """The document: plain dicts, lists, strings and finite numbers.

    Of many seeds it has each one's last values, and their curves as quantiles in `summary`, unless
    `full`; a comparison is made `full` by `producer.compare`.
    """
    short = not full and any(run.curves is not None for run in comparison.runs)
    dumped = comparison.model_dump(
        mode="json",
        include={"schema_version", "experiment_id", "name", "submitted_s", "verdict", "reasons"},
    )
    return dumped | {
        "frameworks": list(comparison.sides),
        "setting_differences": [
            {"path": one.path, **{name: one.values.get(name) for name in comparison.sides}}
            for one in comparison.setting_differences
        ],
        "first_divergence": None
        if comparison.first_divergence is None
        else comparison.first_divergence.model_dump(mode="json"),
        "first_divergences": [one.model_dump(mode="json") for one in comparison.first_divergences],
        "tolerance": comparison.tolerance.model_dump(mode="json"),
        "twin": None if comparison.twin is None else _twin(comparison.twin),
        "equivalence": [one.model_dump(mode="json") for one in comparison.equivalence],
        "growth": [one.model_dump(mode="json") for one in comparison.growth],
        "noise_floor": [one.model_dump(mode="json") for one in comparison.noise_floor],
        "gaps": [_pair(one.model_dump(mode="json")) for one in comparison.gaps],
        "seed_gaps": [] if short else [one.model_dump(mode="json") for one in comparison.seed_gaps],
        "summary": {run.side: _summary(run) for run in comparison.runs},
        "runs": {run.side: [_seed(run, seed, short=short) for seed in run.seeds] for run in comparison.runs},
        "jobs": {name: job.model_dump(mode="json") for name, job in comparison.jobs.items()},
    }


def _twin(twin: Twin) -> dict[str, Any]:
    dumped = twin.model_dump(mode="json")
    return dumped | {"gaps": [_pair(one) for one in dumped["gaps"]]}


def _pair(pair: dict[str, Any]) -> dict[str, Any]:
    """Each largest gap with its seed beside it."""
    seeds = pair.pop("largest_seeds")
    pair["largest"] = [one | {"seed": seed} for one, seed in zip(pair["largest"], seeds, strict=True)]
    return pair


def _summary(run: SideRuns) -> dict[str, Any]:
    return run.model_dump(
        mode="json",
        include={
            "run_id",
            "failure",
            "worker",
            "attempt",
            "environment",
            "final_loss",
            "metrics",
            "train_s",
            "total_train_s",
            "notes",
            "curves",
        },
    )


def _seed(run: SideRuns, seed: SeedRun, *, short: bool) -> dict[str, Any]:
    environment = run.environment
    if short:
        return seed.model_dump(mode="json", exclude=_CURVES_AND_ARRAYS)
    return seed.model_dump(mode="json") | {
        "execution": environment.execution if environment else None,
        "device": environment.device if environment else None,
        "environment": environment.model_dump(mode="json") if environment else None,
    }
