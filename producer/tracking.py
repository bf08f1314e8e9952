"""Sends a finished comparison to an MLflow server: a run for the comparison, and one within it for each side.

The client is MLflow's own, of the extra `likewise[mlflow]`. A side's run has its resolved settings as
parameters, each epoch's losses as metrics by step, its last metrics, and what it ran in as tags.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.producer.report import write_file
from likewise.producer.report.comparison import ComparisonDocument
from likewise.shared.errors import UsageError

if TYPE_CHECKING:
    from likewise.producer.follow_ups import Judged
    from likewise.producer.verdict.models import SideRuns

MOST_SEEDS = 10
"""Each seed's losses are sent where there are no more; of more, their mean alone."""
_LONGEST = 500
"""MLflow has taken parameters of so many letters in every version."""
_AT_ONCE = 500
_OWN_ID = "likewise.experiment_id"


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """It names the runs on the server."""

    run_id: str
    sides: Mapping[str, str]
    """The run of each side."""
    again: bool
    """Whether it was sent before, and nothing was sent now."""


def send_to_mlflow(outcome: Judged, *, uri: str | None, experiment: str) -> Tracked:
    """Send a comparison to the server at `uri`, or at what MLFLOW_TRACKING_URI names.

    Raises UsageError where the extra is not installed, no server is named, or it does not answer.
    """
    address = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        example = "--uri http://localhost:5000"
        raise UsageError(f"--uri names the server, such as {example}; or MLFLOW_TRACKING_URI does")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # stdout has our document alone
    try:
        mlflow = import_module("mlflow")
    except ImportError:
        raise UsageError("likewise mlflow needs MLflow's client: pip install 'likewise[mlflow]'") from None
    try:
        return _sent(mlflow.MlflowClient(tracking_uri=address), outcome, experiment)
    except mlflow.exceptions.MlflowException as error:
        reason = str(error).splitlines()[0][:200]
        raise UsageError(f"MLflow at {address}: {reason}") from None


def _sent(client: Any, outcome: Judged, experiment: str) -> Tracked:
    comparison = outcome.comparison
    known = client.get_experiment_by_name(experiment)
    where = client.create_experiment(experiment) if known is None else known.experiment_id
    if (before := _sent_before(client, where, comparison.experiment_id)) is not None:
        return before
    tags = {
        _OWN_ID: comparison.experiment_id,
        "likewise.verdict": comparison.verdict,
        "likewise.version": metadata.version("likewise"),
        "mlflow.note.content": "\n\n".join(ComparisonDocument(comparison=comparison).sentences),
    }
    parent = client.create_run(where, run_name=comparison.name, tags=tags).info.run_id
    for name, value in _flat(comparison.experiment.model_dump(mode="json", exclude_unset=True)):
        client.log_param(parent, name, value)
    sides = {run.side: _send_side(client, where, parent, outcome, run) for run in comparison.runs}
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("html", "json", "parquet"):
            file = Path(folder, f"comparison.{ending}")
            write_file(ComparisonDocument(comparison=comparison), file)
            client.log_artifact(parent, str(file))
    client.set_terminated(parent, status="FAILED" if comparison.failed else "FINISHED")
    return Tracked(run_id=parent, sides=sides, again=False)


def _sent_before(client: Any, where: str, experiment_id: str) -> Tracked | None:
    """Return the runs of a comparison that was sent to its end before."""
    found = client.search_runs([where], f"tags.`{_OWN_ID}` = '{experiment_id}' and status != 'RUNNING'")
    if not found:
        return None
    parent = found[0].info.run_id
    children = client.search_runs([where], f"tags.`mlflow.parentRunId` = '{parent}'")
    sides = {run.data.tags["likewise.side"]: run.info.run_id for run in children}
    return Tracked(run_id=parent, sides=sides, again=True)


def _send_side(client: Any, where: str, parent: str, outcome: Judged, run: SideRuns) -> str:
    """Send one side, and return the id of its run."""
    entities = import_module("mlflow.entities")
    tags = {"mlflow.parentRunId": parent, "likewise.side": run.side}
    if run.environment is not None:
        ran = run.environment
        tags |= {
            "framework": f"{ran.framework} {ran.framework_version}",
            "device": ran.device,
            "execution": ran.execution,
            "image": ran.image or "",
        }
    own: str = client.create_run(where, run_name=run.side, tags=tags).info.run_id
    job = outcome.comparison.jobs[run.side].model_dump(mode="json")
    params = [entities.Param(name, value) for name, value in _flat(job)]
    metrics = [entities.Metric(name, value, 0, step) for name, step, value in _numbers(run)]
    for begin in range(0, max(len(params), len(metrics)), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        client.log_batch(own, metrics=metrics[part], params=params[part][:100])
        for one in params[part][100:]:
            client.log_param(own, one.key, one.value)
    client.set_terminated(own, status="FINISHED" if run.table.succeeded.all() else "FAILED")
    return own


def _numbers(run: SideRuns) -> Iterator[tuple[str, int, float]]:
    """Yield each finite number of a side: its name, its step (an epoch from 1, or 0), and its value."""
    import numpy as np

    table = run.table
    many = len(table.seeds) > MOST_SEEDS
    for name, curves in (("loss", table.losses), ("validation_loss", table.validation_losses)):
        for place in range(curves.shape[1]):
            there = curves[:, place][np.isfinite(curves[:, place])]
            if there.size:
                yield name, place + 1, float(there.mean())
            if not many and len(table.seeds) > 1:
                for seed, value in zip(table.seeds, curves[:, place], strict=True):
                    if isfinite(value):
                        yield f"{name}.seed_{seed}", place + 1, float(value)
    for part, named in table.metrics.items():
        for name, values in named.items():
            there = values[np.isfinite(values)]
            if there.size:
                yield f"{part}.{name}", 0, float(there.mean())


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings by dotted path, as MLflow has parameters; lists of numbers are not taken apart."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from _flat(one, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, one in enumerate(value):
            yield from _flat(one, f"{path}.{place}")
    else:
        text = str(value)
        yield path, text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"
