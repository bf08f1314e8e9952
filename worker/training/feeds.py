"""What a training is fed with, block by block: samples in their order, dropout masks, learning rates.

The order of an epoch is the sorting permutation of one random word a sample (ties keep their order),
addressed by the epoch, or by 0 in every epoch where it is drawn once.

Dropout masks are factors to multiply a layer's input by. An element's factor comes from 32 random bits,
addressed by (layer index, step) and taken in the order of the array's elements: the lower half of a word,
then its upper half. The seed is the layer's own where it has one, else the run's. The factor is 0 where the
bits, read as a whole number, are below rate·2³², else 1/(1 − rate). So a step's mask is the same however
the training is cut into blocks, and a smaller batch has the first rows of a larger one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import prod
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from likewise.shared.draws import DrawPurpose, Draws
from likewise.shared.job import Job
from likewise.shared.job.experiment import Precision
from likewise.shared.job.training import BatchPlan, accumulated
from likewise.shared.learning_rates import learning_rates
from likewise.shared.program import Mask, ProgramSpec
from likewise.worker.adapters.common import bytes_per_sample
from likewise.worker.adapters.trainer import EnsembleBlock, Floats, Weights
from likewise.worker.training.blocks import Cut, cut
from likewise.worker.training.results import Member


class SampleOrder:
    """Gives the samples of any stretch of steps."""

    def __init__(self, plan: BatchPlan, *, shuffle: Literal[False, True, "once"], seed: int) -> None:
        self._plan = plan
        self._shuffle = bool(shuffle)
        self._once = shuffle == "once"
        self._draws = Draws(seed, DrawPurpose.ORDER)
        self._last = (-1, np.arange(plan.samples, dtype=np.int64))

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """Return the samples in the order of one epoch (from 0): (samples,)."""
        if not self._shuffle:
            return self._last[1]
        if self._once:
            epoch = 0
        if self._last[0] != epoch:
            words = self._draws.words(self._plan.samples, item=epoch)
            self._last = (epoch, np.argsort(words, kind="stable").astype(np.int64))
        return self._last[1]

    def indices(self, first_step: int, steps: int) -> NDArray[np.int64]:
        """Return the samples of `steps` consecutive batches, which must all have one size b: (steps, b)."""
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


def mask_keys(layers: Sequence[Mask], seed: int) -> tuple[tuple[int, int, float], ...]:
    """Return what the masks are drawn from: (seed, layer index, rate) of each layer."""
    return tuple((layer.seed_in(seed), layer.index, layer.rate) for layer in layers)


class MaskSource:
    """Draws the dropout masks of one seed's training."""

    def __init__(
        self,
        layers: Sequence[Mask],
        *,
        seed: int,
        precision: Precision,
        purpose: DrawPurpose = DrawPurpose.MASK,
    ) -> None:
        self._layers = layers
        self._precision = np.dtype(precision)
        self._draws = {layer.path: Draws(layer.seed_in(seed), purpose) for layer in layers}

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


Number = TypeVar("Number", bound=np.generic)


class BatchHash:
    """Takes the SHA-256 of the batches that were trained on, as they were handed over.

    Over the plan, then the indices in order as little-endian int64. `mask_keys` adds what the dropout
    masks are drawn from: (seed, layer index, rate) of each dropout layer.
    """

    def __init__(self, plan: BatchPlan, *, mask_keys: tuple[tuple[int, int, float], ...] = ()) -> None:
        head = f"samples {plan.samples}, batch size {plan.batch_size}, remainder {plan.remainder}"
        self._digest = hashlib.sha256(f"{head}, masks {mask_keys!r}:".encode())

    def add(self, indices: NDArray[np.int64]) -> None:
        """Add batches that were trained on: (n, b)."""
        self._digest.update(np.ascontiguousarray(indices, dtype="<i8").data)

    def hexdigest(self, *further: NDArray[np.int64]) -> str:
        """Return the hash of all batches so far, and of further ones that are not added."""
        digest = self._digest.copy()
        for indices in further:
            digest.update(np.ascontiguousarray(indices, dtype="<i8").data)
        return digest.hexdigest()


