"""Trains a run and returns its typed result: the way into `worker.training`.

Loads the data, decides on threads, collects results and failures, and records what ran; `run_trainer` does
the trainings. The framework stands behind `FrameworkAdapter`, the queue behind `RunServices`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata

import numpy as np

from likewise.shared.errors import ServiceError
from likewise.shared.job.shape import ShapeError
from likewise.shared.limits import Limits, excesses_of
from likewise.shared.names import environment_key, package_name
from likewise.shared.program.together import obstacle
from likewise.shared.results.run_result import Environment, Failure, RunResult
from likewise.shared.results.step_trace import Trace
from likewise.shared.run import Run
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.training.checkpoints import Checkpoint, Checkpoints
from likewise.worker.training.failures import TrainingError, typed
from likewise.worker.training.resources import give_back, threads_of
from likewise.worker.training.results import Member, Packer
from likewise.worker.training.run_trainer import RunServices, RunTrainer
from likewise.worker.training.samples import load_run


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Says who trains a run, where, and in which attempt."""

    worker: str
    host: str
    image: str | None = None
    number: int = 1
    threads: int
    """The most threads that a training may take whose run names no number."""
    queue_s: float | None = None
    """How long the run waited before it was claimed."""
    import_s: float | None = None
    """How long the framework took to start."""


def train_run(run: Run, *, adapter: FrameworkAdapter, attempt: Attempt, services: RunServices) -> RunResult:
    """Train every member of the run; or replay its first seed for a trace, or predict with its given weights.

    The adapter has been started. Where a checkpoint of the run is kept, training goes on from it.

    Never raises for what a job can cause: that becomes a failure in the result. A seed that diverges fails
    alone; any other failure would meet the next seed as well, so it ends the run. Exceptions of the services
    pass, except where `load` finds an array gone or damaged.
    """
    members = _members_of(run)
    packer = Packer(services.store)
    threads = run.threads or attempt.threads
    ended: Failure | None = None
    checkpoints: Checkpoints | None = None
    checkpoint: Checkpoint | None = None
    trainer: RunTrainer | None = None
    trace: Trace | None = None
    try:
        _check_framework(run, adapter)
        with typed(adapter, passing=ServiceError):
            _check_limits(run, services.limits)
            adapter.check(run.job)
            data = load_run(run, services.load)
            together = 1 if obstacle(run.job) else len(members)
            wanted = threads_of(run.job, data, members=together, most=threads, adapter=adapter)
            threads = adapter.use_threads(wanted)
            if run.timed == "cold":
                adapter.forget_programs()
                give_back()
        if services.checkpoints is not None:
            checkpoints = Checkpoints(
                services.checkpoints,
                packer=packer,
                every_s=services.checkpoint_s,
                made_by=partial(_made_by, run, adapter, threads=threads),
            )
            checkpoint = checkpoints.resume(attempt=attempt.number, members=len(members))
        trainer = RunTrainer(
            run, data, adapter, services=services, checkpoints=checkpoints, queue_s=attempt.queue_s
        )
        if run.trace is not None:
            trace = trainer.trace(run.trace)
        elif run.predicts:
            packer.add(trainer.predict(members[0]))
            packer.flush()
        else:
            if run.timed == "warm":
                trainer.warm_up(members[0])
            for trained in trainer.train(members, after=checkpoint):
                packer.add(trained)
            packer.flush()
    except TrainingError as error:
        ended = error.failure()
    failure = ended or _first_failure(packer.failures)
    notes = [
        *(checkpoints.notes if checkpoints else ()),
        *(trainer.notes if trainer else ()),
        *(checkpoints.trouble if checkpoints else ()),
    ]
    execution = trainer.execution if trainer and trainer.execution else run.job.execution
    return RunResult(
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        framework=run.framework,
        side=run.side,
        status="failed" if failure else "succeeded",
        failure=failure,
        arrays=tuple(packer.arrays),
        trace=trace,
        notes=tuple(dict.fromkeys(notes)),
        environment=_environment(run, adapter, attempt, execution=execution, threads=threads),
        worker=attempt.worker,
        attempt=attempt.number,
        target_scaling=run.dataset.target_scaling,
        output_columns=_output_columns(run),
    )


def _output_columns(run: Run) -> dict[str, tuple[int, int]]:
    """Return where each named output lies in a row of outputs; nothing of a model that cannot be compiled."""
    with suppress(ShapeError):
        return {one.name: one.columns for one in run.program.outputs if one.columns is not None}
    return {}


def _members_of(run: Run) -> list[Member]:
    """Return the members of a run: every seed of each point in turn."""
    jobs = [
        run.job.model_copy(update={"optimizer": optimizer})
        for optimizer in run.optimizers or (run.job.optimizer,)
    ]
    return [Member(seed=seed, point=point, job=job) for point, job in enumerate(jobs) for seed in run.seeds]


def _check_framework(run: Run, adapter: FrameworkAdapter) -> None:
    version = adapter.describe().framework_version if run.version else None
    if environment_key(run.framework, run.version) != environment_key(adapter.name, version):
        raise TrainingError(
            "invalid",
            f"The run is for {run.framework} {run.version or ''}".rstrip()
            + f", but this worker trains with {adapter.name} {version or ''}".rstrip(),
        )


def _check_limits(run: Run, limits: Limits) -> None:
    excess = next(excesses_of(run, limits), None)
    if excess is not None:
        raise TrainingError("too_large", str(excess))


def _made_by(run: Run, adapter: FrameworkAdapter, *, threads: int) -> str:
    """Return what a training's bits depend on, the run and what a worker knows besides, as JSON."""
    told = asdict(adapter.describe())
    return json.dumps(
        {**told, "run": run.run_id, "numpy": np.__version__, "threads": threads}, sort_keys=True
    )


def _first_failure(failures: Sequence[Failure]) -> Failure | None:
    """Return the failure that ended the run, else that of the first seed that diverged."""
    ended = [failure for failure in failures if failure.reason != "diverged"]
    return next(iter([*ended, *failures]), None)


def _environment(
    run: Run, adapter: FrameworkAdapter, attempt: Attempt, *, execution: str, threads: int
) -> Environment:
    description = adapter.describe()
    return Environment(
        framework=adapter.name,
        framework_version=description.framework_version,
        versions={
            "python": platform.python_version(),
            "numpy": np.__version__,
            **{name: metadata.version(name) for name in map(package_name, run.requirements)},
            **description.versions,
        },
        device=description.device,
        threads=threads,
        execution=execution,
        flags=description.flags,
        platform=platform.platform(),
        host=attempt.host,
        image=attempt.image,
        import_s=attempt.import_s,
    )
