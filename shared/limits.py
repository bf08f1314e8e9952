"""What a process takes on at most: limits of its own settings, asked before anything is allocated.

Records are written by others. A run is measured by what its document says, by counts and shapes; no array is
looked at. Each excess is told with the setting that would allow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from likewise.shared.errors import Problem
from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec, compile_job
from likewise.shared.run import Run, Samples
from likewise.shared.settings import Settings, variable
from likewise.shared.store.arrays import ArrayRef

GB = 10**9
_NUMBERS_AN_EPOCH = 2
"""A result has a loss and a validation loss for each epoch, in float64."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a process takes on."""

    layers: int
    weights: int
    epochs: int
    seeds: int
    seconds: float | None
    data_bytes: float
    memory_bytes: float | None

    @classmethod
    def of(cls, settings: Settings, *, memory_bytes: float | None = None) -> Limits:
        """Return the limits of a process's settings; `memory_bytes` is the memory that there is."""
        given = settings.max_memory_gb
        return cls(
            layers=settings.max_layers,
            weights=settings.max_weights,
            epochs=settings.max_epochs,
            seeds=settings.max_seeds,
            seconds=settings.max_seconds,
            data_bytes=settings.max_data_gb * GB,
            memory_bytes=memory_bytes if given is None else given * GB,
        )

    def time_of(self, job: Job) -> TimeLimit | None:
        """Return how long a run of the job may train here; None for as long as it takes."""
        asked, most = job.limits.seconds, self.seconds
        if most is not None and (asked is None or most < asked):
            return TimeLimit(seconds=most, set_by=variable("max_seconds"))
        return None if asked is None else TimeLimit(seconds=asked, set_by="limits.seconds")


@dataclass(frozen=True, kw_only=True)
class TimeLimit:
    """How long a run may train, and which setting says so."""

    seconds: float
    set_by: str


DEFAULT_LIMITS = Limits.of(Settings())
"""What is taken on where nothing is set."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a run is besides its job."""

    samples: int
    """Samples that are trained on."""
    data_bytes: int
    """Bytes of all arrays that are read."""
    trainings: int
    """Seeds, each with every setting of a sweep that the run has."""

    @classmethod
    def of(cls, run: Run) -> Size:
        """Return the size that a run's document claims."""
        arrays = {ref.sha256: ref.nbytes for ref in arrays_of(run)}
        return cls(
            samples=run.dataset.train.x.shape[0] if run.dataset.train.x.shape else 0,
            data_bytes=sum(arrays.values()),
            trainings=len(run.seeds) * len(run.optimizers or (None,)),
        )


def excesses_of(run: Run, limits: Limits) -> Iterator[Problem]:
    """Yield what of a run is beyond the limits. Raises ShapeError where its layers do not go together."""
    size = Size.of(run)
    if len(run.job.model.layers) > limits.layers:  # so many are not even compiled
        yield _excess("model.layers", len(run.job.model.layers), "layers", limits.layers, "max_layers")
        return
    yield from excesses(run.job, compile_job(run.job, run.dataset.train.x.shape[1:]), size, limits)


def excesses(job: Job, program: ProgramSpec, size: Size, limits: Limits) -> Iterator[Problem]:
    """Yield what of a job is beyond the limits."""
    weights = sum(weight.size for weight in program.weights)
    numbers = np.dtype(job.precision).itemsize
    results = size.trainings * (
        weights * numbers + job.training.epochs * _NUMBERS_AN_EPOCH * np.dtype(np.float64).itemsize
    )
    asked = (
        ("model.layers", len(job.model.layers), "layers", limits.layers, "max_layers"),
        ("model.layers", weights, "weights", limits.weights, "max_weights"),
        ("training.epochs", job.training.epochs, "epochs", limits.epochs, "max_epochs"),
        ("seeds", size.trainings, "trainings", limits.seeds, "max_seeds"),
        ("data", size.data_bytes, "bytes of arrays", limits.data_bytes, "max_data_gb"),
        ("seeds", results, "bytes of results", limits.data_bytes, "max_data_gb"),
    )
    seconds = job.limits.seconds
    if limits.seconds is not None and seconds is not None and seconds > limits.seconds:
        yield _excess("limits.seconds", seconds, "seconds", limits.seconds, "max_seconds")
    for path, found, what, most, setting in asked:
        if found > most:
            yield _excess(path, found, what, most, setting)
    if limits.memory_bytes is None:
        return
    largest = max(prod(stage.output) for stage in program.stages)
    batch = min(job.training.batch_size or size.samples, max(size.samples, 1))
    needed = numbers * (2 * weights + batch * largest)
    if needed > limits.memory_bytes:
        what = "bytes of memory for weights, gradients and the largest layer's outputs"
        yield _excess("model.layers", needed, what, limits.memory_bytes, "max_memory_gb")


def _excess(path: str, found: float, what: str, most: float, setting: str) -> Problem:
    return Problem(
        path=path,
        message=f"{found:,.15g} {what}, and at most {most:,.15g} are taken here ({variable(setting)})",
    )


def arrays_of(run: Run) -> Iterator[ArrayRef]:
    """Yield every array that a run refers to."""
    dataset = run.dataset
    parts: tuple[Samples | None, ...] = (dataset.train, dataset.validation, dataset.test)
    for part in parts:
        if part is not None:
            yield from (ref for ref in (part.x, part.y, part.weights) if ref is not None)
    yield from (ref for ref in (dataset.predict, dataset.scaling) if ref is not None)
    yield from (run.given_weights or {}).values()
    trace = run.trace
    if trace is not None:
        yield from (trace.start or {}).values()
        if trace.refeed is not None:
            yield from trace.refeed.weights.values()
            yield from (ref for refs in trace.refeed.inputs.values() for ref in refs)
