"""Which trainings run side by side in one program, as far as the job alone decides it.

A framework may still refuse a job; the worker then trains one member after another and says so. Not
everything that can be vectorised gains by it: where a framework's kernels for one training are quick already,
and a step has much work for each operation it starts, one member after another is as quick or quicker. The
rules that hold for every framework are here; decision 0021 has the measurements.
"""

from __future__ import annotations

from likewise.shared.job import Job
from likewise.shared.job.schedule import ReduceOnPlateauSchedule
from likewise.shared.job.training import BatchPlan
from likewise.shared.program.spec import ProgramSpec

MOST_CONVOLVED = 50_000
"""The most numbers that one member's convolutions may output in a step. With up to 44,000, sixteen members
take 0.4 to 1.0 of the time that they take in turn; from 106,000 on, 0.9 to 1.7."""
FEWEST_CONVOLVED = 8
"""The fewest members with convolutions: four take 0.65 to 1.15 of the time in turn, two 1.0 to 1.5."""


def obstacle(job: Job) -> str | None:
    """Return why members of this job cannot train together, as the end of a sentence; None where they can."""
    if job.execution != "auto":
        return f"execution is {job.execution}, and only auto leaves room for another program"
    if job.training.early_stopping is not None:
        return "early stopping ends each seed at an epoch of its own"
    if isinstance(job.optimizer.schedule, ReduceOnPlateauSchedule):
        return "reduce_on_plateau lowers each seed's learning rate at an epoch of its own"
    return None


def convolutions_obstacle(
    job: Job, program: ProgramSpec, *, samples: int, members: int, most: int = MOST_CONVOLVED
) -> str | None:
    """Return why a job's convolutions are quicker in turn, as the end of a sentence; None if not."""
    numbers = program.convolved * BatchPlan.of(job.training, samples).largest_batch
    if numbers > most:
        return (
            "convolutions are quicker so on a CPU where they give more than "
            f"{most:,} numbers a step, and these give {numbers:,}"
        )
    if program.convolved and members < FEWEST_CONVOLVED:
        return f"convolutions are quicker so on a CPU for fewer than {FEWEST_CONVOLVED} at once"
    return None


def recurrent_numbers(job: Job, program: ProgramSpec, *, samples: int) -> int:
    """Return how many numbers the recurrent layers of one member output in an update, over all time steps."""
    numbers = sum(cell.steps * cell.units for cell in program.cells)
    return numbers * BatchPlan.of(job.training, samples).largest_batch
