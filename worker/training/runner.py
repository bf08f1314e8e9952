"""Trains a run and returns its typed result: the way into `worker.training`.

Loads the data, decides on threads, collects results and failures, and records what ran; `run_trainer` does
the trainings. The framework stands behind `FrameworkAdapter`, the queue behind `Services`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from shared.names import environment_key
from shared.program.together import obstacle
from shared.results.run_result import Environment, Failure, RunResult
from shared.results.trace import Trace
from shared.run import Run
from worker.adapters.base import FrameworkAdapter
from worker.training import resources
from worker.training.checkpoints import Checkpoint, Checkpoints
from worker.training.failures import TrainingError, typed
from worker.training.resources import threads_of
from worker.training.results import Packer, members_of
from worker.training.run_trainer import RunTrainer, Services
from worker.training.samples import RunData, check_fit, load_run


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Who trains a run, where, and in which attempt."""

    worker: str
    host: str
    image: str | None = None
    number: int = 1
    threads: int
    """The most threads that a training may take."""
    queue_s: float | None = None
    """How long the run waited before it was claimed."""
    import_s: float | None = None
    """How long the framework took to start."""


def train_run(run: Run, *, adapter: FrameworkAdapter, attempt: Attempt, services: Services) -> RunResult:
    """Train every member of the run, or replay its first seed where it asks for a trace.

    The adapter has been started. Where a checkpoint of the run lies on the shelf, training goes on from it.

    Never raises for what a job can cause: that becomes a failure in the result. A seed that diverges fails
    alone; any other failure would meet the next seed as well, so it ends the run. Exceptions of the services
    pass, except where `load` finds an array gone or damaged.
    """
    packer = Packer(services.store)
    threads = attempt.threads
    checkpoints: Checkpoints | None = None
    ended: Failure | None = None
    notes: list[str] = []
    trainer: RunTrainer | None = None
    trace: Trace | None = None
    try:
        _check_framework(run, adapter)
        data = load_run(run, services.load)
        with typed(adapter):
            adapter.check(run.job)
            check_fit(data, run.job)
            threads = adapter.use_threads(_threads(run, data, most=threads))
            if run.timed == "cold":
                adapter.forget_programs()
                resources.give_back()
        if services.shelf is not None:
            checkpoints = Checkpoints(
                services.shelf,
                packer=packer,
                every_s=services.checkpoint_s,
                made_by=partial(_made_by, adapter, threads=threads),
            )
        trainer = RunTrainer(
            run, data, adapter, services=services, checkpoints=checkpoints, queue_s=attempt.queue_s
        )
        if run.trace is not None:
            trace = trainer.trace(run.trace)
        else:
            members = members_of(run)
            if run.timed == "warm":
                trainer.warm_up(members[0])
            checkpoint, problem = checkpoints.resume() if checkpoints else (None, None)
            notes += _resumption_notes(checkpoint, problem, attempt=attempt.number, members=len(members))
            for trained in trainer.train(members, after=checkpoint):
                packer.add(trained)
            packer.flush()
    except TrainingError as error:
        ended = error.failure()
    failure = ended or _first_failure(packer.failures)
    if trainer is not None:
        notes += trainer.notes
    if checkpoints is not None and checkpoints.trouble:
        notes.append(checkpoints.trouble)
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
        environment=_environment(adapter, attempt, execution=execution, threads=threads),
        worker=attempt.worker,
        attempt=attempt.number,
    )


def _check_framework(run: Run, adapter: FrameworkAdapter) -> None:
    version = adapter.describe().framework_version if run.version else None
    if environment_key(run.framework, run.version) != environment_key(adapter.name, version):
        raise TrainingError(
            "invalid",
            f"The run is for {run.framework} {run.version or ''}".rstrip()
            + f", but this worker trains with {adapter.name} {version or ''}".rstrip(),
        )


def _threads(run: Run, data: RunData, *, most: int) -> int:
    members = 1 if obstacle(run.job) else len(members_of(run))
    return threads_of(
        run.job, samples=len(data.train.x), input_shape=data.input_shape, members=members, most=most
    )


def _resumption_notes(
    checkpoint: Checkpoint | None, problem: str | None, *, attempt: int, members: int
) -> Iterator[str]:
    """Sentences on what was wrong with a checkpoint, and on where training goes on."""
    if problem:
        yield problem
    if checkpoint is not None:
        seeds = f"{checkpoint.so_far.finished:,} of {members:,} seeds and " if members > 1 else ""
        yield f"Attempt {attempt} went on from a checkpoint, after {seeds}{checkpoint.updates:,} updates."


def _made_by(adapter: FrameworkAdapter, *, threads: int) -> str:
    """What a training's bits depend on besides the run, as far as a worker knows it, as JSON."""
    return json.dumps(
        {**asdict(adapter.describe()), "numpy": np.__version__, "threads": threads}, sort_keys=True
    )


def _first_failure(failures: Sequence[Failure]) -> Failure | None:
    """The failure that ended the run, else that of the first seed that diverged."""
    ended = [failure for failure in failures if failure.reason != "diverged"]
    return next(iter([*ended, *failures]), None)


def _environment(adapter: FrameworkAdapter, attempt: Attempt, *, execution: str, threads: int) -> Environment:
    description = adapter.describe()
    return Environment(
        framework=adapter.name,
        framework_version=description.framework_version,
        versions={
            "python": platform.python_version(),
            "numpy": np.__version__,
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
