"""Trains a run, seed by seed, and returns its typed result.

Owns what surrounds the arithmetic: data, cancellation, progress, measurement, failures. The
framework stands behind `FrameworkAdapter`, the queue behind the callbacks.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.arrays import ArrayRef
from shared.progress import ProgressEvent
from shared.result import Environment, Failure, RunResult, SeedResult
from shared.run import Run
from shared.trace import Trace, TraceRequest
from worker import memory
from worker.adapters.base import FrameworkAdapter
from worker.failures import TrainingError, typed
from worker.reporter import Reporter
from worker.samples import Load, RunData, check_fit, load_run
from worker.seed_record import Outcome
from worker.seed_training import SeedTraining
from worker.tracing import Tracer

Store = Callable[[NDArray[Any]], ArrayRef]
StopRequested = Callable[[], bool]


def train_run(  # noqa: PLR0913 - all that surrounds a training, once
    run: Run,
    *,
    adapter: FrameworkAdapter,
    load: Load,
    on_progress: Callable[[ProgressEvent], None],
    stop_requested: StopRequested,
    store: Store,
    queue_s: float | None,
    worker: str,
    attempt: int,
    host: str,
    image: str | None,
    threads: int,
    import_s: float | None = None,
) -> RunResult:
    """Train every seed, or replay the first one where the run asks for a trace. The adapter is started.

    Never raises for what a job can cause: that is a failure in the result. A seed that diverges fails
    alone; any other failure would meet the next seed too and ends the run. What the callbacks raise
    passes, save for `load` finding an array gone or damaged.
    """
    seeds: list[SeedResult] = []
    execution: str = run.job.execution
    failure: Failure | None = None
    trace: Trace | None = None
    try:
        _check_framework(run, adapter)
        data = load_run(run, load)
        with typed(adapter):
            check_fit(data, run.job)
        trainer = _RunTrainer(
            run=run,
            data=data,
            adapter=adapter,
            reporter=Reporter(run, on_progress),
            stop_requested=stop_requested,
            store=store,
            queue_s=queue_s,
        )
        if run.trace is not None:
            trace, execution = trainer.trace_seed(run.trace, load)
        for position in () if run.trace else range(1, len(run.seeds) + 1):
            result, execution_of_seed = trainer.train_seed(position)
            seeds.append(result)
            execution = execution_of_seed or execution
            if result.failure and result.failure.reason != "diverged":
                break
    except TrainingError as error:
        failure = error.failure()
    failure = failure or _first_failure(seeds)
    return RunResult(
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        framework=run.framework,
        status="failed" if failure else "succeeded",
        failure=failure,
        seeds=tuple(seeds),
        trace=trace,
        environment=_environment(
            adapter, execution=execution, threads=threads, host=host, image=image, import_s=import_s
        ),
        worker=worker,
        attempt=attempt,
    )


@dataclass(frozen=True, kw_only=True)
class _RunTrainer:
    """What every seed of a run shares."""

    run: Run
    data: RunData
    adapter: FrameworkAdapter
    reporter: Reporter
    stop_requested: StopRequested
    store: Store
    queue_s: float | None

    def train_seed(self, position: int) -> tuple[SeedResult, str | None]:
        """One seed's result, and how the framework executed it where it came so far."""
        seed = self.run.seeds[position - 1]
        memory.reset_peak()
        self.adapter.reset_device_peak()
        training: SeedTraining | None = None
        try:
            self._look_for_stop()
            with typed(self.adapter):
                training = SeedTraining(self.run.job, data=self.data, adapter=self.adapter, seed=seed)
            self.reporter.tick(training, position=position, samples=0)
            while not training.finished:
                self._look_for_stop()
                done = training.samples_done
                with typed(self.adapter):
                    training.advance()
                self.reporter.tick(training, position=position, samples=training.samples_done - done)
            with typed(self.adapter):
                outcome = training.conclude()
        except TrainingError as error:
            failure = error.failure(seed)
            return self._failed(seed, training, failure), training.execution if training else None
        return self._succeeded(seed, training, outcome), training.execution

    def trace_seed(self, request: TraceRequest, load: Load) -> tuple[Trace, str]:
        """The replay of the first seed, and how the framework executed it. Raises TrainingError."""
        self._look_for_stop()
        with typed(self.adapter):
            training = SeedTraining(
                self.run.job, data=self.data, adapter=self.adapter, seed=self.run.seeds[0]
            )
        told = 0

        def tick() -> None:
            nonlocal told
            self._look_for_stop()
            self.reporter.tick(training, position=1, samples=training.samples_done - told)
            told = training.samples_done

        tracer = Tracer(
            request,
            job=self.run.job,
            data=self.data,
            adapter=self.adapter,
            training=training,
            load=load,
            store=self.store,
            tick=tick,
        )
        return tracer.run(), training.execution

    def _look_for_stop(self) -> None:
        if self.stop_requested():
            raise TrainingError("cancelled", "Cancelled while it ran")

    def _succeeded(self, seed: int, training: SeedTraining, outcome: Outcome) -> SeedResult:
        peak_bytes, device_peak_bytes = memory.peak_bytes(), self.adapter.device_peak_bytes()
        return SeedResult(
            seed=seed,
            status="succeeded",
            epochs=training.epochs_done,
            losses=tuple(training.losses),
            validation_losses=tuple(training.validation_losses),
            final_loss=training.losses[-1],
            stopped_early=training.stopped_early,
            metrics=outcome.metrics,
            predictions=None if outcome.predictions is None else self.store(outcome.predictions),
            outputs=self.store(outcome.outputs),
            outputs_of=outcome.outputs_of,
            weights={name: self.store(array) for name, array in outcome.weights.items()},
            hashes=training.hashes,
            timings=training.stopwatch.timings(self.queue_s),
            peak_bytes=peak_bytes,
            device_peak_bytes=device_peak_bytes,
        )

    def _failed(self, seed: int, training: SeedTraining | None, failure: Failure) -> SeedResult:
        """As far as it came; its weights are left out, since they may be anything."""
        if training is None:
            return SeedResult(seed=seed, status="failed", failure=failure, epochs=0)
        losses = tuple(loss for loss in training.losses if np.isfinite(loss))
        return SeedResult(
            seed=seed,
            status="failed",
            failure=failure,
            epochs=len(losses),
            losses=losses,
            validation_losses=tuple(training.validation_losses),
            final_loss=losses[-1] if losses else None,
            hashes=training.hashes,
            timings=training.stopwatch.timings(self.queue_s),
            peak_bytes=memory.peak_bytes(),
            device_peak_bytes=self.adapter.device_peak_bytes(),
        )


def _check_framework(run: Run, adapter: FrameworkAdapter) -> None:
    if run.framework != adapter.name:
        raise TrainingError(
            "invalid",
            f"The run is for {run.framework}, but this worker trains with {adapter.name}",
        )


def _first_failure(seeds: Sequence[SeedResult]) -> Failure | None:
    """The failure that ended the run, else the first seed's that diverged."""
    failures = [seed.failure for seed in seeds if seed.failure]
    ended = [failure for failure in failures if failure.reason != "diverged"]
    return next(iter(ended + failures), None)


def _environment(  # noqa: PLR0913 - all that was recorded, once
    adapter: FrameworkAdapter,
    *,
    execution: str,
    threads: int,
    host: str,
    image: str | None,
    import_s: float | None,
) -> Environment:
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
        host=host,
        image=image,
        import_s=import_s,
    )
