"""How long and in which batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.spec.fields import Count, NonNegative


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
    shuffle: bool = False
    """Draw a new order each epoch, from (seed, epoch)."""
    drop_last: bool = False
    """Leave out a last batch that is smaller than `batch_size`."""
    early_stopping: EarlyStopping | None = None
