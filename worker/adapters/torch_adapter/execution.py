"""Which execution `auto` stands for: decided by the job alone, so that a rerun takes the same way.

The rule and its measurements are in docs/decisions, "Small steps are compiled where they are many".
"""

from __future__ import annotations

from typing import Literal

from shared.spec import Job
from worker.adapters.errors import UnsupportedError
from worker.adapters.torch_adapter.compiling import check_compiler
from worker.training.batches import Plan

COMPILED_FROM_STEPS = 100_000
"""A compiled update takes 35 to 75 microseconds less than a replayed one, and compiling 5 to 10 s."""
REPLAYED_FROM_STEPS = 30
"""A replayed update takes about 0.1 ms less than an eager one, and recording 1 to 2.5 ms."""

Execution = Literal["eager", "replayed", "compiled"]


def execution(job: Job, *, samples: int, device: str) -> Execution:
    """How the job is trained. Raises UnsupportedError where it says `compiled` and nothing can be compiled.

    Eager and replayed give the same bits; compiled gives others.
    """
    if job.execution != "auto":
        if job.execution == "compiled":
            check_compiler()
        return job.execution
    steps = Plan.of(job.training, samples).steps
    if device != "cpu" or steps < REPLAYED_FROM_STEPS:
        return "eager"
    if steps < COMPILED_FROM_STEPS:
        return "replayed"
    try:
        check_compiler()
    except UnsupportedError:
        return "replayed"
    return "compiled"
