"""What one seed is trained on: initial weights, batches and masks block by block, and their hash."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from shared.batch_plan import BatchPlan
from shared.program import Mask, compile_job
from shared.spec import Job
from shared.spec.weights import FrameworkWeights, GivenWeights, NpzWeights, SharedWeights
from worker.adapters.base import Floats, FrameworkAdapter, Weights
from worker.training.batches import BatchHash, SampleOrder
from worker.training.initial_weights import check_weights, draw_starts, draw_weights
from worker.training.masks import MaskSource, bytes_per_sample, mask_keys
from worker.training.pacing import Cut, cut
from worker.training.samples import RunData

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


def initial_weights(job: Job, *, data: RunData, adapter: FrameworkAdapter, seed: int) -> Weights:
    """The weights that one seed starts from. Raises TrainingError (`bad_weights`)."""
    return starts(job, data=data, adapter=adapter, seeds=[seed])[seed]


def starts(job: Job, *, data: RunData, adapter: FrameworkAdapter, seeds: Iterable[int]) -> dict[int, Weights]:
    """The weights that each seed starts from, by seed. Raises TrainingError (`bad_weights`)."""
    program, precision = compile_job(job, data.input_shape), job.precision
    seeds = list(dict.fromkeys(seeds))
    match job.initial_weights:
        case SharedWeights(seed=declared):
            if declared is not None:
                drawn = draw_weights(program, seed=declared, precision=precision)
                return dict.fromkeys(seeds, drawn)
            own = draw_starts(program, seeds=seeds, precision=precision)
            return dict(zip(seeds, own, strict=True))
        case FrameworkWeights():
            return {
                seed: check_weights(
                    adapter.default_weights(job, input_shape=data.input_shape, seed=seed),
                    program,
                    precision=precision,
                )
                for seed in seeds
            }
        case GivenWeights() | NpzWeights():
            given = check_weights(data.given_weights, program, precision=precision)
            return dict.fromkeys(seeds, given)
