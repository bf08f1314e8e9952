"""The programs that a warm worker keeps, by the structure of the jobs that they serve."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeVar

import tensorflow as tf

from shared.job import Job
from shared.job.optimizer import structure
from shared.program import ProgramSpec
from worker.adapters.base import Batch
from worker.adapters.tensorflow_adapter.ensemble import EnsembleProgram
from worker.adapters.tensorflow_adapter.program import Program
from worker.adapters.tensorflow_adapter.xla import XlaProgram, repays

AnyProgram = TypeVar("AnyProgram", bound=Program)

MOST_PROGRAMS = 16
"""Each holds its graph and one set of zeros in the place of the weights."""


class Programs:
    """The programs used last. Jobs that differ in numbers, seeds, samples or epochs share one."""

    def __init__(self, most: int = MOST_PROGRAMS) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def program(self, program: ProgramSpec, job: Job, *, samples: Batch) -> Program:
        """The program for a job on samples like these, new or kept."""
        pays = repays(job, program, samples=len(samples.x))
        pays = pays and not tf.config.get_visible_devices("GPU")
        fused = job.execution == "compiled" or (job.execution == "auto" and pays)
        return self._kept_or_new(XlaProgram if fused else Program, program, job, samples)

    def ensemble(self, program: ProgramSpec, job: Job, *, samples: Batch) -> EnsembleProgram:
        """The same for many trainings of the job at once."""
        return self._kept_or_new(EnsembleProgram, program, job, samples)

    def _kept_or_new(
        self, kind: type[AnyProgram], program: ProgramSpec, job: Job, samples: Batch
    ) -> AnyProgram:
        specs = tuple(tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in samples.arrays)
        key = (kind, program, job.loss, structure(job.optimizer), job.precision, job.execution, specs)
        kept: AnyProgram | None = self._kept.pop(key, None)
        if kept is None:
            kept = kind(program, job, samples=specs)
        self._kept[key] = kept
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept
