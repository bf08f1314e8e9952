"""How long and in which batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.job.fields import Count, DataSeed, NonNegative


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
    early_stopping: EarlyStopping | None = None
