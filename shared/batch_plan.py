"""How the samples of an epoch fall into batches. Pure.

Steps count updates from 0 through the whole training. An epoch has `full` batches of `batch_size` samples
and, unless it is dropped, one of `remainder` samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.job import Training


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How the samples of an epoch fall into batches."""

    samples: int
    batch_size: int
    full: int
    remainder: int
    """Samples of the partial last batch; 0 where there is none."""
    epochs: int

    @classmethod
    def of(cls, training: Training, samples: int) -> BatchPlan:
        """The plan of a training on `samples` samples. It may have no step at all: see `steps`."""
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
        """Samples trained on in one epoch."""
        return self.full * self.batch_size + self.remainder

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        return self.epochs * self.steps_per_epoch

    @property
    def largest_batch(self) -> int:
        """Samples of the largest batch."""
        return self.batch_size if self.full else self.remainder

    def samples_before(self, step: int) -> int:
        """Samples trained on in the first `step` updates."""
        epochs, within = divmod(step, self.steps_per_epoch)
        return epochs * self.samples_per_epoch + within * self.batch_size

    def batch_size_at(self, step: int) -> int:
        """Samples of one step's batch."""
        return self.batch_size if step % self.steps_per_epoch < self.full else self.remainder
