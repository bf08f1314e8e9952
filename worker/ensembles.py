"""Whether a run's members train together, and how many at once.

They do where a run has at least two and nothing forbids it (`obstacle`), in groups whose memory stays
below MOST_BYTES. An adapter may still refuse a job; then its members train one after another, and the
result says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

import numpy as np

from shared.shapes import layer_shapes, model_weights
from shared.spec import Job
from shared.spec.schedule import ReduceOnPlateauSchedule
from worker.batches import Plan
from worker.constants import slot_starts
from worker.members import Member
from worker.samples import RunData

MOST_BYTES = 256 * 2**20
"""Of the members of one group: weights, state, gradients, activations, results. An estimate."""
_COPIES_OF_WEIGHTS = 4
"""Beside the optimizer's state: the weights, their gradients and what an update works with."""
_COPIES_OF_ACTIVATIONS = 3
"""Forwards, backwards and what the operations work with."""


def obstacle(job: Job) -> str | None:
    """Why members of this job cannot train together, as the end of a sentence; None where they can."""
    if job.execution != "auto":
        return f"execution is {job.execution}, and only auto leaves room for another program"
    if job.training.early_stopping is not None:
        return "early stopping ends each seed at an epoch of its own"
    if isinstance(job.optimizer.schedule, ReduceOnPlateauSchedule):
        return "reduce_on_plateau lowers each seed's learning rate at an epoch of its own"
    return None


def groups_of(members: Sequence[Member], *, data: RunData) -> list[Sequence[Member]]:
    """The members in groups of one size that fit memory; the last may be smaller."""
    fitting = max(1, MOST_BYTES // bytes_of_member(members[0].job, data=data))
    size = ceil(len(members) / ceil(len(members) / fitting))
    return [members[begin : begin + size] for begin in range(0, len(members), size)]


def bytes_of_member(job: Job, *, data: RunData) -> int:
    """About what one member takes while it trains and until its results are stored."""
    weights = sum(prod(place.tensor.shape) for place in model_weights(job.model, data.input_shape))
    activations = sum(map(prod, layer_shapes(job.model, data.input_shape)))
    plan = Plan.of(job.training, len(data.train.x))
    rows = sum(len(part.x) for part in data.parts.values())
    rows += 0 if data.predict is None else len(data.predict)
    outputs = prod(layer_shapes(job.model, data.input_shape)[-1])
    numbers = (
        weights * (_COPIES_OF_WEIGHTS + len(slot_starts(job.optimizer)))
        + plan.largest_batch * activations * _COPIES_OF_ACTIVATIONS
        + 2 * rows * outputs
    )
    return numbers * np.dtype(job.precision).itemsize + plan.epochs * 2 * np.dtype(np.float64).itemsize
