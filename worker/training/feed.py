"""What the trainings of one seed are fed with, block by block: batches, dropout masks, and their hash.

Which samples each update sees: how an epoch falls into batches is in `shared.job.training`. The order of an
epoch is the sorting permutation of one random word a sample (ties keep their order), addressed by (seed,
epoch), or by (seed, 0) in every epoch where it is drawn once.

Dropout masks are factors to multiply a layer's input by, the same in every framework. An element's factor
comes from 32 random bits, addressed by (seed, layer index, step) and taken in the order of the array's
elements: the lower half of a word, then its upper half. The seed is the layer's own where it has one, else
the run's. The factor is 0 where the bits, read as a whole number, are below rate·2³², else 1/(1 − rate). So
a step's mask is the same however the training is cut into blocks, and a smaller batch has the first rows of
a larger one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.job import Job
from shared.job.experiment import Precision
from shared.job.training import BatchPlan
from shared.program import Mask, compile_job
from worker.adapters.base import Floats
from worker.adapters.shapes import bytes_per_sample
from worker.training.draws import Draws, Purpose
from worker.training.pacing import Cut, cut
from worker.training.samples import RunData


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
        """Return the hash of all batches so far, and of further ones that are not added."""
        digest = self._digest.copy()
        for indices in further:
            digest.update(np.ascontiguousarray(indices, dtype="<i8").data)
        return digest.hexdigest()


def mask_keys(layers: Sequence[Mask], seed: int) -> tuple[tuple[int, int, float], ...]:
    """What the masks are drawn from: (seed, layer index, rate) of each layer."""
    return tuple((layer.seed_in(seed), layer.index, layer.rate) for layer in layers)


class MaskSource:
    """The masks of one seed's training."""

    def __init__(self, layers: Sequence[Mask], *, seed: int, precision: Precision) -> None:
        self._layers = layers
        self._precision = np.dtype(precision)
        self._draws = {layer.path: Draws(layer.seed_in(seed), Purpose.MASK) for layer in layers}

    def block(self, *, first_step: int, steps: int, batch_size: int) -> dict[str, Floats]:
        """Draw the masks of consecutive steps, by layer path: (steps, batch_size, *shape)."""
        return {
            layer.path: self._factors(layer, range(first_step, first_step + steps), batch_size)
            for layer in self._layers
        }

    def _factors(self, layer: Mask, steps: range, rows: int) -> Floats:
        size = rows * prod(layer.shape)
        below = np.uint32(round(layer.rate * 2**32))
        kept = np.empty((len(steps), size), dtype=np.bool_)
        for row, step in enumerate(steps):
            words = self._draws[layer.path].words((size + 1) // 2, index=layer.index, item=step)
            np.greater_equal(words.astype("<u8", copy=False).view("<u4")[:size], below, out=kept[row])
        factors: Floats = kept * self._precision.type(1.0 / (1.0 - layer.rate))
        return factors.reshape(len(steps), rows, *layer.shape)


_INT64_BYTES = 8


class Feed:
    """The batches and masks of one seed.

    Blocks may be asked for in any order, but must be counted into the hash in the order of training.
    """

    def __init__(self, job: Job, *, plan: BatchPlan, dropouts: tuple[Mask, ...], seed: int) -> None:
        declared = job.training.shuffle_seed
        order_seed = seed if declared is None else declared
        self._plan = plan
        self._order = SampleOrder(plan, shuffle=job.training.shuffle, seed=order_seed)
        self._masks = MaskSource(dropouts, seed=seed, precision=job.precision)
        self._batch_hash = BatchHash(plan, mask_keys=mask_keys(dropouts, seed))

    def indices(self, part: Cut) -> NDArray[np.int64]:
        """Which training samples each batch holds: (n, b)."""
        return self._order.indices(part.first_step, part.steps)

    def masks(self, part: Cut) -> dict[str, Floats]:
        """The dropout masks by layer path: (n, b, *layer input)."""
        return self._masks.block(first_step=part.first_step, steps=part.steps, batch_size=part.batch_size)

    def count(self, indices: NDArray[np.int64]) -> None:
        """Add batches that were trained on to the hash: (n, b)."""
        self._batch_hash.add(indices)

    def count_first(self, steps: int, *, at_once: int) -> None:
        """Add the batches of the first `steps` updates, which an earlier attempt trained on, to the hash.

        `at_once` is how many of them are drawn at a time.
        """
        step = 0
        while step < steps:
            part = cut(self._plan, step, wanted=min(at_once, steps - step), stop_at_epochs=False)
            self.count(self.indices(part))
            step += part.steps

    def batches_hash(self, *further: NDArray[np.int64]) -> str:
        """SHA-256 of what the masks are drawn from, the batches counted so far, and `further` ones."""
        return self._batch_hash.hexdigest(*further)


def dropouts_of(job: Job, data: RunData) -> tuple[Mask, ...]:
    """The stages of a job's program that are given masks."""
    return compile_job(job, data.input_shape).masks


def sample_bytes(job: Job, dropouts: tuple[Mask, ...]) -> int:
    """How many bytes one sample of one step takes in a block: its index and its masks."""
    return _INT64_BYTES + bytes_per_sample(dropouts, job.precision)
