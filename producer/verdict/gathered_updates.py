"""Which batch ends which update, where two sides make updates of the same samples from other batches. Pure.

One side may gather the gradients of four batches of 8 where the other has one batch of 32. What they compute
of a batch cannot be compared then; the weights after each update can.
"""

from __future__ import annotations

from collections.abc import Mapping

from likewise.producer.wording.gathering import gathered_as_many
from likewise.shared.job import Job
from likewise.shared.job.training import BatchPlan, Training, accumulated

_GATHERING = {
    "batch_size", "gradient_accumulation_steps", "accumulation", "accumulation_remainder", "epoch_loss"
}  # fmt: skip
"""The settings that say how the samples of an update are gathered, and what is reported of them."""

Ends = Mapping[int, int]
"""The numbers of updates by the number of the batch after which each is done, both from 1."""


def update_ends(one: Job, other: Job, *, samples: int, batches: int) -> tuple[Ends, Ends] | None:
    """Return which of the first `batches` batches end which updates, in both sides.

    None where their batches can be held against each other one by one, or their updates are not of the same
    samples. Both train on the same `samples` samples.
    """
    mine, theirs = one.training, other.training
    if mine.gradient_accumulation_steps == theirs.gradient_accumulation_steps:
        return None
    if mine.model_dump(exclude=_GATHERING) != theirs.model_dump(exclude=_GATHERING):
        return None
    if gathered_as_many(one, other, samples) is None:
        return None
    return _ends(mine, samples=samples, batches=batches), _ends(theirs, samples=samples, batches=batches)


def _ends(training: Training, *, samples: int, batches: int) -> Ends:
    gathered = accumulated(training, BatchPlan.of(training, samples), first_step=0, steps=batches)
    if gathered is None:
        return {step: step for step in range(1, batches + 1)}
    return {
        step: int(update) + 1
        for step, (update, applies) in enumerate(
            zip(gathered.updates, gathered.applies, strict=True), start=1
        )
        if applies
    }
