"""Many trainings as one: the counterpart of `worker.training.seed_training` for an ensemble.

Each member has its own record, which judges its numbers as if it had trained alone: a member that
diverges fails alone, and the program goes on with the others. Members of one seed share its feed, and
all members share one where nothing in it depends on the seed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.job.training import BatchPlan
from shared.program import compile_job
from shared.results.run_result import Hashes
from shared.store.arrays import hash_arrays
from worker.adapters.base import EnsembleBlock, Floats, FrameworkAdapter, State, Weights
from worker.training.failures import TrainingError
from worker.training.feed import Feed, dropouts_of, sample_bytes
from worker.training.initial_weights import starts
from worker.training.members import Member, activations_of
from worker.training.pacing import Cut, Pace, Stopwatch, cut
from worker.training.samples import RunData
from worker.training.schedules import learning_rates
from worker.training.seed_record import Outcome, SeedRecord, measured, validation_losses
from worker.training.state import document, joined, part_of, read_document, stacked, unstacked

_BYTES_AT_ONCE = 32 * 2**20
"""The most bytes that samples take in all members' layers when outputs are computed: larger sets are taken in
chunks, which also keeps them in the processor's cache."""


class EnsembleTraining:
    """An ensemble with its data, from the first step to the last. Members are counted from 0."""

    def __init__(self, members: Sequence[Member], *, data: RunData, adapter: FrameworkAdapter) -> None:
        """Raises UnsupportedError where the adapter cannot vectorise the job."""
        self._members = members
        self._data = data
        job = members[0].job
        self._job = job
        self.plan = BatchPlan.of(job.training, len(data.train.x))
        self.stopwatch = Stopwatch()
        with self.stopwatch.measure("build_s"):
            seeds = [member.seed for member in members]
            begin = starts(job, data=data, adapter=adapter, seeds=seeds)
            self._initial_hashes = {seed: hash_arrays(weights) for seed, weights in begin.items()}
            self._trainer = adapter.build_ensemble(
                compile_job(job, data.input_shape),
                job,
                optimizers=[member.job.optimizer for member in members],
                weights=_stacked([begin[seed] for seed in seeds]),
                samples=data.train,
            )
        self.execution = f"{self._trainer.execution}, {len(members):,} at once"

        dropouts = dropouts_of(job, data)
        self._by_seed = job.training.shuffle or bool(dropouts)
        shared = None if self._by_seed else Feed(job, plan=self.plan, dropouts=(), seed=members[0].seed)
        self._feeds = {
            seed: shared or Feed(job, plan=self.plan, dropouts=dropouts, seed=seed) for seed in begin
        }
        copies = len(members) if self._by_seed else 1
        step_bytes = copies * self.plan.largest_batch * sample_bytes(job, dropouts)
        self._pace = Pace(bytes_per_step=step_bytes)
        self._compiled_sizes: set[int] = set()
        self._step = 0
        self._records = [SeedRecord(member.job, self.plan) for member in members]
        self.failures: dict[int, TrainingError] = {}
        """Why members diverged, by member."""
        self._batches_until_failure: dict[int, str] = {}

    @property
    def epochs_done(self) -> int:
        """Epochs that the members which still train have finished."""
        return self._step // self.plan.steps_per_epoch

    @property
    def samples_done(self) -> int:
        """Samples trained on by all members together, each counted once an epoch."""
        return self.plan.samples_before(self._step) * len(self._members)

    @property
    def finished(self) -> bool:
        """Whether all steps are done or no member is left."""
        return self._step == self.plan.steps or len(self.failures) == len(self._members)

    @property
    def last_loss(self) -> float | None:
        """The median of the last finished epoch's losses, over the members that still train."""
        return _median(record.losses for record in self._training())

    @property
    def last_validation_loss(self) -> float | None:
        """Return what `last_loss` is, on the validation samples."""
        return _median(record.validation_losses for record in self._training())

    def losses(self, member: int) -> list[float]:
        """One number for each epoch that the member finished."""
        return self._records[member].losses

    def validation_losses(self, member: int) -> list[float]:
        """One number for each epoch that the member finished, where samples are held out for it."""
        return self._records[member].validation_losses

    def hashes(self, member: int) -> Hashes:
        """The hashes of the member's initial weights, and of the batches it was trained on."""
        seed = self._members[member].seed
        batches = self._batches_until_failure.get(member) or self._feeds[seed].batches_hash()
        return Hashes(initial_weights=self._initial_hashes[seed], batches=batches)

    def advance(self) -> None:
        """Train one block. Members that diverge join `failures`; the framework may raise anything."""
        begin = time.perf_counter()
        stops = "validation" in self._data.parts
        part = cut(self.plan, self._step, wanted=self._pace.wanted, stop_at_epochs=stops)
        batches = {feed: feed.indices(part) for feed in dict.fromkeys(self._feeds.values())}
        block = self._block(part, batches)
        compiles = self._trainer.compiles and part.batch_size not in self._compiled_sizes
        with self.stopwatch.measure("compile_s" if compiles else "train_s"):
            losses = self._trainer.train(block)
        self._compiled_sizes.add(part.batch_size)
        self._take(losses, part, batches)
        self._step += part.steps
        if part.batch_size == self.plan.largest_batch and not compiles:
            self._pace.learn(part.steps, time.perf_counter() - begin)
        if stops and self._step % self.plan.steps_per_epoch == 0:
            self._take_validation()

    def conclude(self) -> list[Outcome | None]:
        """What each member came to; None for those in `failures`, which may get more members here."""
        with self.stopwatch.measure("predict_s"):
            outputs = {name: self._outputs(part.x) for name, part in self._data.parts.items()}
            predictions = None if self._data.predict is None else self._outputs(self._data.predict)
        weights = self._trainer.weights()
        metrics = measured(self._job, self._data.parts, outputs)
        outcomes: list[Outcome | None] = [None] * len(self._members)
        for member, record in enumerate(self._records):
            if member in self.failures:
                continue
            try:
                outcomes[member] = record.conclude(
                    parts=self._data.parts,
                    metrics=metrics[member],
                    outputs={name: array[member] for name, array in outputs.items()},
                    predictions=None if predictions is None else predictions[member],
                    weights={name: array[member] for name, array in weights.items()},
                )
            except TrainingError as error:
                self._fail(member, error)
        return outcomes

    def state(self) -> State:
        """Everything that another training of the same members needs to go on from here, to the same bits."""
        errors = {
            member: [error.reason, str(error), error.epoch, error.step]
            for member, error in self.failures.items()
        }
        return {
            "step": np.array(self._step),
            "failures": document(errors),
            "batches_until_failure": document(self._batches_until_failure),
            **joined(
                trainer=self._trainer.state(),
                records=stacked([record.state() for record in self._records]),
                stopwatch=self.stopwatch.state(),
            ),
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave; called before anything is trained.

        The hashes of the batches are computed again, so they cover the whole training.
        """
        self._trainer.load_state(part_of(state, "trainer"))
        self.stopwatch.load_state(part_of(state, "stopwatch"))
        for record, own in zip(self._records, unstacked(part_of(state, "records")), strict=True):
            record.load_state(own)
        self._step = state["step"].item()
        self.failures = {
            int(member): TrainingError(reason, message, epoch=epoch, step=step)
            for member, (reason, message, epoch, step) in read_document(state["failures"]).items()
        }
        batches = read_document(state["batches_until_failure"])
        self._batches_until_failure = {int(member): sha256 for member, sha256 in batches.items()}
        for feed in dict.fromkeys(self._feeds.values()):
            feed.count_first(self._step, at_once=self._pace.most)

    def _training(self) -> list[SeedRecord]:
        return [record for member, record in enumerate(self._records) if member not in self.failures]

    def _block(self, part: Cut, batches: dict[Feed, NDArray[np.int64]]) -> EnsembleBlock:
        seeds = [member.seed for member in self._members]
        optimizers = [member.job.optimizer for member in self._members]
        rates = {
            optimizer: learning_rates(
                optimizer,
                first_step=part.first_step,
                steps=part.steps,
                steps_per_epoch=self.plan.steps_per_epoch,
            )
            for optimizer in dict.fromkeys(optimizers)
        }
        masks = {seed: feed.masks(part) for seed, feed in self._feeds.items()} if self._by_seed else {}
        return EnsembleBlock(
            indices=np.stack([batches[self._feeds[seed]] for seed in seeds])
            if self._by_seed
            else next(iter(batches.values())),
            learning_rates=np.stack([rates[optimizer] for optimizer in optimizers]),
            first_step=part.first_step,
            masks=_stacked([masks[seed] for seed in seeds]) if masks else {},
        )

    def _take(self, losses: NDArray[np.float64], part: Cut, batches: dict[Feed, NDArray[np.int64]]) -> None:
        """Add the block's losses to the members that still train, and count its batches per feed."""
        for member, record in enumerate(self._records):
            if member in self.failures:
                continue
            try:
                record.take(losses[member], part.batch_size)
            except TrainingError as error:
                feed = self._feeds[self._members[member].seed]
                trained = batches[feed][: record.step - part.first_step + 1]
                self._batches_until_failure[member] = feed.batches_hash(trained)
                self._fail(member, error)
        for feed, indices in batches.items():
            feed.count(indices)

    def _take_validation(self) -> None:
        held_out = self._data.parts["validation"]
        with self.stopwatch.measure("predict_s"):
            outputs = self._outputs(held_out.x)
        values = validation_losses(self._job, outputs, held_out)
        for member, record in enumerate(self._records):
            if member in self.failures:
                continue
            try:
                record.take_validation_loss(float(values[member]))
            except TrainingError as error:
                self._fail(member, error)

    def _fail(self, member: int, error: TrainingError) -> None:
        if member not in self._batches_until_failure:
            feed = self._feeds[self._members[member].seed]
            self._batches_until_failure[member] = feed.batches_hash()
        self.failures[member] = error

    def _outputs(self, x: Floats) -> Floats:
        """Every member's outputs: (members, m, outputs)."""
        row_bytes = activations_of(self._job, data=self._data) * np.dtype(self._job.precision).itemsize
        rows = max(1, _BYTES_AT_ONCE // (len(self._members) * row_bytes))
        chunks = [self._trainer.outputs(x[at : at + rows]) for at in range(0, max(len(x), 1), rows)]
        return np.concatenate(chunks, axis=1)


def _stacked(members: Sequence[Weights]) -> Weights:
    return {name: np.stack([member[name] for member in members]) for name in members[0]}


def _median(curves: Iterable[list[float]]) -> float | None:
    last = [curve[-1] for curve in curves if curve]
    return float(np.median(last)) if last else None
