"""How many CPU threads a training takes: one, until its updates are large enough to share out.

Threads that share a small operation wait for each other longer than they work. The bound and its
measurements are in docs/decisions, "Threads by size".
"""

from __future__ import annotations

from shared.batch_plan import BatchPlan
from shared.program import compile_job
from shared.spec import Job

SHARED_FROM = 10_000_000
"""Multiply-adds of an update's forward pass from which more than one thread is quicker."""


def threads_of(job: Job, *, samples: int, input_shape: tuple[int, ...], members: int, most: int) -> int:
    """Of a training of so many members at once, on a worker that may use up to `most`."""
    batch = BatchPlan.of(job.training, samples).largest_batch
    work = members * batch * compile_job(job, input_shape).multiply_adds
    return most if work >= SHARED_FROM else 1
