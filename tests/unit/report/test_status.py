"""The list of experiments."""

from __future__ import annotations

import json
import sys

import pytest
from rich.text import Text

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.report import write
from likewise.producer.report.status import ListDocument, ListedExperiment
from likewise.shared.ledger.records import ExperimentRecord


def entry(*set_values: str, verdict: str | None = None) -> ListedExperiment:
    experiment = read_experiment("article", set_values).experiment
    record = ExperimentRecord(
        experiment_id="9cc3c1e83971c500805f", submitted_s=1e9, experiment=experiment, run_ids=("a", "b")
    )
    return ListedExperiment(record=record, state="finished", verdict=verdict)


def test_a_sweep_is_told_from_a_comparison(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    entries = [entry("grid={training.epochs: [2, 3]}"), entry(verdict="differ"), entry()]
    write(ListDocument(entries=entries, now_s=1e9 + 60 * 59 + 59), "terminal", sys.stdout)
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert len(lines) == 4, "none is folded"
    assert [line.split()[-1] for line in lines] == ["verdict", "sweep", "differ", "—"]

    write(ListDocument(entries=entries, now_s=1e9), "json", sys.stdout)
    listed = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["verdict"]) for one in listed] == [
        ("sweep", None), ("comparison", "differ"), ("comparison", None)
    ]  # fmt: skip
