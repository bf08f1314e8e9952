"""The recent experiments as a table or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.text import Text

from producer.console import make_console, plain_table, progress_console, write
from producer.display import printable
from producer.verdict import numbers
from shared.errors import ResultError
from shared.ledger.records import ExperimentRecord, RunRecord

_COLOURS = {"agree": "green", "differ": "red", "inconclusive": "yellow"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One experiment; `verdict` is None while it runs, of a sweep, or where its results are gone."""

    record: ExperimentRecord
    state: str
    verdict: str | None

    @property
    def kind(self) -> str:
        """What was asked for: a sweep has a verdict for each of its points."""
        return "sweep" if self.record.experiment.grid else "comparison"


def state_of(runs: Sequence[RunRecord]) -> str:
    """`queued`, `training`, `finished` or, if any run ended so, `cancelled`."""
    if all(run.final for run in runs):
        return "cancelled" if any(run.state == "cancelled" for run in runs) else "finished"
    return "queued" if all(run.state == "queued" for run in runs) else "training"


def print_list(entries: Sequence[Entry], *, now_s: float, as_json: bool) -> None:
    """The newest first, on standard output."""
    console = make_console()
    if as_json:
        console.file.write(f"{json.dumps([_document(entry) for entry in entries], indent=2)}\n")
        return
    if not entries:
        console.print("no experiments yet; start one: likewise compare article")
        return
    table = plain_table("id", "name", "when", "state", "verdict")
    for entry in entries:
        age = numbers.seconds(float(max(round(now_s - entry.record.submitted_s), 0)))
        word = "sweep" if entry.kind == "sweep" else entry.verdict or numbers.MISSING
        verdict = Text(word, style=_COLOURS.get(word, ""))
        table.add_row(
            entry.record.experiment_id, entry.record.experiment.name, f"{age} ago", entry.state, verdict
        )
    write(console, table)


def tell_unreadable(errors: Sequence[ResultError]) -> None:
    """A line on standard error, where experiments are left out because this version cannot read them."""
    if errors:
        many = f"{len(errors)} experiments are" if len(errors) > 1 else "1 experiment is"
        progress_console().print(
            printable(f"note: {many} left out that this version cannot read; {errors[0]}")
        )


def _document(entry: Entry) -> dict[str, object]:
    return {
        "experiment_id": entry.record.experiment_id,
        "name": entry.record.experiment.name,
        "kind": entry.kind,
        "submitted_s": entry.record.submitted_s,
        "submitted": datetime.fromtimestamp(entry.record.submitted_s, tz=UTC).isoformat(),
        "frameworks": list(entry.record.experiment.labels),
        "state": entry.state,
        "verdict": entry.verdict,
    }
