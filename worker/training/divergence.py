"""Says that a training diverged, so that someone new to training knows what to change."""

from __future__ import annotations

from shared.spec import Job
from worker.training.failures import TrainingError


def diverged(what: str, *, job: Job, step: int, steps_per_epoch: int) -> TrainingError:
    """A `diverged` failure. `what` says what is no longer a number; `step` counts updates from 1."""
    epoch = (step - 1) // steps_per_epoch + 1
    rate = job.optimizer.learning_rate
    if job.optimizer.schedule is None:
        remedy = f"try a tenth of it, optimizer.learning_rate: {rate / 10:g} instead of {rate:g}"
    else:
        remedy = "lower optimizer.learning_rate or the rates of its schedule"
    if job.loss.reduction != "mean":
        remedy += (
            ", or loss.reduction: mean; a sum's gradient grows with every sample of the batch, "
            "which acts like a higher learning rate"
        )
    return TrainingError(
        "diverged",
        f"The {what} in epoch {epoch} (update {step}). Most often the learning rate is too high, so that "
        f"each update overshoots by more than the last: {remedy}",
        epoch=epoch,
        step=step,
    )
