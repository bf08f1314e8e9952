"""Several experiments beside each other: what was changed between them, and what came of each.

A comparison's verdict, its last losses, metrics and times are read from what it returned; a bench has the
median of its warm runs besides. Of what has no runs of its own the answer is read: the losses of the
trainings of two programs, the rungs of a check. A sweep has many points, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import fmean
from typing import TYPE_CHECKING, Any

from likewise.producer.job.resolve import setting_differences
from likewise.producer.kept import answer_of, bench_of
from likewise.producer.port.models import PortCheck, PortTraining
from likewise.producer.report.history import ChangedSetting, History, Past
from likewise.producer.runs.submitted import SEARCHED
from likewise.shared.errors import UsageError
from likewise.shared.ledger.records import AnswerRecord, ExperimentRecord

if TYPE_CHECKING:
    from likewise.producer.session import Session
    from likewise.producer.verdict.models import SideRuns
    from likewise.shared.job import Job
    from likewise.shared.ledger.records import KeptRecord


@dataclass(frozen=True, kw_only=True)
class _Read:
    """It is one experiment with what it was declared as, by which it is set against the others."""

    past: Past
    jobs: Mapping[str, Job]
    """The job of each side; none of an answer."""
    settings: Mapping[tuple[str, str], Any]
    """Values by side and path that are no job's: the seeds, a program's file, a version."""


def named(session: Session, pattern: str, *, limit: int) -> list[KeptRecord]:
    """Return the newest experiments of a name, or of a pattern. Raises UsageError where there is none."""
    recent = session.ledger.experiments(limit=SEARCHED)
    found = [one for one in recent if fnmatchcase(one.name, pattern)]
    if not found:
        names = ", ".join(dict.fromkeys(one.name for one in recent[:50])) or "there are none yet"
        raise UsageError(f"no experiment is called {pattern!r}; there are {names}")
    return found[:limit]


def history_of(session: Session, records: Sequence[KeptRecord], *, name: str) -> History:
    """Return the experiments beside each other. Raises UsageError where none can be shown so."""
    read, left_out = [], []
    for record in sorted(records, key=lambda one: one.submitted_s):
        try:
            read.append(_read(session, record))
        except UsageError as error:
            left_out.append(f"{record.experiment_id} is left out: {error}")
    if not read:
        raise UsageError("; ".join(left_out))
    past = [one.past for one in read]
    return History(name=name, past=past, changed=[*_changed(read)], left_out=left_out)


def _read(session: Session, record: KeptRecord) -> _Read:
    """Return what came of one experiment. Raises UsageError, with the reason alone, where nothing can."""
    if isinstance(record, AnswerRecord):
        return _of_answer(session, record)
    if not isinstance(record, ExperimentRecord) or record.experiment.grid:
        raise UsageError("a sweep has a verdict for each of its points")
    from likewise.producer.experiments import judge

    outcome = judge(session, record)
    if not outcome.ended:
        raise UsageError("it is not finished")
    warm = {}
    if "bench" in record.findings:
        bench = bench_of(session, record)
        warm = {bench.names[row.side]: row.median_s for row in bench.rows if row.phase == "run"}
    comparison = outcome.comparison
    runs = {one.side: _numbers_of(one) for one in comparison.runs}
    past = Past(
        record=record,
        verdict=None if record.kind == "explanation" else comparison.verdict,
        numbers={side: runs.get(side, {}) for side in comparison.sides},
        warm_run_s=warm,
    )
    seeds = {("", "seeds"): list(record.experiment.seed_list)}
    return _Read(past=past, jobs=comparison.jobs, settings=seeds)


def _of_answer(session: Session, record: AnswerRecord) -> _Read:
    """Return what an answer says, with each side's program and version as its settings."""
    answer = answer_of(session, record)
    numbers: dict[str, dict[str, float]] = {side: {} for side in record.frameworks}
    if isinstance(answer, PortTraining):
        for side, runs in answer.runs.items():
            last = [one.losses[-1] for one in runs if one.losses]
            numbers[side] = {"final loss": fmean(last)} if last else {}
            numbers[side]["train, s"] = fmean(one.train_s for one in runs)
    elif isinstance(answer, PortCheck):
        states = [rung.status for rung in answer.rungs]
        numbers[answer.sides[1]] = {
            "rungs that hold": float(states.count("holds")),
            "rungs that fail": float(states.count("fails")),
            "findings": float(len(answer.findings)),
        }
    settings: dict[tuple[str, str], Any] = {}
    for label, one in record.subject.sides.items():
        told = {"program": one.program, "version": one.version}
        told |= {file: f"sha256 {digest[:8]}" for file, digest in one.files.items()}
        settings |= {(label, path): value for path, value in told.items() if value is not None}
    past = Past(record=record, verdict=record.verdict, numbers=numbers)
    return _Read(past=past, jobs={}, settings=settings)


def _numbers_of(run: SideRuns) -> dict[str, float]:
    """Return the means over seeds: the final loss, the metrics of each part, the seconds of training."""
    found = {} if run.final_loss is None else {"final loss": run.final_loss.mean}
    found |= {
        f"{part} {name}": one.mean for part, named in run.metrics.items() for name, one in named.items()
    }
    return found if run.train_s is None else found | {"train, s": run.train_s.mean}


def _changed(read: Sequence[_Read]) -> Iterator[ChangedSetting]:
    """Yield what is not the same in all experiments that have the side."""
    for side, path in dict.fromkeys(key for one in read for key in one.settings):
        values = {
            one.past.record.experiment_id: one.settings[side, path]
            for one in read
            if (side, path) in one.settings
        }
        first, *others = values.values()
        if any(value != first for value in others):
            yield ChangedSetting(side=side, path=path, values=values)
    for side in dict.fromkeys(side for one in read for side in one.jobs):
        jobs = {one.past.record.experiment_id: one.jobs[side] for one in read if side in one.jobs}
        for found in setting_differences(jobs):
            yield ChangedSetting(side=side, path=found.path, values=found.values)
