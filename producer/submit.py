"""Puts an experiment's runs on the ledger and wakes the workers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from kombu.exceptions import OperationalError

from shared.celery_app import send_wakeups
from shared.errors import NoWorkerError, RedisError, UsageError
from shared.ledger import ExperimentRecord, Ledger, WorkerPresence
from shared.names import train_queue
from shared.run import Dataset, Run, Samples

if TYPE_CHECKING:
    import celery

    from producer.data import Arrays, PreparedData, PreparedRun
    from shared.blobs import BlobStore
    from shared.spec import Experiment, Job


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
    queues = {framework: queue_of(framework, one.job) for framework, one in prepared.items()}
    if not queue_anyway:
        refuse_unserved(queues, ledger.workers())

    experiment_id = new_id()
    datasets: dict[int, Dataset] = {}  # frameworks that share their data share the arrays, too
    runs = []
    for framework, one in prepared.items():
        if id(one.data) not in datasets:
            datasets[id(one.data)] = _store(one.data, blobs)
        weights = one.data.given_weights
        runs.append(
            Run(
                run_id=new_id(),
                experiment_id=experiment_id,
                framework=framework,
                job=one.job,
                seeds=experiment.seed_list,
                dataset=datasets[id(one.data)],
                given_weights=None
                if weights is None
                else {name: blobs.put(array) for name, array in weights.items()},
            )
        )
    record = ExperimentRecord(
        experiment_id=experiment_id,
        submitted_s=ledger.now(),
        experiment=experiment,
        run_ids=tuple(run.run_id for run in runs),
    )
    stored = enqueue(record, runs, [queues[run.framework] for run in runs], ledger=ledger, app=app, key=key)
    if stored == experiment_id:
        return record
    known = _known(ledger, stored)
    if known.experiment != experiment:
        raise UsageError(
            f"--key {key} was used before for another job, {known.experiment.name} ({stored}); "
            "give this one a key of its own"
        )
    return known


def enqueue(  # noqa: PLR0913
    record: ExperimentRecord,
    runs: Sequence[Run],
    queues: Sequence[str],
    *,
    ledger: Ledger,
    app: celery.Celery,
    key: str | None = None,
    belongs_to: tuple[str, str] | None = None,
) -> str:
    """Write the records in one step, then send the messages; the id of the experiment that is stored."""
    stored = ledger.add(record, runs, queues, key=key, belongs_to=belongs_to)
    if stored == record.experiment_id:
        # Redis may go away just now; the records are written, and a worker sends what messages are missing.
        with suppress(OperationalError):
            send_wakeups(app, zip((run.run_id for run in runs), queues, strict=True))
    return stored


def queue_of(framework: str, job: Job) -> str:
    """Where a job's runs wait: any worker of the framework, or one with the device asked for."""
    return train_queue(framework, "any" if job.device == "auto" else job.device)


def refuse_unserved(queues: Mapping[str, str], workers: Sequence[WorkerPresence]) -> None:
    """Raise NoWorkerError if some queue has no live worker."""
    served = {queue for worker in workers for queue in worker.queues}
    missing = [
        framework if queue.endswith(".any") else f"{framework} on {queue.rpartition('.')[2]}"
        for framework, queue in queues.items()
        if queue not in served
    ]
    if not missing:
        return
    live = ", ".join(f"{worker.framework} on {worker.device} ({worker.host})" for worker in workers)
    raise NoWorkerError(
        f"no live worker serves {' or '.join(missing)}; live workers: {live or 'none'}. "
        "Start one, or submit with --queue-anyway to wait for it"
    )


def new_id() -> str:
    """An id nobody else draws: 80 random bits."""
    return secrets.token_hex(10)


def _store(data: PreparedData, blobs: BlobStore) -> Dataset:
    def samples(part: Arrays) -> Samples:
        return Samples(x=blobs.put(part.x), y=blobs.put(part.y))

    return Dataset(
        task=data.task,
        train=samples(data.train),
        validation=None if data.validation is None else samples(data.validation),
        test=None if data.test is None else samples(data.test),
        predict=None if data.predict is None else blobs.put(data.predict),
        classes=data.classes,
        class_names=data.class_names,
        feature_names=data.feature_names,
        target_names=data.target_names,
    )


def _known(ledger: Ledger, experiment_id: str) -> ExperimentRecord:
    record = ledger.experiment(experiment_id)
    if record is None:
        raise RedisError(f"experiment {experiment_id} was deleted while it was looked up; submit it again")
    return record