_INT64_BYTES = 8


class Feed:
    """Gives the batches and masks of one seed, and hashes them.

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
        """Return which training samples each batch holds: (n, b)."""
        return self._order.indices(part.first_step, part.steps)

    def masks(self, part: Cut) -> dict[str, Floats]:
        """Return the dropout masks by layer path: (n, b, *layer input)."""
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
        """Return the SHA-256 of what masks are drawn from, the batches counted so far, and `further` ones."""
        return self._batch_hash.hexdigest(*further)


class Feeds:
    """Gives the members of a training their blocks, and hashes each member's batches.

    Members of one seed share its feed, and all share one where nothing in it depends on the seed.
    """

    def __init__(self, members: Sequence[Member], program: ProgramSpec, plan: BatchPlan) -> None:
        job = members[0].job
        self._plan, self._training = plan, job.training
        self._seeds = [member.seed for member in members]
        self._optimizers = [member.job.optimizer for member in members]
        self._by_seed = bool(job.training.shuffle or program.masks)
        shared = None if self._by_seed else Feed(job, plan=plan, dropouts=(), seed=self._seeds[0])
        self._feeds = {
            seed: shared or Feed(job, plan=plan, dropouts=program.masks, seed=seed)
            for seed in dict.fromkeys(self._seeds)
        }
        self._members = {self._feeds[seed]: place for place, seed in enumerate(self._seeds)}
        """Each feed, with one of the members that it is for."""
        copies = len(members) if self._by_seed else 1
        a_sample = _INT64_BYTES + bytes_per_sample(program.masks, job.precision)
        self.bytes_per_step = copies * plan.largest_batch * a_sample
        """How many bytes the indices and masks of one step take."""

    def block(self, part: Cut, *, plateaus: int) -> EnsembleBlock:
        """Return the block of these steps, after so many plateaus of the loss."""
        indices = {feed: feed.indices(part) for feed in self._members}
        masks = {seed: feed.masks(part) for seed, feed in self._feeds.items()} if self._by_seed else {}
        rates = {
            optimizer: learning_rates(
                optimizer,
                first_step=part.first_step,
                steps=part.steps,
                steps_per_epoch=self._plan.steps_per_epoch,
                plateaus=plateaus,
            )
            for optimizer in dict.fromkeys(self._optimizers)
        }
        return EnsembleBlock(
            indices=on_an_axis([indices[self._feeds[seed]] for seed in self._seeds])
            if self._by_seed
            else next(iter(indices.values())),
            learning_rates=on_an_axis([rates[optimizer] for optimizer in self._optimizers]),
            first_step=part.first_step,
            accumulation=accumulated(
                self._training, self._plan, first_step=part.first_step, steps=part.steps
            ),
            masks=stacked_by_name([masks[seed] for seed in self._seeds]) if masks else {},
        )

    def feed(self, member: int) -> Feed:
        """Return the feed of one member."""
        return self._feeds[self._seeds[member]]

    def count(self, block: EnsembleBlock, steps: int) -> None:
        """Add the first `steps` batches of a block, which were trained on, to the hashes."""
        for feed, member in self._members.items():
            feed.count(block.indices_of(member)[:steps])

    def count_first(self, steps: int, *, at_once: int) -> None:
        """Add the batches of the first `steps` updates, which an earlier attempt trained on."""
        for feed in self._members:
            feed.count_first(steps, at_once=at_once)

    def batches_hash(self, member: int, block: EnsembleBlock | None = None, steps: int = 0) -> str:
        """Return the hash of a member's batches so far, and of the first `steps` of a block to be counted."""
        further = [] if block is None else [block.indices_of(member)[:steps]]
        return self._feeds[self._seeds[member]].batches_hash(*further)


def stacked_by_name(members: Sequence[Weights]) -> Weights:
    """Stack the arrays of the same name of all members, each along axis 0."""
    return {name: on_an_axis([member[name] for member in members]) for name in members[0]}


def on_an_axis(arrays: Sequence[NDArray[Number]]) -> NDArray[Number]:
    """Stack the members' arrays along axis 0; that of an only member is not copied."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
