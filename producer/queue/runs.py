"""The runs of an experiment: a side's seeds in as many parts as there are workers for them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.names import train_queue
from shared.program import compile_job
from shared.program.together import convolutions_obstacle, obstacle
from shared.run import Dataset, Run, Samples

if TYPE_CHECKING:
    from producer.data import Arrays, PreparedData, PreparedRun
    from shared.job import Job
    from shared.job.optimizer import Optimizer
    from shared.ledger.records import WorkerPresence
    from shared.store.blobs import BlobBatch, BlobStore

LEAST_TOGETHER = 100
"""Seeds of a part that trains as one program: fewer are not worth another worker's start."""
LEAST_IN_TURN = 5
"""Seeds of a part whose seeds are trained one after another."""


class RunMaker:
    """Makes the runs of one experiment; data that several of them share are stored once."""

    def __init__(
        self, experiment_id: str, *, blobs: BlobStore, workers: Sequence[WorkerPresence] = ()
    ) -> None:
        """`workers` are those alive now; the idle ones share a side's seeds."""
        self._experiment_id = experiment_id
        self.arrays = blobs.batch()
        """To be stored with the runs, or before them."""
        self._workers = workers
        self._datasets: dict[int, tuple[PreparedData, Dataset]] = {}

    def runs(
        self,
        prepared: PreparedRun,
        seeds: Sequence[int],
        *,
        optimizers: Sequence[Optimizer] | None = None,
        points: Sequence[int] | None = None,
    ) -> list[Run]:
        """One run, or one for each free worker where the seeds are worth it."""
        weights = prepared.data.given_weights
        whole = Run(
            run_id=new_id(),
            experiment_id=self._experiment_id,
            framework=prepared.side.framework,
            side=prepared.side.label,
            job=prepared.job,
            seeds=tuple(seeds),
            dataset=self._dataset(prepared.data),
            optimizers=None if optimizers is None else tuple(optimizers),
            points=None if points is None else tuple(points),
            given_weights=None
            if weights is None
            else {name: self.arrays.put(array) for name, array in weights.items()},
        )
        queue = queue_of(whole.framework, whole.job)
        free = sum(worker.state == "idle" and queue in worker.queues for worker in self._workers)
        parts = parts_of(whole.seeds, most=parts_worth(whole, free=free))
        if len(parts) == 1:
            return [whole]
        return [whole.model_copy(update={"run_id": new_id(), "seeds": part}) for part in parts]

    def _dataset(self, data: PreparedData) -> Dataset:
        if id(data) not in self._datasets:
            self._datasets[id(data)] = (
                data,
                _stored(data, self.arrays),
            )  # held, so that its id stays its own
        return self._datasets[id(data)][1]


def parts_worth(run: Run, *, free: int) -> int:
    """Into how many parts a run's seeds are worth cutting for so many free workers."""
    least = LEAST_TOGETHER if _together(run) else LEAST_IN_TURN
    members = len(run.seeds) * len(run.optimizers or (None,))
    return max(1, min(free, members // least, len(run.seeds)))


def _together(run: Run) -> bool:
    """Whether the seeds train as one program, as far as can be told before a framework has seen the job."""
    samples, *shape = run.dataset.train.x.shape
    members = len(run.seeds) * len(run.optimizers or (None,))
    slow = convolutions_obstacle(
        run.job, compile_job(run.job, tuple(shape)), samples=samples, members=members
    )
    return obstacle(run.job) is None and (slow is None or run.job.device == "cuda")


def parts_of(seeds: tuple[int, ...], *, most: int) -> list[tuple[int, ...]]:
    """The seeds in order, in parts of one size up to one."""
    size, longer = divmod(len(seeds), most)
    parts, begin = [], 0
    for part in range(most):
        end = begin + size + (part < longer)
        parts.append(seeds[begin:end])
        begin = end
    return parts


def one_a_side(runs: Sequence[Run]) -> tuple[Run, ...]:
    """For each side its first run, with the seeds of all its runs, as if they had not been cut."""
    whole: dict[str, Run] = {}
    for run in runs:
        held = whole.get(run.side)
        seeds = run.seeds if held is None else (*held.seeds, *run.seeds)
        whole[run.side] = (held or run).model_copy(update={"seeds": seeds})
    return tuple(whole.values())


def queue_of(framework: str, job: Job) -> str:
    """Where a job's runs wait: any worker of the framework, or one with the device asked for."""
    return train_queue(framework, "any" if job.device == "auto" else job.device)


def new_id() -> str:
    """An id nobody else draws: 80 random bits."""
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
    )
