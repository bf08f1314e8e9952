"""The timed runs on the queue: one at a time, each on its worker's host alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from producer.bench.conclude import conclude
from producer.bench.models import Bench, Phase, Timed, Variant
from producer.bench.protocol import Enough, alternate
from producer.queue.follow import Noticed, Progressed, follow
from producer.queue.results import collect
from producer.queue.submit import Submission, enqueue, new_id
from shared.errors import CancelledError, LikewiseError, RunFailedError
from shared.job.training import BatchPlan
from shared.ledger.records import ExperimentRecord
from shared.results.run_result import RunResult
from shared.results.seed_table import Load, SeedTable
from shared.run import Run
from shared.run import Timed as Kind

if TYPE_CHECKING:
    from producer.bench.progress import Told
    from producer.follow_ups import Outcome
    from producer.queue.routing import Site
    from producer.session import Session
    from shared.job.experiment import Execution

TIMED = "timed"
"""What a timed run is to the experiment it measures; each replaces the one before."""


def bench(
    session: Session,
    outcome: Outcome,
    *,
    executions: Sequence[Execution],
    enough: Enough,
    sites: Mapping[str, Site],
    told: Told,
) -> Bench:
    """Warm every variant up, then time them in turns. `outcome` says whether the values agree."""
    runs = {run.side: run for run in outcome.runs}
    timing = _Timing(session, runs, sites=sites, parent=outcome.comparison.experiment_id, told=told)
    first, missing = _warm_up(timing, executions, told=told)
    timed = alternate(list(first), timing.time_one, enough=enough, said=told.round) if first else {}
    return conclude(outcome.comparison, first=first, timed=timed, missing=missing, precision=enough.precision)


def _warm_up(
    timing: _Timing, executions: Sequence[Execution], *, told: Told
) -> tuple[dict[Variant, Timed], list[str]]:
    """Each variant's first run; and a sentence for each that fails, or that runs as an earlier one does.

    It forgets all programs, so that what the variant compiles is measured even where the comparison, an
    earlier variant or an earlier bench compiled it before. A worker that is warm no more, or was not the one
    that took the first run, compiles before its next timed run.
    """
    first: dict[Variant, Timed] = {}
    missing: list[str] = []
    for framework in timing.runs:
        ran: dict[str, Variant] = {}
        for execution in executions:
            variant = Variant(framework=framework, execution=execution)
            told.warming(variant)
            try:
                timed = timing.time_one(variant, kind="cold")
            except RunFailedError as error:
                missing.append(f"{variant.label} cannot be timed: {error}")
                continue
            if (same := ran.setdefault(timed.environment.execution, variant)) != variant:
                missing.append(f"{variant.label} runs as {same.label} does, and is timed once")
            else:
                first[variant] = timed
    return first, missing


class _Timing:
    """Puts one timed run after another on the queue."""

    def __init__(
        self,
        session: Session,
        runs: Mapping[str, Run],
        *,
        sites: Mapping[str, Site],
        parent: str,
        told: Told,
    ) -> None:
        self.runs = runs
        self._sites = sites
        self._session = session
        self._parent = parent
        self._told = told

    def time_one(self, variant: Variant, *, kind: Kind = "warm") -> Timed:
        """One timed run, from submission to result. Raises RunFailedError, and CancelledError."""
        self._told.timing(variant)
        run, record = self._submit(variant, kind)
        ledger = self._session.ledger
        for update in follow(record, ledger=ledger, client=self._session.client):
            if isinstance(update, Noticed):
                self._told.notice(update.text)
            elif isinstance(update, Progressed) or update.record.state == "leased":
                self._told.training(variant)
        (result,) = collect(record, ledger=ledger)
        if result.failure and result.failure.reason == "cancelled":
            raise CancelledError(f"the bench of {self._parent} was cancelled")
        ledger.delete(record.experiment_id)
        return timed_of(variant, run, result, self._session.blobs.get)

    def _submit(self, variant: Variant, kind: Kind) -> tuple[Run, ExperimentRecord]:
        base, experiment_id = self.runs[variant.framework], new_id()
        job = base.job.model_copy(update={"execution": variant.execution})
        run = base.model_copy(
            update={
                "run_id": new_id(),
                "experiment_id": experiment_id,
                "job": job,
                "seeds": base.seeds[:1],
                "timed": kind,
            }
        )
        parent = self._session.ledger.experiment(self._parent)
        if parent is None:
            raise LikewiseError(f"experiment {self._parent} was deleted while it was timed")
        record = ExperimentRecord(
            experiment_id=experiment_id,
            submitted_s=time.time(),
            experiment=parent.experiment.with_sides([variant.framework], seeds=base.seeds[:1]),
            run_ids=(run.run_id,),
        )
        submission = Submission(
            record=record,
            runs=[run],
            queue=self._sites[variant.framework].queue,
            belongs_to=(TIMED, self._parent),
        )
        enqueue(self._session, submission)
        return run, record


def timed_of(variant: Variant, run: Run, result: RunResult, arrays: Load) -> Timed:
    """A run's result as one sample. Raises RunFailedError for one without timings."""
    table = SeedTable.of(result, run.seeds[:1], arrays=arrays)
    if result.failure or not table.succeeded[0] or result.environment is None:
        raise RunFailedError(result.failure.message if result.failure else "it returned no timings")
    samples = run.dataset.train.x.shape[0]
    timings, memory = table.timings_of(0), table.memory_of(0)
    if timings is None:
        raise RunFailedError("it returned no timings")
    epochs = int(table.epochs[0])
    steps = epochs * BatchPlan.of(run.job.training, samples).steps_per_epoch
    phases: dict[Phase, float] = {
        "build": timings.build_s,
        "compile": timings.compile_s,
        "train": timings.train_s,
        "step": timings.train_s / steps,
        "inference": timings.predict_s,
        "run": timings.build_s + timings.compile_s + timings.train_s + timings.predict_s,
    }
    if timings.queue_s is not None and result.attempt == 1:  # else it holds the lost attempts
        phases["queue"] = timings.queue_s
    if result.environment.import_s is not None:
        phases["import"] = result.environment.import_s
    return Timed(
        variant=variant,
        phases=phases,
        samples_per_s=epochs * samples / timings.train_s if timings.train_s else None,
        peak_bytes=memory.peak_bytes,
        grown_bytes=memory.grown_bytes,
        device_peak_bytes=memory.device_peak_bytes,
        environment=result.environment,
        conditions=result.conditions,
        attempt=result.attempt,
    )
