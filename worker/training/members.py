"""The trainings that a run is made of, what each of them came to, and how many of them train together.

Members train together where a run has at least two and nothing forbids it
(`shared.program.together.obstacle`), in groups whose memory stays below MOST_BYTES. An adapter may still
refuse a job; then its members train one after another, and the result says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, prod

import numpy as np

from shared.job import Job
from shared.job.training import BatchPlan
from shared.program import compile_job
from shared.results.run_result import Failure, Hashes, Timings
from shared.run import Run
from worker.adapters.constants import slot_starts
from worker.training.samples import RunData
from worker.training.seed_record import Outcome


@dataclass(frozen=True, kw_only=True)
class Member:
    """One training of a run: a seed, and the job with the optimizer of one point of a sweep."""

    seed: int
    job: Job
    point: int = 0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one training came to, as far as it came: either an outcome or a failure."""

    member: Member
    outcome: Outcome | None = None
    failure: Failure | None = None
    losses: list[float] = field(default_factory=list)
    """There is one loss for each finished epoch, and all are finite."""
    validation_losses: list[float] = field(default_factory=list)
    stopped_early: bool = False
    hashes: Hashes | None = None
    timings: Timings | None = None
    peak_bytes: int | None = None
    grown_bytes: int | None = None
    device_peak_bytes: int | None = None


def members_of(run: Run) -> list[Member]:
    """Every seed of each point in turn."""
    jobs = [
        run.job.model_copy(update={"optimizer": optimizer})
        for optimizer in run.optimizers or (run.job.optimizer,)
    ]
    return [Member(seed=seed, point=point, job=job) for point, job in enumerate(jobs) for seed in run.seeds]


MOST_BYTES = 256 * 2**20
"""The most memory of a group's members, estimated: weights, state, gradients, activations, results."""
_COPIES_OF_WEIGHTS = 4
"""Besides the optimizer's state: the weights, their gradients and an update's intermediate results."""
_COPIES_OF_ACTIVATIONS = 3
"""There is one of the forward pass, one of the backward pass, and the operations' intermediate results."""
_NUMBERS_OF_A_GATE = 2
"""Each unit keeps two at each step: the input of the gate's function and its output."""


def groups_of(members: Sequence[Member], *, data: RunData) -> list[Sequence[Member]]:
    """The members in groups of one size that fit memory; the last may be smaller."""
    fitting = max(1, MOST_BYTES // bytes_of_member(members[0].job, data=data))
    size = ceil(len(members) / ceil(len(members) / fitting))
    return [members[begin : begin + size] for begin in range(0, len(members), size)]


def bytes_of_member(job: Job, *, data: RunData) -> int:
    """About how much memory one member takes while it trains and until its results are stored."""
    program = compile_job(job, data.input_shape)
    weights = sum(weight.size for weight in program.weights)
    plan = BatchPlan.of(job.training, len(data.train.x))
    rows = sum(len(part.x) for part in data.parts.values())
    rows += 0 if data.predict is None else len(data.predict)
    outputs = prod(program.output_shape)
    numbers = (
        weights * (_COPIES_OF_WEIGHTS + len(slot_starts(job.optimizer)))
        + plan.largest_batch * activations_of(job, data=data) * _COPIES_OF_ACTIVATIONS
        + 2 * rows * outputs
    )
    return numbers * np.dtype(job.precision).itemsize + plan.epochs * 2 * np.dtype(np.float64).itemsize


def activations_of(job: Job, *, data: RunData) -> int:
    """How many numbers one sample becomes on its way through one member's stages, and within its cells."""
    program = compile_job(job, data.input_shape)
    gates = sum(cell.steps * cell.gates * cell.units for cell in program.cells)
    return program.activations + _NUMBERS_OF_A_GATE * gates
