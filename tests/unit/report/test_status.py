"""The list of experiments."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from rich.text import Text

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.report import write
from likewise.producer.report.status import ListDocument, ListedExperiment, WorkersDocument, state_of
from likewise.shared.gpus import Gpu
from likewise.shared.ledger.records import ExperimentRecord, RunRecord, WorkerPresence


def entry(*set_values: str, verdict: str | None = None) -> ListedExperiment:
    experiment = read_experiment("article", set_values).experiment
    record = ExperimentRecord(
        experiment_id="9cc3c1e83971c500805f", submitted_s=1e9, experiment=experiment, run_ids=("a", "b"),
        kind="sweep" if experiment.grid else "comparison",
    )  # fmt: skip
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
    assert [line.split()[-1] for line in lines] == ["verdict", "—", "differ", "—"]
    assert [line.split()[2] for line in lines[1:]] == ["sweep", "comparison", "comparison"]

    write(ListDocument(entries=entries, now_s=1e9), "json", sys.stdout)
    listed = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["verdict"]) for one in listed] == [
        ("sweep", None), ("comparison", "differ"), ("comparison", None)
    ]  # fmt: skip


H200 = Gpu(index=3, uuid="GPU-3", name="NVIDIA H200", driver="580.95", compute_capability="9.0")


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
        presence("torch", "2.13.0+cpu", hostname="atlas.example.org"),
        presence("torch", "2.13.0+cu130", device="cuda", gpu=H200, trouble="it is deaf", state="stuck"),
    ]
    document = WorkersDocument(workers=live, now_s=1e9, experiments={"r" * 20: "9cc3c1e83971c500805f"})
    write(document, "terminal", sys.stdout)
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert [line.split() for line in lines] == [
        ["worker", "device", "doing", "host", "container"],
        ["tensorflow", "2.21.0", "cpu", "9cc3c1e83971c500805f", "410d083a-fad3", "01234567"],
        ["torch", "2.13.0", "cpu", "idle", "atlas", "—"],
        ["torch", "2.13.0", "cuda:3", "stuck", "410d083a-fad3", "—"],
        ["torch", "2.13.0", "on", "410d083a-fad3", "takes", "no", "runs:", "it", "is", "deaf"],
    ]

    monkeypatch.setenv("COLUMNS", "40")
    write(document, "terminal", sys.stdout)
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert lines[:3] == [
        "tensorflow 2.21.0 on cpu",
        "  9cc3c1e83971c500805f",
        "  410d083a-fad3, container 01234567",
    ]

    write(document, "json", sys.stdout)
    busy, idle, stuck = json.loads(capsys.readouterr().out)["workers"]
    assert (busy["experiment_id"], busy["hostname"]) == ("9cc3c1e83971c500805f", "0123456789ab")
    assert idle["experiment_id"] is None
    assert (stuck["gpu"]["uuid"], stuck["trouble"]) == ("GPU-3", "it is deaf")


@pytest.mark.parametrize(
    ("findings", "cancelled", "state"),
    [
        ({}, False, "unfinished"),
        ({"bench": "partial"}, False, "unfinished"),
        ({"bench": "partial"}, True, "cancelled"),
        ({"explanation": "complete"}, False, "unfinished"),
        ({"bench": "complete"}, False, "finished"),
    ],
)
def test_a_bench_is_finished_only_when_all_of_it_is_there(findings: Any, cancelled: bool, state: str) -> None:
    trained = run_record(state="succeeded")
    record = entry().record.model_copy(update={"kind": "bench", "findings": findings, "cancelled": cancelled})
    assert state_of(record, [trained, trained]) == state
    assert state_of(record.model_copy(update={"kind": "comparison"}), [trained]) == "finished"
    assert state_of(record, [trained, run_record(state="cancelled")]) == "cancelled"


def run_record(**changes: Any) -> RunRecord:
    given = {
        "run_id": "a", "experiment_id": "e", "framework": "torch", "side": "torch", "queue": "q",
        "attempt": 1, "fence": 1, "submitted_s": 1e9,
    }  # fmt: skip
    return RunRecord(**{**given, **changes})
