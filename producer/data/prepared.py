"""The shapes in which prepared data travels through the producer; `submit` turns them into blobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.job import Job
from shared.job.side import Side
from shared.program import ProgramSpec, compile_job
from shared.run import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrays:
    """One part of the data: x float64 (n, *features); y as in `shared.run.Dataset`."""

    x: Floats
    y: NDArray[Any]
    weights: Floats | None
    """The samples' weights (n,), where the data have some."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedData:
    """The data after loading, splitting and standardising; every array is read-only and C-contiguous."""

    task: Task
    train: Arrays
    validation: Arrays | None
    test: Arrays | None
    predict: Floats | None
    """Rows of `predict`, standardised like the features."""
    predict_given: Floats | None
    """Rows of `predict` as the user wrote them, for display."""
    classes: int | None
    """Number of classes, for multiclass."""
    class_names: tuple[str, ...]
    """What the class numbers stand for, where the data says it; else empty."""
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    given_weights: Mapping[str, Floats] | None
    """Arrays of `initial_weights` of type values or npz; None for shared and framework."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.train.x.shape[1:]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedRun:
    """One side's resolved job with its data; all that `submit` needs for a run."""

    side: Side
    job: Job
    data: PreparedData

    @property
    def program(self) -> ProgramSpec:
        """What the job trains on these data. Raises ShapeError where a layer cannot take its input."""
        return compile_job(self.job, self.data.input_shape)
