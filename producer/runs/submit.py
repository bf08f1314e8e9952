"""Makes the runs of an experiment, writes them on the ledger and wakes the workers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from kombu.exceptions import OperationalError

from likewise.producer.runs.routing import Need, common_device, refuse_unserved, threads_alone
from likewise.shared.celery_app import send_wakeups
from likewise.shared.errors import RedisError, UsageError
from likewise.shared.ledger.ledger import Ledger
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.names import kind_of, lane_of
from likewise.shared.program.together import convolutions_obstacle, obstacle
from likewise.shared.run import Dataset, ProgramFile, Run, Samples

if TYPE_CHECKING:
    from pathlib import Path

    import celery

    from likewise.producer.data.prepare import Arrays, PreparedData, PreparedRun
    from likewise.shared.job import Experiment
    from likewise.shared.job.experiment import Precision
    from likewise.shared.job.optimizer import Optimizer
    from likewise.shared.ledger.records import Kind, WorkerPresence
    from likewise.shared.names import Priority
    from likewise.shared.store.blobs import BlobBatch, BlobStore


class Services(Protocol):
    """They are what submitting needs; a command's `Session` has them."""

    @property
    def ledger(self) -> Ledger:
        """Return the ledger of runs."""

    @property
    def blobs(self) -> BlobStore:
        """Return the store of arrays."""

    @property
    def app(self) -> celery.Celery:
        """Return what sends the messages."""

    @property
    def programs(self) -> Path | None:
        """Return the folder from which the workers run programs; None where they run none."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """It says how an experiment is submitted, and as what it is kept."""

    kind: Kind = "comparison"
    tags: Sequence[str] = ()
    """Words by which it is found again."""
    note: str = ""
    priority: Priority = "normal"
    key: str | None = None
    """The idempotency key: with one that was used before, nothing is queued."""
    queue_anyway: bool = False
    """Whether to queue where no live worker serves a side."""

    def __post_init__(self) -> None:
        """Raise UsageError for a key that is empty, as of a variable that is not set in a script."""
        if self.key == "":
            raise UsageError("--key is empty; give this submission a name of its own, or leave --key out")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """It is an experiment with its runs, about to be queued."""

    record: ExperimentRecord
    runs: Sequence[Run]
    queue: str | None = None
    """All runs wait in this queue; if it is None, each waits in that of what it needs."""
    key: str | None = None
    """The idempotency key: with one that was used before, nothing is queued."""
    belongs_to: tuple[str, str] | None = None
    """A relation, such as `twin`, and the id of the experiment that this one belongs to."""


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """It asks for further trainings for an experiment, on data that are stored already."""

    relation: str
    """What they are to the experiment: the name under which its record's `related` has them."""
    experiment: Experiment
    """What is trained, as an experiment of its own."""
    runs: Sequence[Run]
    """Each of these runs is queued under an id of its own."""
    announcement: str | None = None
    """What is said of it once it is queued."""
    queue: str | None = None
    """All runs wait in this queue; if it is None, each waits in that of what it needs."""
    kept: bool = True
    """Whether its records stay on the ledger once its results are read."""


def submit(
    services: Services,
    experiment: Experiment,
    prepared: Mapping[str, PreparedRun],
    request: Request = Request(),
) -> ExperimentRecord:
    """Store the arrays, write the records, then send one message a run.

    Raises NoWorkerError (with the live workers) unless told to queue anyway. The same idempotency key
    gives the experiment it was first used for; UsageError if that was another job. Once the records
    are written the submission stands: a message that cannot be sent is sent later by a worker.
    """
    maker = RunMaker(services)
    if not request.queue_anyway:
        maker.refuse_unserved(prepared)
    prepared = maker.on_common_device(prepared)
    runs = [run for one in prepared.values() for run in maker.runs(one, experiment.seed_list)]
    return submit_runs(services, maker, experiment, runs, request)


