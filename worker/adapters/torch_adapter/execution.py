"""Which execution `auto` stands for: decided by the job alone, so that a rerun takes the same way.

The rule and its measurements are in docs/decisions, "PyTorch compiles when it is asked to".
"""

from __future__ import annotations

from typing import Literal

from shared.job import Job
from shared.job.training import BatchPlan
from worker.adapters.torch_adapter.compiling import check_compiler

REPLAYED_FROM_STEPS = 30
"""A replayed update takes 0.1 to 0.8 ms less than an eager one, and recording takes one to three ms."""

Execution = Literal["eager", "replayed", "compiled"]


def execution(job: Job, *, samples: int, device: str) -> Execution:
    """How the job is trained. Raises UnsupportedError where it says `compiled` and nothing can be compiled.

    Eager and replayed give the same bits; compiled gives others.
    """
    if job.execution == "compiled":
        check_compiler()
    if job.execution != "auto":
        return job.execution
    many = BatchPlan.of(job.training, samples).steps >= REPLAYED_FROM_STEPS
    return "replayed" if many and device == "cpu" else "eager"
