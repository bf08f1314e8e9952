"""Training over a members axis: cuts it into blocks, trains them, and judges each member's numbers.

Knows nothing of queues, blobs or progress; `worker.training.run_trainer` calls `advance` until `finished`,
then `conclude`. Every number depends on the job, the data and the seed alone, never on how steps fall into
blocks, nor on which members train beside it. A member that diverges fails alone, and the others go on.

A member alone is trained by the adapter's Trainer, which also lets a `Monitor` stop it early or go back. Many
members are one program, an EnsembleTrainer.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job.training import BatchPlan
from likewise.shared.results.run_result import Hashes
from likewise.shared.store.arrays import hash_arrays
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.adapters.trainer import (
    Block,
    EnsembleBlock,
    EnsembleOfOne,
    EnsembleTrainer,
    Floats,
    State,
    Trainer,
)
from likewise.worker.training.blocks import Cut, Pace, Stopwatch, cut
from likewise.worker.training.checkpoints import document, joined, part_of, read_document, stacked, unstacked
from likewise.worker.training.evaluating import Evaluation
from likewise.worker.training.failures import TrainingError
from likewise.worker.training.feeds import Feeds, stacked_by_name
from likewise.worker.training.metrics import measured, validation_losses
from likewise.worker.training.monitor import Monitor
from likewise.worker.training.results import Member, OutputsOf, Trained
from likewise.worker.training.samples import RunData
from likewise.worker.training.seed_record import SeedRecord, finite_count
from likewise.worker.training.starts import perturbed, starts


class OngoingTraining:
    """Trains members on their data, from the first step to the last. They are counted from 0."""

    def __init__(self, members: Sequence[Member], *, data: RunData, adapter: FrameworkAdapter) -> None:
        """Build the trainer. Raises UnsupportedError where the adapter cannot vectorise many members' job."""
        self.members = members
        self.data = data
        self.job = job = members[0].job
        self.program = data.program
        self.plan = BatchPlan.of(job.training, len(data.train.x))
        self.stopwatch = Stopwatch(adapter.synchronize)
        with self.stopwatch.measure("build_s"):
            begin = starts(job, data=data, adapter=adapter, seeds=[member.seed for member in members])
            if data.perturbed:
                begin = {seed: perturbed(weights) for seed, weights in begin.items()}
            self._initial_hashes = {seed: hash_arrays(weights) for seed, weights in begin.items()}
            self._alone: Trainer | None = None
            self._trainer: EnsembleTrainer | EnsembleOfOne
            if len(members) == 1:
                self._alone = self._built(adapter, begin[members[0].seed])
                self._trainer = EnsembleOfOne(self._alone)
            else:
                self._trainer = adapter.build_ensemble(
                    self.program,
                    job,
                    optimizers=[member.job.optimizer for member in members],
                    weights=stacked_by_name([begin[member.seed] for member in members]),
                    samples=data.train,
                )

        self._evaluation = Evaluation(
            job, self.program, self._trainer, seeds=[member.seed for member in members]
        )
        self._feeds = Feeds(members, self.program, self.plan)
        self._pace = Pace(bytes_per_step=self._feeds.bytes_per_step)
        self._compiled_sizes: set[int] = set()
        self._monitor: Monitor | None = None
        if self._alone is not None and Monitor.has_work(job):
            self._monitor = Monitor(
                job, data, self._alone, plan=self.plan, pace=self._pace, stopwatch=self.stopwatch
            )
        self.step = 0
        """How many updates the members that still train have done."""
        self._records = [SeedRecord(member.job, self.plan) for member in members]
        self.failures: dict[int, TrainingError] = {}
        """Why members diverged, by member."""
        self._batches_until_failure: dict[int, str] = {}

    def _built(self, adapter: FrameworkAdapter, weights: dict[str, Floats]) -> Trainer:
        """Make the trainer of a member alone."""
        return adapter.build(self.program, self.job, weights=weights, samples=self.data.train)

    @property
    def execution(self) -> str:
        """Return how the framework executes it; that is known for certain after the first block."""
        if self._alone is not None:
            return self._alone.execution
        return f"{self._trainer.execution}, {len(self.members):,} at once"

    @property
    def compiles(self) -> bool:
        """Whether some program of this training is not compiled yet."""
        return self._trainer.compiles

    @property
    def compiles_next(self) -> bool:
        """Whether the next block has to be compiled first."""
        return self._trainer.compiles and self.plan.batch_size_at(self.step) not in self._compiled_sizes

    @property
    def epochs_done(self) -> int:
        """Return how many epochs the members that still train have finished."""
        return self.step // self.plan.steps_per_epoch

    @property
    def samples_done(self) -> int:
        """Return how many samples all members together were trained on, each counted once an epoch."""
        return self.plan.samples_before(self.step) * len(self.members)

    @property
    def stopped_early(self) -> bool:
        """Whether patience has run out before the last epoch."""
        return self._monitor is not None and self._monitor.stopped

    @property
    def finished(self) -> bool:
        """Whether all steps are done, patience has run out, or no member is left."""
        return self.stopped_early or self.step == self.plan.steps or len(self.failures) == len(self.members)

    @property
    def last_loss(self) -> float | None:
        """Return the median of the last finished epoch's losses, over the members that still train."""
        return _median(self._records[member].losses for member in self._left())

    @property
    def last_validation_loss(self) -> float | None:
        """Return what `last_loss` is, on the validation samples."""
        return _median(self._records[member].validation_losses for member in self._left())

    def losses(self, member: int = 0) -> list[float]:
        """Return one number for each epoch that the member finished."""
        return self._records[member].losses

    def validation_losses(self, member: int = 0) -> list[float]:
        """Return one number for each epoch that the member finished, where samples are held out for it."""
        return self._records[member].validation_losses

    def hashes(self, member: int = 0) -> Hashes:
        """Return the hashes of the member's initial weights, and of the batches it was trained on."""
        batches = self._batches_until_failure.get(member) or self._feeds.batches_hash(member)
        return Hashes(initial_weights=self._initial_hashes[self.members[member].seed], batches=batches)

    def alone(self) -> Trainer:
        """Return the trainer of a member that trains alone."""
        if self._alone is None:
            raise TypeError("many members have no Trainer of their own")
        return self._alone

    def next_update(self) -> Block:
        """Return the update that comes next for a member alone; nothing is trained."""
        part = Cut(first_step=self.step, steps=1, batch_size=self.plan.batch_size_at(self.step))
        return self._feeds.block(part, plateaus=self._plateaus).of_member(0)

    def advance(self, *, most: int | None = None) -> None:
        """Train one block, of `most` updates at most.

        Members that diverge join `failures`; the framework may raise anything.
        """
        begin = time.perf_counter()
        wanted = self._monitor.wanted(self.step) if self._monitor else self._pace.wanted
        if most is not None:
            wanted = min(most, wanted)
        part = cut(self.plan, self.step, wanted=wanted, stop_at_epochs=self._stops_at_epochs)
        block = self._feeds.block(part, plateaus=self._plateaus)
        compiles = self.compiles_next
        with self.stopwatch.measure("compile_s" if compiles else "train_s"):
            losses = self._train(block)
        self._compiled_sizes.add(part.batch_size)
        if self._monitor is not None:
            losses = losses[:, : self._monitor.counted(losses[0], self._records[0])]
        self._take(losses, block, part.batch_size)
        if part.batch_size == self.plan.largest_batch and not compiles:
            self._pace.learn(part.steps, time.perf_counter() - begin)
        if self._stops_at_epochs and self.step % self.plan.steps_per_epoch == 0 and self._left():
            self._end_epoch()

    def so_far(self, ended: TrainingError | None = None) -> list[Trained]:
        """Return what each member has come to; `ended` stopped all that had not failed before."""
        errors = [self.failures.get(place) or ended for place in range(len(self.members))]
        return [
            Trained(
                member=member,
                failure=error.failure(member.seed) if error else None,
                losses=self.losses(place)[: finite_count(self.losses(place))],
                validation_losses=self.validation_losses(place),
                stopped_early=self.stopped_early,
                hashes=self.hashes(place),
            )
            for place, (member, error) in enumerate(zip(self.members, errors, strict=True))
        ]

    def conclude(self) -> list[Trained]:
        """Return what each member came to in the end; `failures` may get more members here."""
        if not self._left():
            return self.so_far()
        if self._monitor is not None:
            self._monitor.restore_best()
        parts = self.data.parts
        rows = {} if self.data.predict is None else {"predict": self.data.predict}
        with self._averaged(self.job.optimizer.use_ema):
            with self.stopwatch.measure("predict_s"):
                outputs = {name: self.outputs_for(part.x, name) for name, part in parts.items()}
                predictions = {name: self.outputs_for(x, name) for name, x in rows.items()}
            weights = self._trainer.weights()
        metrics = measured(self.job, self.program, parts, outputs, self.data.target_scaling)
        for member in self._left():
            try:
                self._records[member].check_finite("weight", _of_member(weights, member))
                self._records[member].check_finite("output on", _of_member(outputs | predictions, member))
            except TrainingError as error:
                self._fail(member, error)
        # a part held out from training tells most about the model
        outputs_of: OutputsOf = (
            "test" if "test" in parts else "validation" if "validation" in parts else "train"
        )
        return [
            trained
            if trained.failure
            else dataclasses.replace(
                trained,
                metrics=metrics[place],
                outputs=outputs[outputs_of][place],
                outputs_of=outputs_of,
                predictions=_of_member(predictions, place).get("predict"),
                weights=_of_member(weights, place),
            )
            for place, trained in enumerate(self.so_far())
        ]

    def state(self) -> State:
        """Return all that another training of the same members needs to go on from here, to the same bits."""
        errors = {
            member: [error.reason, str(error), error.epoch, error.step]
            for member, error in self.failures.items()
        }
        return {
            "step": np.array(self.step),
            "failures": document(errors),
            "batches_until_failure": document(self._batches_until_failure),
            **joined(
                trainer=self._trainer.state(),
                records=stacked([record.state() for record in self._records]),
                stopwatch=self.stopwatch.state(),
                monitor=self._monitor.state() if self._monitor else {},
            ),
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave; called before anything is trained.

        The hashes of the batches are computed again, so they cover the whole training.
        """
        if self._monitor is not None:
            self._monitor.load_state(part_of(state, "monitor"))
        self._trainer.load_state(part_of(state, "trainer"))
        self.stopwatch.load_state(part_of(state, "stopwatch"))
        for record, own in zip(self._records, unstacked(part_of(state, "records")), strict=True):
            record.load_state(own)
        self.step = state["step"].item()
        self.failures = {
            int(member): TrainingError(reason, message, epoch=epoch, step=step)
            for member, (reason, message, epoch, step) in read_document(state["failures"]).items()
        }
        batches = read_document(state["batches_until_failure"])
        self._batches_until_failure = {int(member): sha256 for member, sha256 in batches.items()}
        self._feeds.count_first(self.step, at_once=self._pace.most)

    @property
    def _stops_at_epochs(self) -> bool:
        """Whether blocks end with an epoch, since something is measured or decided there."""
        return self._monitor.stops_at_epochs if self._monitor else "validation" in self.data.parts

    def _left(self) -> list[int]:
        """Return the members that have not failed."""
        return [member for member in range(len(self.members)) if member not in self.failures]

    @property
    def _plateaus(self) -> int:
        return self._monitor.plateaus if self._monitor else 0

    def _train(self, block: EnsembleBlock) -> NDArray[np.float64]:
        """Train the block; its losses (members, n)."""
        if self._monitor is not None:
            return self._monitor.train(block.of_member(0))[None]
        return self._trainer.train(block)

    def _take(self, losses: NDArray[np.float64], block: EnsembleBlock, batch_size: int) -> None:
        """Add the losses (members, n) of a block's updates to the members that still train."""
        steps = losses.shape[1]
        for member in self._left():
            record = self._records[member]
            try:
                record.take(losses[member], batch_size)
            except TrainingError as error:
                trained = record.step - block.first_step + 1
                self._batches_until_failure[member] = self._feeds.batches_hash(member, block, trained)
                self.failures[member] = error
        self._feeds.count(block, steps)
        self.step = block.first_step + steps if self._left() else max(one.step for one in self._records)

    def _end_epoch(self) -> None:
        """Measure the validation losses, then let the monitor decide."""
        if "validation" in self.data.parts:
            held_out = self.data.parts["validation"]
            optimizer = self.job.optimizer
            average = optimizer.use_ema and optimizer.ema_use == "evaluation"
            with self.stopwatch.measure("predict_s"), self._averaged(average):
                outputs = self.outputs_for(held_out.x, "validation")
                penalty = self._evaluation.penalties(held_out.x, "validation", self.epochs_done)
            values = validation_losses(self.job, self.program, outputs, held_out) + penalty
            for member in self._left():
                try:
                    self._records[member].take_validation_loss(float(values[member]))
                except TrainingError as error:
                    self._fail(member, error)
        if self._monitor is not None and self._left():
            self._monitor.end_epoch(self._records[0])

    def _fail(self, member: int, error: TrainingError) -> None:
        self._batches_until_failure[member] = self._feeds.batches_hash(member)
        self.failures[member] = error

    @contextmanager
    def _averaged(self, wanted: bool) -> Iterator[None]:
        """Put the moving average in the place of the weights meanwhile, where it is wanted."""
        if wanted:
            self._trainer.swap_average()
        yield
        if wanted:
            self._trainer.swap_average()

    def outputs_for(self, x: NDArray[Any], name: str) -> Floats:
        """Compute every member's outputs on a part of the data: (members, m, outputs)."""
        return self._evaluation.outputs(x, name, self.epochs_done)


def _of_member(arrays: Mapping[str, Floats], member: int) -> dict[str, Floats]:
    return {name: array[member] for name, array in arrays.items()}


def _median(curves: Iterable[list[float]]) -> float | None:
    last = [curve[-1] for curve in curves if curve]
    return float(np.median(last)) if last else None
