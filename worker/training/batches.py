"""Which samples each update sees: the plan of an epoch, the order of the samples, and its proof.

Steps count updates from 0 through the whole training. An epoch has `full` batches of `batch_size`
and, unless it is dropped, one of `remainder` samples. The order of an epoch is the sorting
permutation of one random word a sample (ties keep their order), addressed by (seed, epoch), or by
(seed, 0) in every epoch where it is drawn once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.spec import Training
from worker.training.draws import Draws, Purpose


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the samples of an epoch fall into batches."""

    samples: int
    batch_size: int
    full: int
    remainder: int
    """Samples of the partial last batch; 0 where there is none."""
    epochs: int

    @classmethod
    def of(cls, training: Training, samples: int) -> Plan:
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


class SampleOrder:
    """The indices of any stretch of steps."""

    def __init__(self, plan: Plan, *, shuffle: Literal[False, True, "once"], seed: int) -> None:
        self._plan = plan
        self._shuffle = bool(shuffle)
        self._once = shuffle == "once"
        self._draws = Draws(seed, Purpose.ORDER)
        self._last = (-1, np.arange(plan.samples, dtype=np.int64))

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """The samples in the order of one epoch (from 0): (samples,)."""
        if not self._shuffle:
            return self._last[1]
        if self._once:
            epoch = 0
        if self._last[0] != epoch:
            words = self._draws.words(self._plan.samples, item=epoch)
            self._last = (epoch, np.argsort(words, kind="stable").astype(np.int64))
        return self._last[1]

    def indices(self, first_step: int, steps: int) -> NDArray[np.int64]:
        """The samples of `steps` consecutive batches, which must all have one size b: (steps, b)."""
        plan = self._plan
        size = plan.batch_size_at(first_step)
        if not self._shuffle or self._once:
            within = np.arange(first_step, first_step + steps) % plan.steps_per_epoch
            places = (within * plan.batch_size)[:, None] + np.arange(size)
            return np.take(self.epoch(0), places)
        parts = []
        step, end = first_step, first_step + steps
        while step < end:
            epoch, begin = divmod(step, plan.steps_per_epoch)
            last = min(plan.steps_per_epoch, begin + end - step)
            parts.append(self.epoch(epoch)[begin * plan.batch_size : last * plan.batch_size])
            step += last - begin
        return np.concatenate(parts).reshape(steps, size)


class BatchHash:
    """SHA-256 of the batches that were trained on, as they were handed over.

    Over the plan, then the indices in order as little-endian int64. `mask_keys` adds what the dropout
    masks are drawn from: (seed, layer index, rate) of each dropout layer.
    """

    def __init__(self, plan: Plan, *, mask_keys: tuple[tuple[int, int, float], ...] = ()) -> None:
        head = f"samples {plan.samples}, batch size {plan.batch_size}, remainder {plan.remainder}"
        self._digest = hashlib.sha256(f"{head}, masks {mask_keys!r}:".encode())

    def add(self, indices: NDArray[np.int64]) -> None:
        """Batches trained on: (n, b)."""
        self._digest.update(np.ascontiguousarray(indices, dtype="<i8").data)

    def hexdigest(self, *further: NDArray[np.int64]) -> str:
        """Of all batches so far, and of further ones that are not added."""
        digest = self._digest.copy()
        for indices in further:
            digest.update(np.ascontiguousarray(indices, dtype="<i8").data)
        return digest.hexdigest()
