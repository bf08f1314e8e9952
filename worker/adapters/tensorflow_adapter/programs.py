"""The programs that a warm worker keeps, by the structure of the jobs that they serve."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeVar

import tensorflow as tf
from numpy.typing import NDArray

from shared.job import Job
from shared.job.optimizer import structure
from shared.program import compile_job
from worker.adapters.tensorflow_adapter.ensemble import EnsembleProgram
from worker.adapters.tensorflow_adapter.program import Program
from worker.adapters.tensorflow_adapter.xla import XlaProgram, repays

AnyProgram = TypeVar("AnyProgram", bound=Program)

MOST_PROGRAMS = 16
"""Each holds its graph and one set of zeros in the place of the weights."""
_VALUES = {"name", "data", "training", "initial_weights", "metrics", "predict", "optimizer"}
"""The parts of a job that a program does not depend on. It depends on all others, and on future ones."""


class Programs:
    """The programs used last. Jobs that differ in numbers, seeds, samples or epochs share one."""

    def __init__(self, most: int = MOST_PROGRAMS) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def program(self, job: Job, *, input_shape: tuple[int, ...], samples: int, y: NDArray[Any]) -> Program:
        """The program for a job on `samples` samples of this shape and targets like y (n, …), new or kept."""
        pays = repays(job, compile_job(job, input_shape), samples=samples)
        pays = pays and not tf.config.get_visible_devices("GPU")
        fused = job.execution == "compiled" or (job.execution == "auto" and pays)
        return self._kept_or_new(XlaProgram if fused else Program, job, input_shape, y)

    def ensemble(self, job: Job, *, input_shape: tuple[int, ...], y: NDArray[Any]) -> EnsembleProgram:
        """The same for many trainings of the job at once."""
        return self._kept_or_new(EnsembleProgram, job, input_shape, y)

    def _kept_or_new(
        self, kind: type[AnyProgram], job: Job, input_shape: tuple[int, ...], y: NDArray[Any]
    ) -> AnyProgram:
        key = (
            kind,
            job.model_dump_json(exclude=_VALUES),
            structure(job.optimizer).model_dump_json(),
            input_shape,
            y.dtype.name,
            y.shape[1:],
        )
        program: AnyProgram | None = self._kept.pop(key, None)
        if program is None:
            targets = tf.TensorSpec([None, *y.shape[1:]], y.dtype)
            program = kind(job, input_shape=input_shape, targets=targets)
        self._kept[key] = program
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return program
