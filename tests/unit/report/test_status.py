"""The list of experiments."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from rich.text import Text

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.report import write
from likewise.producer.report.status import ListDocument, ListedExperiment, WorkersDocument
from likewise.shared.ledger.records import ExperimentRecord, WorkerPresence


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


def presence(framework: str, version: str, **more: Any) -> WorkerPresence:
    given = {
        "worker_id": "w", "framework": framework, "device": "cpu", "queues": ("q",), "pid": 1, "threads": 1,
        "host": "410d083a-fad3", "versions": {framework: version}, "state": "idle",
        "started_s": 1e9, "seen_s": 1e9,
    }  # fmt: skip
    return WorkerPresence(**{**given, **more})


def test_each_worker_has_one_line_of_80_columns_with_what_it_does_and_where(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    container = {"hostname": "0123456789ab", "image": "likewise-worker-tf:cpu"}
    live = [
        presence("tensorflow", "2.21.0", state="busy", run_id="r" * 20, **container),
        presence("torch", "2.13.0+cpu", hostname="atlas"),
    ]
    document = WorkersDocument(workers=live, now_s=1e9, experiments={"r" * 20: "9cc3c1e83971c500805f"})
    write(document, "terminal", sys.stdout)
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert [line.split() for line in lines] == [
        ["worker", "device", "doing", "host", "container"],
        ["tensorflow", "2.21.0", "cpu", "9cc3c1e83971c500805f", "410d083a-fad3", "0123456789ab"],
        ["torch", "2.13.0+cpu", "cpu", "idle", "atlas", "—"],
    ]

    write(document, "json", sys.stdout)
    busy, idle = json.loads(capsys.readouterr().out)["workers"]
    assert (busy["experiment_id"], busy["hostname"]) == ("9cc3c1e83971c500805f", "0123456789ab")
    assert idle["experiment_id"] is None
