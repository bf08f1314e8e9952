"""One seed's training: cuts it into blocks, hands them to a trainer and lets its record judge the numbers.

Knows nothing of queues, blobs or progress; `worker.training.run_trainer` calls `advance` until `finished`,
then `conclude`. Every number depends on the job, the data and the seed alone, never on how steps fall into
blocks.

What is decided at the end of an epoch (a validation loss, early stopping, a lower learning rate) usually ends
the block there. Early stopping on the training loss alone is decided in hindsight instead: a block may run
over many short epochs, and where patience turns out to have run out on the way, the trainer is rewound to
the end of that epoch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.job import Job
from shared.job.schedule import ReduceOnPlateauSchedule
from shared.job.training import BatchPlan
from shared.program import compile_job
from shared.results.run_result import Hashes
from shared.store.arrays import hash_arrays
from worker.adapters.base import Block, Floats, FrameworkAdapter, Marks, Snapshot, State, Weights
from worker.adapters.constants import slot_starts
from worker.training.failures import TrainingError
from worker.training.feed import Feed, dropouts_of, sample_bytes
from worker.training.initial_weights import initial_weights
from worker.training.pacing import Cut, Pace, Stopwatch, cut
from worker.training.samples import RunData
from worker.training.schedules import Patience, learning_rates
from worker.training.seed_record import Outcome, SeedRecord, measured, validation_losses
from worker.training.state import joined, part_of

_ROWS_AT_ONCE = 4_096
"""Outputs of larger sets are taken in chunks, so that memory stays bounded."""


@dataclass(frozen=True, kw_only=True)
class Rewind:
    """How to return to an earlier state of a training: restore a snapshot, then repeat updates, if any."""

    snapshot: Snapshot
    updates: Block | None = None


class SeedTraining:
    """A trainer with its data, from the first step to the last."""

    def __init__(self, job: Job, *, data: RunData, adapter: FrameworkAdapter, seed: int) -> None:
        self.job = job
        self.data = data
        self.plan = BatchPlan.of(job.training, len(data.train.x))
        self.stopwatch = Stopwatch()
        with self.stopwatch.measure("build_s"):
            weights = initial_weights(job, data=data, adapter=adapter, seed=seed)
            self._initial_hash = hash_arrays(weights)
            self._trainer = adapter.build(
                compile_job(job, data.input_shape), job, weights=weights, samples=data.train
            )

        dropouts = dropouts_of(job, data)
        self._feed = Feed(job, plan=self.plan, dropouts=dropouts, seed=seed)
        self._pace = Pace(bytes_per_step=self.plan.largest_batch * sample_bytes(job, dropouts))
        self._compiled_sizes: set[int] = set()
        self._record = SeedRecord(job, self.plan)

        rule = job.training.early_stopping
        self._patience = Patience(rule) if rule else None
        schedule = job.optimizer.schedule
        self._reducing = schedule if isinstance(schedule, ReduceOnPlateauSchedule) else None
        self._plateau = Patience(self._reducing) if self._reducing else None
        self._plateaus = 0
        self._state_bytes = sum(array.nbytes for array in weights.values())
        self._state_bytes *= 1 + len(slot_starts(job.optimizer))
        self._best: Rewind | None = None
        """This leads to the end of the best epoch, where the job wants its weights back."""
        self.stopped_early = False

    @property
    def execution(self) -> str:
        """How the framework executes it; known for certain after the first block."""
        return self._trainer.execution

    @property
    def losses(self) -> list[float]:
        """One number a finished epoch."""
        return self._record.losses

    @property
    def validation_losses(self) -> list[float]:
        """One number a finished epoch, where samples are held out for validation."""
        return self._record.validation_losses

    @property
    def epochs_done(self) -> int:
        """Return the number of finished epochs."""
        return self._record.step // self.plan.steps_per_epoch

    @property
    def samples_done(self) -> int:
        """Samples trained on, each counted once an epoch."""
        return self.plan.samples_before(self._record.step)

    @property
    def finished(self) -> bool:
        """Whether all steps are done or patience has run out."""
        return self.stopped_early or self._record.step == self.plan.steps

    @property
    def hashes(self) -> Hashes:
        """Return the hashes of the initial weights, and of the batches so far."""
        return Hashes(initial_weights=self._initial_hash, batches=self._feed.batches_hash())

    @property
    def step(self) -> int:
        """Return the number of updates done."""
        return self._record.step

    def weights(self) -> Weights:
        """A copy of the weights as they are."""
        return self._trainer.weights()

    def load_weights(self, weights: Weights) -> None:
        """Go on from these weights; all else stays."""
        self._trainer.load_weights(weights)

    @property
    def compiles(self) -> bool:
        """Whether some program of this training is not compiled yet."""
        return self._trainer.compiles

    @property
    def compiles_next(self) -> bool:
        """Whether the next block has to be compiled first."""
        size = self.plan.batch_size_at(self._record.step)
        return self._trainer.compiles and size not in self._compiled_sizes

    def next_update(self) -> Block:
        """The update that comes next, as a block of its own; nothing is trained."""
        step = self._record.step
        return self._block(Cut(first_step=step, steps=1, batch_size=self.plan.batch_size_at(step)))

    def advance(self, *, most: int | None = None) -> None:
        """Train one block, of `most` updates at most.

        Raises TrainingError (`diverged`), or whatever the framework raises.
        """
        begin = time.perf_counter()
        part = cut(
            self.plan,
            self._record.step,
            wanted=self._wanted if most is None else min(most, self._wanted),
            stop_at_epochs=self._decides_at_epochs and not self._in_hindsight,
        )
        block = self._block(part)
        compiles = self.compiles_next
        with self.stopwatch.measure("compile_s" if compiles else "train_s"):
            losses, marks = self._train(block)
        self._compiled_sizes.add(part.batch_size)
        try:
            if self._in_hindsight and self._patience:
                self._take_in_hindsight(losses, block, marks, self._patience)
            else:
                self._record.take(losses, part.batch_size)
        except TrainingError:  # the batch that diverged was trained on, too
            self._feed.count(block.indices[: self._record.step - part.first_step + 1])
            raise
        self._feed.count(block.indices[: self._record.step - part.first_step])
        if part.batch_size == self.plan.largest_batch and not compiles:
            self._pace.learn(part.steps, time.perf_counter() - begin)
        epoch_ended = self._record.step % self.plan.steps_per_epoch == 0
        if epoch_ended and self._decides_at_epochs and not self._in_hindsight:
            self._end_epoch()

    def conclude(self) -> Outcome:
        """Metrics, outputs, predictions and weights of the finished training.

        Raises TrainingError (`diverged`) where an output or a weight is not finite.
        """
        if self._best is not None:
            self._rewind(self._best)
        with self.stopwatch.measure("predict_s"):
            outputs = {name: self._outputs(part.x) for name, part in self.data.parts.items()}
            predictions = None if self.data.predict is None else self._outputs(self.data.predict)
        (metrics,) = measured(
            self.job, self.data.parts, {name: array[None] for name, array in outputs.items()}
        )
        return self._record.conclude(
            parts=self.data.parts,
            metrics=metrics,
            outputs=outputs,
            predictions=predictions,
            weights=self._trainer.weights(),
        )

    def state(self) -> State:
        """Everything that another training of the same job, data and seed needs to go on from here.

        It goes on to the same bits.
        """
        return {
            "step": np.array(self.step),
            "plateaus": np.array(self._plateaus),
            **joined(
                trainer=self._trainer.state(),
                record=self._record.state(),
                stopwatch=self.stopwatch.state(),
                patience=self._patience.state() if self._patience else {},
                plateau=self._plateau.state() if self._plateau else {},
                best=self._best_weights(),
            ),
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave; called before anything is trained.

        The hash of the batches is computed again from the plan, so it covers the whole training.
        """
        best = dict(part_of(state, "best"))
        if best:
            self._trainer.load_weights(best)
            self._best = Rewind(snapshot=self._trainer.snapshot())
        self._trainer.load_state(part_of(state, "trainer"))
        self._record.load_state(part_of(state, "record"))
        self.stopwatch.load_state(part_of(state, "stopwatch"))
        if self._patience:
            self._patience.load_state(part_of(state, "patience"))
        if self._plateau:
            self._plateau.load_state(part_of(state, "plateau"))
        self._plateaus = int(state["plateaus"])
        self._feed.count_first(self._record.step, at_once=self._pace.most)

    @property
    def _decides_at_epochs(self) -> bool:
        """Whether something is decided or measured at the end of every epoch."""
        watches = self._patience is not None or self._plateau is not None
        return watches or "validation" in self.data.parts

    @property
    def _in_hindsight(self) -> bool:
        """Whether epochs may be trained before early stopping judges them.

        It may where nothing but the training's own loss decides; a validation loss must be measured with
        the weights of its epoch, and a lower learning rate acts on the next.
        """
        rule = self.job.training.early_stopping
        loss_alone = rule is not None and rule.monitor == "loss" and self._plateau is None
        return loss_alone and "validation" not in self.data.parts

    @property
    def _wanted(self) -> int:
        """Updates of the next block; in hindsight not far beyond where patience may first run out."""
        if not self._in_hindsight or self._patience is None:
            return self._pace.wanted
        per_epoch = self.plan.steps_per_epoch
        until_patience_ends = self._patience.left * per_epoch - self._record.step % per_epoch
        until_look = self._pace.until_look(trained_s=self.stopwatch.seconds("train_s"))
        return min(self._pace.wanted, max(until_patience_ends, until_look))

    def _ends_within(self, block: Block) -> range:
        """The numbers of updates of a block after which an epoch ends."""
        per_epoch = self.plan.steps_per_epoch
        return range(per_epoch - block.first_step % per_epoch, len(block.indices) + 1, per_epoch)

    def _train(self, block: Block) -> tuple[NDArray[np.float64], Marks | None]:
        """Train the block; with marks where it may have to be rewound to the end of an epoch within it."""
        steps = len(block.indices)
        if not self._in_hindsight or min(self._ends_within(block), default=steps) == steps:
            return self._trainer.train(block), None
        every = self._pace.until_mark(
            trained_s=self.stopwatch.seconds("train_s"), state_bytes=self._state_bytes
        )
        return self._trainer.train_marked(block, every=every)

    def _take_in_hindsight(
        self, losses: NDArray[np.float64], block: Block, marks: Marks | None, patience: Patience
    ) -> None:
        """Count a block of epochs as if each had been judged before the next was trained.

        Where patience ran out within the block, the trainer is rewound to that epoch's end.
        """
        steps, size = block.indices.shape
        ends = self._ends_within(block)
        best, taken = patience.take(self._record.finishing(losses, size))
        done = ends[taken - 1] if patience.exhausted else steps
        self._record.take(losses[:done], size)
        self.stopped_early = patience.exhausted and self._record.step < self.plan.steps
        if best is not None and patience.restores:
            self._best = self._rewind_to(ends[best], block, marks)
        if done < steps:
            self._rewind(self._rewind_to(done, block, marks))

    def _rewind_to(self, done: int, block: Block, marks: Marks | None) -> Rewind:
        """Return the way to where the training stood after `done` updates of the block just trained."""
        if marks is None or done == len(block.indices):
            return Rewind(snapshot=self._trainer.snapshot())
        mark, further = divmod(done, marks.every)
        updates = block.part(done - further, done) if further else None
        return Rewind(snapshot=marks.at(mark), updates=updates)

    def _rewind(self, to: Rewind) -> None:
        self._trainer.restore(to.snapshot)
        if to.updates is not None:
            with self.stopwatch.measure("train_s"):
                self._trainer.train(to.updates)

    def _best_weights(self) -> Weights:
        """The weights after the best epoch, where the job wants them back; else none."""
        if self._best is None:
            return {}
        now = self._trainer.snapshot()
        self._rewind(self._best)
        self._best = Rewind(snapshot=self._trainer.snapshot())
        weights = self._trainer.weights()
        self._trainer.restore(now)
        return weights

    def _block(self, part: Cut) -> Block:
        return Block(
            indices=self._feed.indices(part),
            learning_rates=learning_rates(
                self.job.optimizer,
                first_step=part.first_step,
                steps=part.steps,
                steps_per_epoch=self.plan.steps_per_epoch,
                plateaus=self._plateaus,
            ),
            first_step=part.first_step,
            masks=self._feed.masks(part),
        )

    def _end_epoch(self) -> None:
        """Measure the validation loss, then decide on a lower learning rate and on early stopping."""
        if "validation" in self.data.parts:
            held_out = self.data.parts["validation"]
            with self.stopwatch.measure("predict_s"):
                outputs = self._outputs(held_out.x)
            (loss,) = validation_losses(self.job, outputs[None], held_out)
            self._record.take_validation_loss(float(loss))
        if self._plateau is not None and self._reducing is not None:
            self._plateau.improved(self._watched(self._reducing.monitor))
            if self._plateau.exhausted:
                self._plateaus += 1
                self._plateau.begin_anew()
        rule = self.job.training.early_stopping
        if self._patience is None or rule is None:
            return
        if self._patience.improved(self._watched(rule.monitor)) and self._patience.restores:
            self._best = Rewind(snapshot=self._trainer.snapshot())
        self.stopped_early = self._patience.exhausted and self._record.step < self.plan.steps

    def _watched(self, monitor: Literal["loss", "validation_loss"]) -> float:
        return (self.losses if monitor == "loss" else self.validation_losses)[-1]

    def _outputs(self, x: Floats) -> Floats:
        chunks = [
            self._trainer.outputs(x[begin : begin + _ROWS_AT_ONCE])
            for begin in range(0, max(len(x), 1), _ROWS_AT_ONCE)
        ]
        return np.concatenate(chunks)
