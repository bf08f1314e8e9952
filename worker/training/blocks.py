"""How a training is cut into blocks, how long they take, and what each is fed with.

Between two blocks the worker reports progress and looks for a cancellation; so a block should last
about TARGET_S, whatever a step costs. The cutting never changes a number: every array of a block is
addressed by its steps.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Job
from likewise.shared.job.training import BatchPlan
from likewise.shared.program import Mask, ProgramSpec
from likewise.shared.results.run_result import Timings
from likewise.worker.adapters.common import bytes_per_sample
from likewise.worker.adapters.trainer import EnsembleBlock, Floats, State, Weights
from likewise.worker.training.draws import MaskSource, SampleOrder, mask_keys
from likewise.worker.training.results import Member
from likewise.worker.training.schedules import learning_rates

Number = TypeVar("Number", bound=np.generic)

TARGET_S = 0.25


MOST_BYTES = 32 * 1024 * 1024
"""A block's indices and masks take no more than this, unless a single step needs more."""


_FASTEST_GROWTH = 8


SHARE = 1 / 64
"""How much of the time trained so far early stopping in hindsight may waste: by training on after patience
has run out, until it looks at the epochs, and by repeating updates from a mark. Looks and marks themselves
take about this share of the time at most, by what they cost:"""


LOOK_S = 125e-6
"""What a look costs: a block of its own takes 0.1 to 0.4 ms more than the same updates in a longer one."""


MARK_S, MARK_BYTE_S = 40e-6, 0.5e-9
"""What a mark costs, and what each byte of the state that it copies adds."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Says which steps a block has: consecutive ones, on batches of one size."""

    first_step: int
    steps: int
    batch_size: int


def cut(plan: BatchPlan, step: int, *, wanted: int, stop_at_epochs: bool) -> Cut:
    """Return the next block from `step`, of at most `wanted` steps.

    A partial batch is a block of its own. Only where there is none, and nothing needs a look at each
    epoch's end, does a block go on into the next epochs.
    """
    within = step % plan.steps_per_epoch
    if within >= plan.full:
        available = 1
    elif plan.remainder or stop_at_epochs:
        available = plan.full - within
    else:
        available = plan.steps - step
    return Cut(first_step=step, steps=min(wanted, available), batch_size=plan.batch_size_at(step))


class Pace:
    """Learns from how long blocks took how many steps the next should have."""

    def __init__(self, *, bytes_per_step: int) -> None:
        self.most = max(1, MOST_BYTES // max(1, bytes_per_step))
        """The most steps whose indices and masks fit into a block."""
        self._wanted = 1
        self._step_s = 0.0

    @property
    def wanted(self) -> int:
        """Return how many steps the next block should have."""
        return self._wanted

    def learn(self, steps: int, seconds: float) -> None:
        """Note that a block of `steps` took `seconds`, without compiling.

        Blocks grow gradually, since the first updates are slow.
        """
        if steps > 1:  # the very first update is slow
            self._step_s = seconds / steps
        fitting = int(TARGET_S * steps / seconds) if seconds > 0 else self.most
        self._wanted = max(1, min(fitting, self._wanted * _FASTEST_GROWTH, self.most))

    def until_look(self, *, trained_s: float) -> int:
        """Return the updates between two looks at the epochs, after `trained_s` seconds of training."""
        return self._worth(LOOK_S, trained_s)

    def until_mark(self, *, trained_s: float, state_bytes: int) -> int:
        """Return the updates between two marks of a block, after `trained_s` seconds of training."""
        return self._worth(MARK_S + MARK_BYTE_S * state_bytes, trained_s)

    def _worth(self, cost_s: float, trained_s: float) -> int:
        """Return after how many updates `cost_s` is worth spending: a block's, while none was timed."""
        seconds = max(cost_s / SHARE, trained_s * SHARE)
        return max(1, int(min(seconds / self._step_s, self.most))) if self._step_s > 0 else self.most


Phase = Literal["build_s", "compile_s", "train_s", "predict_s"]


class Stopwatch:
    """Adds up seconds by phase. Adapters return only when the device has finished."""

    def __init__(self) -> None:
        self._seconds: dict[Phase, float] = {
            "build_s": 0.0,
            "compile_s": 0.0,
            "train_s": 0.0,
            "predict_s": 0.0,
        }

    @contextmanager
    def measure(self, phase: Phase) -> Iterator[None]:
        """Time what is inside; what raises is not counted."""
        begin = time.perf_counter()
        yield
        self._seconds[phase] += time.perf_counter() - begin

    def seconds(self, phase: Phase) -> float:
        """Return the seconds of one phase so far."""
        return self._seconds[phase]

    def timings(self, queue_s: float | None, *, members: int = 1) -> Timings:
        """Return the phases so far; each of several members has an equal share of them."""
        shares = {phase: seconds / members for phase, seconds in self._seconds.items()}
        return Timings(queue_s=queue_s, **shares)

    def state(self) -> State:
        """Return the seconds of every phase so far."""
        return {phase: np.array(seconds) for phase, seconds in self._seconds.items()}

    def load_state(self, state: State) -> None:
        """Add what an earlier attempt spent on what it left: it was needed to come here."""
        for phase in self._seconds:
            self._seconds[phase] += float(state[phase])


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
        self._plan = plan
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
        indices = {feed: feed.indices(part) for feed in self._members}
        masks = {seed: feed.masks(part) for seed, feed in self._feeds.items()} if self._by_seed else {}
        return EnsembleBlock(
            indices=on_an_axis([indices[self._feeds[seed]] for seed in self._seeds])
            if self._by_seed
            else next(iter(indices.values())),
            learning_rates=on_an_axis([rates[optimizer] for optimizer in self._optimizers]),
            first_step=part.first_step,
            masks=stacked_by_name([masks[seed] for seed in self._seeds]) if masks else {},
        )

    def count(self, block: EnsembleBlock, steps: int) -> None:
        """Add the first `steps` batches of a block, which were trained on, to the hashes."""
        for feed, member in self._members.items():
            feed.count(_of_member(block, member)[:steps])

    def count_first(self, steps: int, *, at_once: int) -> None:
        """Add the batches of the first `steps` updates, which an earlier attempt trained on."""
        for feed in self._members:
            feed.count_first(steps, at_once=at_once)

    def batches_hash(self, member: int, block: EnsembleBlock | None = None, steps: int = 0) -> str:
        """Return the hash of a member's batches so far, and of the first `steps` of a block to be counted."""
        further = [] if block is None else [_of_member(block, member)[:steps]]
        return self._feeds[self._seeds[member]].batches_hash(*further)


def _of_member(block: EnsembleBlock, member: int) -> NDArray[np.int64]:
    """Return which samples each batch of one member holds: (n, b)."""
    return block.indices if block.indices.ndim == 2 else block.indices[member]


def stacked_by_name(members: Sequence[Weights]) -> Weights:
    """Stack the arrays of the same name of all members, each along axis 0."""
    return {name: on_an_axis([member[name] for member in members]) for name in members[0]}


def on_an_axis(arrays: Sequence[NDArray[Number]]) -> NDArray[Number]:
    """Stack the members' arrays along axis 0; that of an only member is not copied."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
