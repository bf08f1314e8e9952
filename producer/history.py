"""Several experiments beside each other: what was changed between them, and what came of each.

A comparison's verdict, its last losses, metrics and times are read from what it returned; a bench has the
median of its warm runs besides. A sweep has many points, and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from likewise.producer.job.resolve import setting_differences
from likewise.producer.kept import bench_of
from likewise.producer.report.history import ChangedSetting, History, Past
from likewise.producer.runs.submitted import SEARCHED
from likewise.shared.errors import UsageError

if TYPE_CHECKING:
    from likewise.producer.session import Session
    from likewise.shared.ledger.records import ExperimentRecord


def named(session: Session, pattern: str, *, limit: int) -> list[ExperimentRecord]:
    """Return the newest experiments of a name, or of a pattern. Raises UsageError where there is none."""
    recent = session.ledger.experiments(limit=SEARCHED)
    found = [one for one in recent if fnmatchcase(one.experiment.name, pattern)]
    if not found:
        names = ", ".join(dict.fromkeys(one.experiment.name for one in recent[:50])) or "there are none yet"
        raise UsageError(f"no experiment is called {pattern!r}; there are {names}")
    return found[:limit]


def history_of(session: Session, records: Sequence[ExperimentRecord], *, name: str) -> History:
    """Return the experiments beside each other. Raises UsageError where none can be shown so."""
    from likewise.producer.experiments import judge

    past, left_out = [], []
    for record in sorted(records, key=lambda one: one.submitted_s):
        if record.experiment.grid:
            left_out.append(
                f"{record.experiment_id} is left out: a sweep has a verdict for each of its points"
            )
            continue
        outcome = judge(session, record)
        if not outcome.ended:
            left_out.append(f"{record.experiment_id} is left out: it is not finished")
            continue
        warm = {}
        if "bench" in record.findings:
            bench = bench_of(session, record)
            warm = {bench.names[row.side]: row.median_s for row in bench.rows if row.phase == "run"}
        past.append(Past(record=record, comparison=outcome.comparison, warm_run_s=warm))
    if not past:
        raise UsageError("; ".join(left_out))
    return History(name=name, past=past, changed=_changed(past), left_out=left_out)


def _changed(past: Sequence[Past]) -> list[ChangedSetting]:
    """Return what is not the same in all experiments that have the side."""
    sides = dict.fromkeys(side for one in past for side in one.comparison.jobs)
    seeds = {one.record.experiment_id: list(one.record.experiment.seed_list) for one in past}
    in_common = (
        []
        if len(set(map(tuple, seeds.values()))) == 1
        else [ChangedSetting(side="", path="seeds", values=seeds)]
    )
    return in_common + [
        ChangedSetting(side=side, path=found.path, values=found.values)
        for side in sides
        for found in setting_differences(
            {
                one.record.experiment_id: one.comparison.jobs[side]
                for one in past
                if side in one.comparison.jobs
            }
        )
    ]