def submit_runs(
    services: Services,
    maker: RunMaker,
    experiment: Experiment,
    runs: Sequence[Run],
    request: Request = Request(),
) -> ExperimentRecord:
    """Write an experiment with the runs that the maker has made, and wake the workers.

    Raises as `submit` does for an idempotency key.
    """
    threads = maker.threads_alone(runs)
    if threads is not None:
        runs = [run.model_copy(update={"threads": threads}) for run in runs]
    record = ExperimentRecord(
        experiment_id=maker.experiment_id,
        submitted_s=maker.now_s,
        experiment=experiment,
        run_ids=tuple(run.run_id for run in runs),
        priority=request.priority,
        kind=request.kind,
        tags=tuple(request.tags),
        note=request.note,
    )
    maker.arrays.flush()
    submission = Submission(record=record, runs=runs, key=request.key)
    stored = enqueue(services, submission)
    if stored == record.experiment_id:
        return record
    known = services.ledger.experiment(stored)
    if known is None:
        raise RedisError(f"experiment {stored} was deleted while it was looked up; submit it again")
    if known.experiment != experiment:
        raise UsageError(
            f"--key {request.key} was used before for another job, {known.experiment.name} ({stored}); "
            "give this one a key of its own"
        )
    return known


def submit_follow_up(services: Services, parent: ExperimentRecord, wanted: FollowUp) -> ExperimentRecord:
    """Put a follow-up of an experiment on the queue. Raises CancelledError if that was cancelled."""
    experiment_id = new_id()
    own = [run.model_copy(update={"run_id": new_id(), "experiment_id": experiment_id}) for run in wanted.runs]
    record = ExperimentRecord(
        experiment_id=experiment_id,
        submitted_s=services.ledger.now(),
        experiment=wanted.experiment,
        run_ids=tuple(run.run_id for run in own),
        priority=parent.priority,
    )
    belongs_to = (wanted.relation, parent.experiment_id)
    enqueue(services, Submission(record=record, runs=own, queue=wanted.queue, belongs_to=belongs_to))
    return record


def enqueue(services: Services, submission: Submission) -> str:
    """Write the records in one step and send the messages. Return the id of the experiment that is stored."""
    record, runs = submission.record, submission.runs
    queues = [submission.queue or Need.of_run(run).queue() for run in runs]
    stored = services.ledger.add(
        record,
        list(zip(runs, queues, strict=True)),
        key=submission.key,
        belongs_to=submission.belongs_to,
    )
    if stored == record.experiment_id:
        # Redis may go away just now; the records are written, and a worker sends what messages are missing.
        with suppress(OperationalError):
            lanes = [lane_of(queue, record.priority) for queue in queues]
            send_wakeups(services.app, zip((run.run_id for run in runs), lanes, strict=True))
    return stored


LEAST_TOGETHER = 100
"""A part that trains as one program has so many seeds: fewer are not worth another worker's start."""
LEAST_IN_TURN = 5
"""A part whose seeds are trained one after another has so many."""


