"""What trainings take of the machine, memory and CPU threads, estimated before.

Members train together in groups
whose estimated memory stays below MOST_BYTES. A training takes one thread until its updates are large enough
to share out: threads that share a small operation wait for each other longer than they work. The bound and
its measurements are in docs/decisions, "Threads by size".
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from math import ceil, prod

import numpy as np

from likewise.shared.job import Job
from likewise.shared.job.training import BatchPlan
from likewise.shared.program import ProgramSpec
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.adapters.constants import slot_starts
from likewise.worker.training.results import Member
from likewise.worker.training.samples import RunData


def give_back() -> None:
    """Return what is free to the system (glibc), so that what is needed next is seen to be taken."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def threads_of(job: Job, data: RunData, *, members: int, most: int, adapter: FrameworkAdapter) -> int:
    """Return how many threads a training of so many members takes, on a worker that may use `most`."""
    samples = len(data.train.x)
    each = adapter.shared_out(data.program, job, samples=samples)
    work = members * BatchPlan.of(job.training, samples).largest_batch * each
    return most if work >= adapter.shared_from else 1


MOST_BYTES = 256 * 2**20
"""The most memory of a group's members, estimated: weights, state, gradients, activations, results."""


_COPIES_OF_WEIGHTS = 4
"""Besides the optimizer's state: the weights, their gradients and an update's intermediate results."""


_COPIES_OF_ACTIVATIONS = 3
"""There is one of the forward pass, one of the backward pass, and the operations' intermediate results."""


_NUMBERS_OF_A_GATE = 2
"""Each unit keeps two at each step: the input of the gate's function and its output."""


def groups_of(members: Sequence[Member], *, data: RunData) -> list[Sequence[Member]]:
    """Return the members in groups of one size that fit memory; the last may be smaller."""
    fitting = max(1, MOST_BYTES // bytes_of_member(members[0].job, data=data))
    size = ceil(len(members) / ceil(len(members) / fitting))
    return [members[begin : begin + size] for begin in range(0, len(members), size)]


def bytes_of_member(job: Job, *, data: RunData) -> int:
    """Estimate how much memory one member takes while it trains and until its results are stored."""
    weights = sum(weight.size for weight in data.program.weights)
    plan = BatchPlan.of(job.training, len(data.train.x))
    rows = sum(len(part.x) for part in data.parts.values())
    rows += 0 if data.predict is None else len(data.predict)
    outputs = prod(data.program.output_shape)
    numbers = (
        weights * (_COPIES_OF_WEIGHTS + len(slot_starts(job.optimizer)))
        + plan.largest_batch * activations_of(data.program) * _COPIES_OF_ACTIVATIONS
        + 2 * rows * outputs
    )
    return numbers * np.dtype(job.precision).itemsize + plan.epochs * 2 * np.dtype(np.float64).itemsize


def activations_of(program: ProgramSpec) -> int:
    """Return how many numbers one sample becomes on its way through a member's stages and cells."""
    gates = sum(cell.steps * cell.gates * cell.units for cell in program.cells)
    return program.activations + _NUMBERS_OF_A_GATE * gates
