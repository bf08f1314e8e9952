"""Where an unfinished experiment stands, and a job file as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from rich.text import Text

from producer.console import make_console, plain_table, write
from producer.verdict import numbers
from shared.ledger.records import ExperimentRecord, RunRecord


def print_state(record: ExperimentRecord, runs: Sequence[RunRecord], *, now_s: float, as_json: bool) -> None:
    """Each run's state, worker and age, on standard output."""
    console = make_console()
    if as_json:
        document = {
            "experiment_id": record.experiment_id,
            "name": record.experiment.name,
            "submitted_s": record.submitted_s,
            "verdict": None,
            "runs": {run.side: run.model_dump(mode="json") for run in runs},
        }
        console.file.write(f"{json.dumps(document, indent=2)}\n")
        return
    table = plain_table("framework", "state", "for", "attempt", "worker")
    for run in runs:
        since = run.finished_s or run.claimed_s or run.submitted_s
        state = {"leased": "training"}.get(run.state, run.state)
        age = numbers.seconds(max(now_s - since, 0.0))
        table.add_row(run.side, state, age, str(run.attempt), run.worker or numbers.MISSING)
    write(
        console,
        Text(f"{record.experiment_id}  {record.experiment.name}, not finished", style="bold"),
        table,
        Text(f"follow it: likewise watch {record.experiment_id}", style="dim"),
    )


def as_yaml(document: object) -> str:
    """Block style, keys in the given order, short lists on one line."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Lists of plain values in flow style."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # repeated values are written out
        return True

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        items = list(sequence)
        plain = not any(isinstance(item, dict) for item in items)
        return super().represent_sequence(tag, items, flow_style=plain or flow_style)
