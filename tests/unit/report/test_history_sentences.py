"""A history says when a verdict changed, between what answers one question."""

from __future__ import annotations

from collections.abc import Sequence

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.report.history import ChangedSetting, History, HistoryDocument, Past
from likewise.shared.ledger.records import AnswerRecord, ExperimentRecord, Subject

CHANGED = "with loss.reduction sum instead of mean"


def past(letter: str, verdict: str) -> Past:
    record = ExperimentRecord(
        experiment_id=letter * 20, submitted_s=1e9, run_ids=("a",),
        experiment=read_experiment("article", ()).experiment,
    )  # fmt: skip
    return Past(record=record, verdict=verdict, numbers={})


def checked(letter: str, verdict: str) -> Past:
    subject = Subject(name="article", sides={})
    record = AnswerRecord(experiment_id=letter * 20, submitted_s=1e9, kind="port-check", subject=subject)
    return Past(record=record, verdict=verdict, numbers={})


def said(*several: Past, paths: Sequence[str] = ("loss.reduction",)) -> list[str]:
    ids = [one.record.experiment_id for one in several]
    values = {ids[0]: "mean", ids[-1]: "sum"}
    changed = [ChangedSetting(side="torch", path=path, values=values) for path in paths]
    return [
        *HistoryDocument(
            history=History(name="article", past=several, changed=changed, left_out=[])
        ).sentences
    ]


def test_a_verdict_that_changed_is_told_with_the_setting() -> None:
    assert said(past("a", "agree"), past("b", "differ")) == [
        f"The verdict was agree in aaaaaaaa and is differ in bbbbbbbb, {CHANGED}."
    ]


def test_many_settings_that_changed_are_counted() -> None:
    (few,) = said(past("a", "agree"), past("b", "differ"), paths="abcdef")
    named = [f"{letter} sum instead of mean" for letter in "abcdef"]
    assert few.endswith(f"with {', '.join(named[:-1])} and {named[-1]}.")
    (many,) = said(past("a", "agree"), past("b", "differ"), paths="abcdefg")
    assert many.endswith("is differ in bbbbbbbb, with 7 settings changed, which stand below.")


def test_a_check_of_a_port_is_not_held_against_a_comparison() -> None:
    assert said(past("a", "agree"), checked("b", "differ"), past("c", "agree")) == []
    assert said(checked("a", "differ"), past("b", "agree"), checked("c", "agree")) == [
        f"The verdict was differ in aaaaaaaa and is agree in cccccccc, {CHANGED}."
    ]


def test_one_verdict_is_told_once() -> None:
    assert said(past("a", "agree"), past("b", "agree")) == ["The verdict is agree in each."]