class RunMaker:
    """Makes the runs of one experiment; data that several of them share are stored once."""

    def __init__(self, services: Services) -> None:
        """Look which workers are alive: the idle ones share a side's seeds."""
        self.experiment_id = new_id()
        self.arrays: BlobBatch = services.blobs.batch()
        """The data, which are stored before the runs."""
        self._workers: Sequence[WorkerPresence]
        self._workers, self.now_s = services.ledger.census()
        services.ledger.begin_submission(self.experiment_id, now_s=self.now_s)
        self._datasets: dict[int, tuple[PreparedData, Dataset]] = {}
        self._programs = services.programs

    def refuse_unserved(self, prepared: Mapping[str, PreparedRun]) -> None:
        """Raise NoWorkerError, with the live workers, where none can train one of the runs."""
        refuse_unserved([Need.of_side(one.side, one.job) for one in prepared.values()], self._workers)

    def on_common_device(self, prepared: Mapping[str, PreparedRun]) -> dict[str, PreparedRun]:
        """Return the same with the device that the live workers suggest, where a side leaves it open.

        All that follows an experiment, such as its float64 twin, then goes where its runs went.
        """
        needs = [Need.of_side(one.side, one.job) for one in prepared.values()]
        device = common_device(needs, self._workers)
        if device is None:
            return dict(prepared)
        return {
            label: replace(one, job=one.job.model_copy(update={"device": device}))
            if one.job.device == "auto"
            else one
            for label, one in prepared.items()
        }

    def threads_alone(self, runs: Sequence[Run]) -> int | None:
        """Return how many threads the runs may take, if they train alone (see `routing.threads_alone`)."""
        return threads_alone([Need.of_run(run) for run in runs], self._workers)

    def runs(
        self,
        prepared: PreparedRun,
        seeds: Sequence[int],
        *,
        optimizers: Sequence[Optimizer] | None = None,
        points: Sequence[int] | None = None,
    ) -> list[Run]:
        """Make one run, or one for each free worker where the seeds are worth it.

        Raises UsageError for a side with `execution: stock` whose program cannot be printed, or not be
        brought to the workers.
        """
        need = Need.of_side(prepared.side, prepared.job).settled(self._workers)
        weights = prepared.data.given_weights
        whole = Run(
            run_id=new_id(),
            experiment_id=self.experiment_id,
            framework=prepared.side.framework,
            side=prepared.side.label,
            version=need.version,
            requirements=need.requirements,
            job=prepared.job,
            seeds=tuple(seeds),
            dataset=self._dataset(prepared.data),
            draws=prepared.draws,
            program_files=self._program_files(prepared, swept=optimizers is not None),
            optimizers=None if optimizers is None else tuple(optimizers),
            points=None if points is None else tuple(points),
            given_weights=None
            if weights is None
            else {name: self.arrays.put(array) for name, array in weights.items()},
        )
        free = sum(worker.state == "idle" and need.met_by(worker) for worker in self._workers)
        parts = parts_of(whole.seeds, most=parts_worth(whole, free=free))
        if len(parts) == 1:
            return [whole]
        return [whole.model_copy(update={"run_id": new_id(), "seeds": part}) for part in parts]

    def _program_files(self, prepared: PreparedRun, *, swept: bool) -> dict[Precision, ProgramFile]:
        """Write the programs of a side that trains what is printed of it; any other side has none."""
        if prepared.job.execution != "stock":
            return {}
        label = prepared.side.label
        if swept:
            raise UsageError(
                f"{label} cannot be swept: execution: stock trains one printed program; sweep it with "
                "execution: auto, and compare the best point as stock with --set"
            )
        if self._programs is None:
            raise UsageError(
                f"{label} has execution: stock, and its workers run no programs: set LIKEWISE_PROGRAMS to a "
                "folder that this command writes and they read"
            )
        from likewise.producer.advice.stock import write_programs

        return write_programs(prepared, self._programs)

    def _dataset(self, data: PreparedData) -> Dataset:
        if id(data) not in self._datasets:
            self._datasets[id(data)] = (
                data,
                _stored(data, self.arrays),
            )  # held, so that its id stays its own
        return self._datasets[id(data)][1]


def parts_worth(run: Run, *, free: int) -> int:
    """Return into how many parts a run's seeds are worth cutting for so many free workers."""
    least = LEAST_TOGETHER if _together(run) else LEAST_IN_TURN
    members = len(run.seeds) * len(run.optimizers or (None,))
    return max(1, min(free, members // least, len(run.seeds)))


def _together(run: Run) -> bool:
    """Return whether the seeds train as one program, as far as is known before a framework sees the job."""
    samples = run.dataset.train.x.shape[0]
    members = len(run.seeds) * len(run.optimizers or (None,))
    slow = convolutions_obstacle(run.job, run.program, samples=samples, members=members)
    return obstacle(run.job) is None and (slow is None or kind_of(run.job.device) == "cuda")


def parts_of(seeds: tuple[int, ...], *, most: int) -> list[tuple[int, ...]]:
    """Return the seeds in order, in parts of one size up to one."""
    size, longer = divmod(len(seeds), most)
    parts, begin = [], 0
    for part in range(most):
        end = begin + size + (part < longer)
        parts.append(seeds[begin:end])
        begin = end
    return parts


def new_id() -> str:
    """Draw an id that nobody else draws: 80 random bits."""
    return secrets.token_hex(10)


def _stored(data: PreparedData, blobs: BlobBatch) -> Dataset:
    def samples(part: Arrays) -> Samples:
        weights = None if part.weights is None else blobs.put(part.weights)
        return Samples(x=blobs.put(part.x), y=blobs.put(part.y), weights=weights)

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
        columns=data.columns,
        scaling=None if data.scaling is None else blobs.put(data.scaling),
        target_scaling=data.target_scaling,
    )
