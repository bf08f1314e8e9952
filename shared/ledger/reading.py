"""The ledger's hashes in Redis as records and runs, or the reason why one cannot be read.

What was edited by hand into no record is none; a document of another version is told as that.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any, cast

from pydantic import ValidationError

from likewise.shared import names
from likewise.shared.errors import ResultError, UsageError
from likewise.shared.frozen import first_problem
from likewise.shared.job.experiment import Experiment
from likewise.shared.ledger.records import (
    ANSWER_KINDS,
    AnswerRecord,
    ExperimentRecord,
    KeptRecord,
    RunRecord,
    RunState,
    Subject,
)
from likewise.shared.results.run_result import Failure
from likewise.shared.run import Run

RECORD_FIELDS = (
    "run_id", "experiment_id", "framework", "side", "queue", "lane", "state", "attempt", "fence", "worker",
    "submitted_s", "claimed_s", "finished_s", "cancel_requested", "failure",
)  # fmt: skip


def run_of(run_id: str, document: bytes | None) -> Run:
    """Return a run by its document. Raises UsageError where there is none, ResultError for a damaged one."""
    if document is None:
        raise UsageError(f"there is no run {run_id}; `likewise list` shows the experiments")
    try:
        return Run.model_validate_json(document)
    except ValidationError as error:
        raise ResultError(f"run {run_id} cannot be read: {_first(error)}") from None


def record_of(values: dict[str, bytes | None]) -> RunRecord | None:
    """Return the record; None where there is none, or one that was edited into what is none."""
    try:
        text = {name: text_of(value) for name, value in values.items() if value}
        if "run_id" not in text:
            return None
        number = {name: _number(text.get(name)) for name in _NUMBERS}
        return RunRecord(
            run_id=text["run_id"],
            experiment_id=text["experiment_id"],
            framework=text["framework"],
            side=text.get("side", text["framework"]),
            queue=text["queue"],
            lane=text.get("lane", text["queue"]),
            state=cast(RunState, text["state"]),
            attempt=int(number["attempt"] or 0),
            fence=int(number["fence"] or 0),
            worker=text.get("worker"),
            submitted_s=number["submitted_s"] or 0.0,
            claimed_s=number["claimed_s"],
            finished_s=number["finished_s"],
            cancel_requested=text.get("cancel_requested") == "1",
            failure=Failure.model_validate_json(text["failure"]) if "failure" in text else None,
        )
    except (KeyError, ValueError):  # ValidationError and UnicodeDecodeError are of these
        return None


_NUMBERS = ("attempt", "fence", "submitted_s", "claimed_s", "finished_s")


def _number(text: str | None) -> float | None:
    """Return a number of a record; None for one that is none, as after the record was edited by hand."""
    with suppress(ValueError):
        number = float(text or "")
        return number if math.isfinite(number) else None
    return None


def kept_of(experiment_id: str, values: dict[bytes, bytes]) -> KeptRecord | None:
    """Return an experiment's record; None where there is none. Raises ResultError for a damaged one."""
    document, run_ids, submitted_s = (
        values.get(name) for name in (b"experiment", b"run_ids", b"submitted_s")
    )
    if document is None or run_ids is None or submitted_s is None:
        return None
    try:
        common = _common_of(experiment_id, values)
        kind = text_of(values.get(b"kind", ""))
        if kind in ANSWER_KINDS:
            subject = Subject.model_validate_json(document)
            return AnswerRecord(**common, kind=cast(Any, kind), subject=subject)
        experiment = Experiment.model_validate_json(document)
        kind = kind or ("sweep" if experiment.grid else "comparison")  # none before 30 November 2026
        return ExperimentRecord(**common, kind=cast(Any, kind), experiment=experiment)
    except ValidationError as error:
        raise ResultError(f"experiment {experiment_id} cannot be read: {_first(error)}") from None
    except (ValueError, TypeError, RecursionError) as error:  # a field beside the document
        raise ResultError(f"experiment {experiment_id} cannot be read: {error} (was it edited?)") from None


def _common_of(experiment_id: str, values: dict[bytes, bytes]) -> dict[str, Any]:
    """Return the fields of a record that every experiment has, but for its kind."""
    return {
        "experiment_id": experiment_id,
        "submitted_s": float(values[b"submitted_s"]),
        "run_ids": tuple(json.loads(values[b"run_ids"])),
        "related": _related(values),
        "cancelled": b"cancelled" in values,
        "verdict": text_of(values[b"verdict"]) if b"verdict" in values else None,
        "priority": text_of(values.get(b"priority", "normal")),
        "tags": tuple(json.loads(values.get(b"tags", b"[]"))),
        "note": text_of(values.get(b"note", "")),
        "findings": _fields_after(names.FINDING, values),
    }


def _related(values: dict[bytes, bytes]) -> dict[str, str]:
    """Return the ids of the experiments that belong to it, by relation.

    Records written before 23 November 2026 have at most one, in the field `twin`.
    """
    old = {"twin": text_of(values[b"twin"])} if b"twin" in values else {}
    return old | _fields_after(names.RELATED, values)


def _fields_after(prefix: str, values: dict[bytes, bytes]) -> dict[str, str]:
    """Return the fields whose names begin so, by the rest of their names."""
    fields = {text_of(name): text_of(value) for name, value in values.items()}
    return {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}


def _first(error: ValidationError) -> str:
    """Return the first problem, with a hint that another version may have written the document."""
    return f"{first_problem(error)} (was it written by another version of Likewise?)"


def text_of(value: Any) -> str:
    """Return what Redis answered as text."""
    return value.decode() if isinstance(value, bytes) else str(value)
