"""Which trainings can run side by side in one program, by the job alone.

A framework may still refuse a job; the worker finds that out, trains one after another and says so.
"""

from __future__ import annotations

from shared.spec import Job
from shared.spec.schedule import ReduceOnPlateauSchedule


def obstacle(job: Job) -> str | None:
    """Why members of this job cannot train together, as the end of a sentence; None where they can."""
    if job.execution != "auto":
        return f"execution is {job.execution}, and only auto leaves room for another program"
    if job.training.early_stopping is not None:
        return "early stopping ends each seed at an epoch of its own"
    if isinstance(job.optimizer.schedule, ReduceOnPlateauSchedule):
        return "reduce_on_plateau lowers each seed's learning rate at an epoch of its own"
    return None
