"""Which samples each update sees: the order of the samples in each epoch, and the hash that proves it.

How an epoch falls into batches is in `shared.batch_plan`. The order of an epoch is the sorting permutation of
one random word a sample (ties keep their order), addressed by (seed, epoch), or by (seed, 0) in every epoch
where it is drawn once.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.batch_plan import BatchPlan
from worker.training.draws import Draws, Purpose


class SampleOrder:
    """The indices of any stretch of steps."""

    def __init__(self, plan: BatchPlan, *, shuffle: Literal[False, True, "once"], seed: int) -> None:
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

    def __init__(self, plan: BatchPlan, *, mask_keys: tuple[tuple[int, int, float], ...] = ()) -> None:
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
