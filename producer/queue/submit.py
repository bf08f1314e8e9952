"""Puts an experiment's runs on the ledger and wakes the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kombu.exceptions import OperationalError

from producer.queue.runs import RunMaker, new_id, queue_of
from shared.celery_app import send_wakeups
from shared.errors import NoWorkerError, RedisError, UsageError
from shared.ledger.ledger import Ledger
from shared.ledger.records import ExperimentRecord, WorkerPresence
from shared.run import Run

__all__ = [
    "FollowUp",
    "enqueue",
    "new_id",
    "queue_of",
    "refuse_unserved",
    "submit",
    "submit_follow_up",
    "submit_runs",
]

if TYPE_CHECKING:
    import celery

    from producer.data import PreparedRun
    from shared.job import Experiment
    from shared.ledger.transitions import Before
    from shared.store.blobs import BlobBatch, BlobStore


def submit(  # noqa: PLR0913
    experiment: Experiment,
    prepared: Mapping[str, PreparedRun],
    *,
    ledger: Ledger,
    blobs: BlobStore,
    app: celery.Celery,
    queue_anyway: bool = False,
    key: str | None = None,
) -> ExperimentRecord:
    """Store the arrays, write the records, then send one message a run.

    Raises NoWorkerError (with the live workers) unless `queue_anyway`. The same idempotency `key`
    gives the experiment it was first used for; UsageError if that was another job. Once the records
    are written the submission stands: a message that cannot be sent is sent later by a worker.
    """
    workers, now_s = ledger.census()
    if not queue_anyway:
        refuse_unserved(
            {label: queue_of(one.side.framework, one.job) for label, one in prepared.items()}, workers
        )
    experiment_id = new_id()
    maker = RunMaker(experiment_id, blobs=blobs, workers=workers)
    runs = [run for one in prepared.values() for run in maker.runs(one, experiment.seed_list)]
    return submit_runs(
        experiment_id, experiment, runs, maker.arrays, ledger=ledger, app=app, key=key, now_s=now_s
    )


def submit_runs(  # noqa: PLR0913
    experiment_id: str,
    experiment: Experiment,
    runs: Sequence[Run],
    arrays: BlobBatch,
    *,
    ledger: Ledger,
    app: celery.Celery,
    now_s: float,
    key: str | None = None,
) -> ExperimentRecord:
    """Write an experiment with its runs and their arrays, and wake the workers; `now_s` is the server's time.

    Raises as `submit` does for a `key`.
    """
    record = ExperimentRecord(
        experiment_id=experiment_id,
        submitted_s=now_s,
        experiment=experiment,
        run_ids=tuple(run.run_id for run in runs),
    )
    queues = [queue_of(run.framework, run.job) for run in runs]
    stored = enqueue(record, runs, queues, ledger=ledger, app=app, key=key, before=arrays.add_to)
    if stored == experiment_id:
        return record
    known = _known(ledger, stored)
    if known.experiment != experiment:
        raise UsageError(
            f"--key {key} was used before for another job, {known.experiment.name} ({stored}); "
            "give this one a key of its own"
        )
    return known


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """Further trainings for an experiment, on data that are stored already."""

    relation: str
    """What they are to the experiment: the name under which its record's `related` has them."""
    experiment: Experiment
    """What is trained, as an experiment of its own."""
    runs: Sequence[Run]
    """Its runs; each is queued under an id of its own."""
    announcement: str | None = None
    """What is said of it once it is queued."""


def submit_follow_up(
    parent: ExperimentRecord, wanted: FollowUp, *, ledger: Ledger, app: celery.Celery
) -> ExperimentRecord:
    """Put a follow-up of an experiment on the queue. Raises CancelledError if that was cancelled."""
    experiment_id = new_id()
    own = [run.model_copy(update={"run_id": new_id(), "experiment_id": experiment_id}) for run in wanted.runs]
    record = ExperimentRecord(
        experiment_id=experiment_id,
        submitted_s=ledger.now(),
        experiment=wanted.experiment,
        run_ids=tuple(run.run_id for run in own),
    )
    queues = [queue_of(run.framework, run.job) for run in own]
    enqueue(record, own, queues, ledger=ledger, app=app, belongs_to=(wanted.relation, parent.experiment_id))
    return record


def enqueue(  # noqa: PLR0913
    record: ExperimentRecord,
    runs: Sequence[Run],
    queues: Sequence[str],
    *,
    ledger: Ledger,
    app: celery.Celery,
    key: str | None = None,
    belongs_to: tuple[str, str] | None = None,
    before: Before | None = None,
) -> str:
    """Write the records in one step, then send the messages; the id of the experiment that is stored."""
    stored = ledger.add(
        record, list(zip(runs, queues, strict=True)), key=key, belongs_to=belongs_to, before=before
    )
    if stored == record.experiment_id:
        # Redis may go away just now; the records are written, and a worker sends what messages are missing.
        with suppress(OperationalError):
            send_wakeups(app, zip((run.run_id for run in runs), queues, strict=True))
    return stored


def refuse_unserved(queues: Mapping[str, str], workers: Sequence[WorkerPresence]) -> None:
    """Raise NoWorkerError if some queue has no live worker."""
    served = {queue for worker in workers for queue in worker.queues}
    missing = [
        side if queue.endswith(".any") else f"{side} on {queue.rpartition('.')[2]}"
        for side, queue in queues.items()
        if queue not in served
    ]
    if not missing:
        return
    live = ", ".join(f"{worker.framework} on {worker.device} ({worker.host})" for worker in workers)
    raise NoWorkerError(
        f"no live worker serves {' or '.join(missing)}; live workers: {live or 'none'}. "
        "Start one, or submit with --queue-anyway to wait for it"
    )


def _known(ledger: Ledger, experiment_id: str) -> ExperimentRecord:
    record = ledger.experiment(experiment_id)
    if record is None:
        raise RedisError(f"experiment {experiment_id} was deleted while it was looked up; submit it again")
    return record
