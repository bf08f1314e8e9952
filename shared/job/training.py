"""How long and in which batches a job trains, and how the samples of an epoch fall into batches. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Count, DataSeed, NonNegative, Positive


class RunLimits(Frozen):
    """What a training may take at the most; a run that reaches a limit is stopped and fails as that."""

    seconds: Positive | None = None
    """How long a run, with all its seeds, may train, in seconds; its attempts on several workers count
    together. Null lets it take as long as it takes."""


class EarlyStopping(Frozen):
    """Stop after `patience` epochs in a row in which `monitor` did not fall by more than `min_delta`."""

    monitor: Literal["loss", "validation_loss"] = "validation_loss"
    patience: Count = 5
    min_delta: NonNegative = 0.0
    restore_best_weights: bool = True


class Training(Frozen):
    """Epochs and batches; the order of the samples comes from the seed and is the same in every framework."""

    epochs: int = Field(ge=1, le=1_000_000)
    batch_size: int | None = Field(default=None, ge=1)
    """Null trains on the whole set at once."""
    shuffle: Literal[False, True, "once"] = False
    """Draw a new order each epoch, from (seed, epoch); `once` keeps the first, as a seeded Keras fit does."""
    shuffle_seed: DataSeed | None = None
    """The seed that the orders are drawn from; null is the run's own, so that each seed has its orders."""
    drop_last: bool = False
    """Leave out a last batch that is smaller than `batch_size`."""
    epoch_loss: Literal["per_sample", "per_batch"] = "per_sample"
    """What is reported: each batch's loss counts by its samples (Keras), or all batches alike.

    Reported, watched by early stopping and drawn, but never trained on. With `loss.reduction` mean or
    by `per_batch` it is a mean; `per_sample` of sums is the sum over the epoch's batches.
    """
    report_penalty: bool = True
    """Whether the losses that are reported have the regularizers' penalty in them, as in Keras's fit and
    evaluate, or not, as where a PyTorch loop adds it apart and prints the criterion. It is trained on in
    either case."""
    early_stopping: EarlyStopping | None = None
    evaluation_mode: Literal["evaluation", "training"] = "evaluation"
    """How outputs are computed for validation, metrics and predictions: `training` is the forgotten eval() of
    PyTorch, where dropout still drops and batch norm takes the statistics of the batch, of batch_size
    samples in their order. The moving statistics stay as they are."""
    gradient_accumulation_steps: Count = 1
    """How many batches' gradients make one update. Batches, their losses and a schedule's steps are counted
    as ever; the weights and Adam's t wait for the group, whose gradient is clipped and decayed."""
    accumulation: Literal["mean", "samples", "sum"] = "mean"
    """What is made of a group's gradients: their sum divided by gradient_accumulation_steps, as in Keras;
    each times its batch's samples, divided by the group's, which is the mean of one large batch; or their
    sum, as PyTorch's backward() leaves it where the loss is not divided."""
    accumulation_remainder: Literal["carry", "update", "drop", "keep"] = "carry"
    """What becomes of a group that an epoch's end cuts: the next epoch completes it (Keras); it makes an
    update as it is; it is forgotten (zero_grad at each epoch's start); or it is kept for the next epoch's
    first group, as where a PyTorch loop counts its batches anew and clears gradients after each step."""


@dataclass(frozen=True)
class Accumulation:
    """How consecutive batches are gathered into updates; every field is an array (n,), a number a batch."""

    updates: NDArray[np.int64]
    """How many updates were done before the one that the batch belongs to."""
    keeps: NDArray[np.float64]
    """1 where the batch's gradient is added to what was gathered, 0 where it begins anew."""
    shares: NDArray[np.float64]
    """What the batch's gradient is multiplied by."""
    divisors: NDArray[np.float64]
    """What the sum is divided by at the update."""
    applies: NDArray[np.float64]
    """1 where the update is done after the batch, else 0."""

    def part(self, begin: int, end: int) -> Accumulation:
        """Return the batches from `begin` to before `end`."""
        return Accumulation(*(getattr(self, one.name)[begin:end] for one in fields(self)))


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How the samples of an epoch fall into batches.

    Steps count updates from 0 through the whole training. An epoch has `full` batches of `batch_size` samples
    and, unless it is dropped, one of `remainder` samples.
    """

    samples: int
    batch_size: int
    full: int
    remainder: int
    """Samples of the partial last batch; 0 where there is none."""
    epochs: int

    @classmethod
    def of(cls, training: Training, samples: int) -> BatchPlan:
        """Return the plan of a training on `samples` samples. It may have no step at all: see `steps`."""
        batch_size = training.batch_size or samples
        full, remainder = divmod(samples, batch_size)
        if training.drop_last:
            remainder = 0
        return cls(
            samples=samples,
            batch_size=batch_size,
            full=full,
            remainder=remainder,
            epochs=training.epochs,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Updates of one epoch."""
        return self.full + (self.remainder > 0)

    @property
    def samples_per_epoch(self) -> int:
        """Return how many samples are trained on in one epoch."""
        return self.full * self.batch_size + self.remainder

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        return self.epochs * self.steps_per_epoch

    @property
    def largest_batch(self) -> int:
        """Return how many samples the largest batch has."""
        return self.batch_size if self.full else self.remainder

    def samples_before(self, step: int) -> int:
        """Return how many samples are trained on in the first `step` updates."""
        epochs, within = divmod(step, self.steps_per_epoch)
        return epochs * self.samples_per_epoch + within * self.batch_size

    def batch_size_at(self, step: int) -> int:
        """Return how many samples one step's batch has."""
        return self.batch_size if step % self.steps_per_epoch < self.full else self.remainder


def accumulated(training: Training, plan: BatchPlan, *, first_step: int, steps: int) -> Accumulation | None:
    """Return how batches from `first_step` on are gathered; None where each makes an update of its own."""
    wanted = training.gradient_accumulation_steps
    if wanted == 1:
        return None
    step = np.arange(first_step, first_step + steps)
    epoch, within = np.divmod(step, plan.steps_per_epoch)
    whole, left = divmod(plan.steps_per_epoch, wanted)
    match training.accumulation_remainder:
        case "carry":
            updates, place = np.divmod(step, wanted)
            begin, last = step - place, place == wanted - 1
        case "update":
            begin = step - within % wanted
            updates = epoch * (whole + (left > 0)) + within // wanted
            last = (within % wanted == wanted - 1) | (within == plan.steps_per_epoch - 1)
        case cut:
            begin = step - within % wanted
            if cut == "keep":
                begin = np.where((within < wanted) & (epoch > 0), begin - left, begin)
            updates = epoch * whole + within // wanted
            last = within % wanted == wanted - 1
    shares = np.ones(steps)
    divisors = np.full(steps, 1.0 if training.accumulation == "sum" else float(wanted))
    if training.accumulation == "samples":
        before, after = (np.array([plan.samples_before(int(one)) for one in at]) for at in (step, step + 1))
        shares = (after - before).astype(np.float64)
        divisors = (after - np.array([plan.samples_before(int(one)) for one in begin])).astype(np.float64)
    return Accumulation(
        updates=updates,
        keeps=(step > begin).astype(np.float64),
        shares=shares,
        divisors=divisors,
        applies=last.astype(np.float64),
    )
