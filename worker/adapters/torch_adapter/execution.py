"""Which execution `auto` stands for: decided by the job alone, so that a rerun takes the same way.

The rule and its measurements are in docs/decisions, "Small steps are compiled where they are many".
"""

from __future__ import annotations

from shared.spec import Job
from worker.adapters.errors import UnsupportedError
from worker.adapters.torch_adapter.compiling import check_compiler
from worker.training.batches import Plan

COMPILED_FROM_STEPS = 100_000
"""A compiled update takes about 0.1 ms less than an eager one, and compiling about 10 s."""


def compiles(job: Job, *, samples: int, device: str) -> bool:
    """Whether to compile. Raises UnsupportedError where the job says so and nothing can be compiled."""
    if job.execution != "auto":
        if job.execution == "compiled":
            check_compiler()
        return job.execution == "compiled"
    if device != "cpu" or Plan.of(job.training, samples).steps < COMPILED_FROM_STEPS:
        return False
    try:
        check_compiler()
    except UnsupportedError:
        return False
    return True
