"""One seed's training: cuts it into blocks, hands them to a trainer and lets its record judge the numbers.

Knows nothing of queues, blobs or progress; `worker.training.runner` calls `advance` until `finished`, then
`conclude`. Every number depends on the job, the data and the seed alone, never on how steps fell
into blocks.
"""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.arrays import hash_arrays
from shared.result import Hashes
from shared.spec import Job
from shared.spec.schedule import ReduceOnPlateauSchedule
from worker.adapters.base import Block, Floats, FrameworkAdapter, Weights
from worker.training.batches import Plan
from worker.training.early_stopping import Patience
from worker.training.failures import TrainingError
from worker.training.feed import Feed, dropouts_of, initial_weights, sample_bytes
from worker.training.pacing import Cut, Pace, cut
from worker.training.samples import RunData
from worker.training.schedules import learning_rates
from worker.training.seed_record import Outcome, SeedRecord, finite_count, measured, validation_losses
from worker.training.state import State, joined, part_of
from worker.training.stopwatch import Stopwatch

_ROWS_AT_ONCE = 4_096
"""Outputs of larger sets are taken in chunks, so that memory stays bounded."""


class SeedTraining:
    """A trainer with its data, from the first step to the last."""

    def __init__(self, job: Job, *, data: RunData, adapter: FrameworkAdapter, seed: int) -> None:
        self._job = job
        self._data = data
        self.plan = Plan.of(job.training, len(data.train.x))
        self.stopwatch = Stopwatch()
        with self.stopwatch.measure("build_s"):
            weights = initial_weights(job, data=data, adapter=adapter, seed=seed)
            self._initial_hash = hash_arrays(weights)
            self._trainer = adapter.build(
                job, input_shape=data.input_shape, weights=weights, x=data.train.x, y=data.train.targets
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
        self._best: Weights | None = None
        self._way_to_best: tuple[State, Block] | None = None
        """From which state, and by which updates, the best weights come, where they have not been kept."""
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
        """Finished epochs."""
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
        """Of the initial weights, and of the batches so far."""
        return Hashes(initial_weights=self._initial_hash, batches=self._feed.batches_hash())

    @property
    def step(self) -> int:
        """Updates done."""
        return self._record.step

    def weights(self) -> Weights:
        """A copy of the weights as they are."""
        return self._trainer.weights()

    def load_weights(self, weights: Weights) -> None:
        """Go on from these weights; all else stays."""
        self._trainer.load_weights(weights)

    @property
    def compiles(self) -> bool:
        """Whether something is left to be compiled first."""
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
            wanted=self._pace.wanted if most is None else min(most, self._pace.wanted),
            stop_at_epochs=self._looks_at_each_epoch and not self._looks_back,
        )
        block = self._block(part)
        ends = self._ends_within(part) if self._looks_back else range(0)
        before = self._trainer.state() if ends else {}
        compiles = self.compiles_next
        with self.stopwatch.measure("compile_s" if compiles else "train_s"):
            losses = self._trainer.train(block)
        self._compiled_sizes.add(part.batch_size)
        try:
            if ends and self._patience:
                self._take_epochs(losses, block, self._patience, ends=ends, before=before)
            else:
                self._record.take(losses, part.batch_size)
        except TrainingError:  # the batch that diverged was trained on, too
            self._feed.count(block.indices[: self._record.step - part.first_step + 1])
            raise
        self._feed.count(block.indices[: self._record.step - part.first_step])
        if part.batch_size == self.plan.largest_batch and not compiles:
            self._pace.learn(part.steps, time.perf_counter() - begin)
        if self._looks_at_each_epoch and not ends and self._record.step % self.plan.steps_per_epoch == 0:
            self._end_epoch()

    def conclude(self) -> Outcome:
        """Metrics, outputs, predictions and weights of the finished training.

        Raises TrainingError (`diverged`) where an output or a weight is not finite.
        """
        best = self._best_weights()
        if best is not None:
            self._trainer.load_weights(best)
        with self.stopwatch.measure("predict_s"):
            outputs = {name: self._outputs(part.x) for name, part in self._data.parts.items()}
            predictions = None if self._data.predict is None else self._outputs(self._data.predict)
        (metrics,) = measured(
            self._job, self._data.parts, {name: array[None] for name, array in outputs.items()}
        )
        return self._record.conclude(
            parts=self._data.parts,
            metrics=metrics,
            outputs=outputs,
            predictions=predictions,
            weights=self._trainer.weights(),
        )

    def state(self) -> State:
        """All that another training of the same job, data and seed needs to go on from here bit for bit."""
        return {
            "step": np.array(self.step),
            "plateaus": np.array(self._plateaus),
            **joined(
                trainer=self._trainer.state(),
                record=self._record.state(),
                stopwatch=self.stopwatch.state(),
                patience=self._patience.state() if self._patience else {},
                plateau=self._plateau.state() if self._plateau else {},
                best=self._best_weights() or {},
            ),
        }

    def load_state(self, state: State) -> None:
        """Go on from there; called before anything was trained.

        The batches' hash is counted again from the plan, so it proves the batches of the whole training.
        """
        self._trainer.load_state(part_of(state, "trainer"))
        self._record.load_state(part_of(state, "record"))
        self.stopwatch.load_state(part_of(state, "stopwatch"))
        if self._patience:
            self._patience.load_state(part_of(state, "patience"))
        if self._plateau:
            self._plateau.load_state(part_of(state, "plateau"))
        self._plateaus = int(state["plateaus"])
        self._best = dict(part_of(state, "best")) or None
        self._feed.count_first(self._record.step, at_once=self._pace.most)

    @property
    def _looks_at_each_epoch(self) -> bool:
        watches = self._patience is not None or self._plateau is not None
        return watches or "validation" in self._data.parts

    @property
    def _looks_back(self) -> bool:
        """Whether epochs may be trained before they are looked at: nothing but their own loss stops them."""
        rule = self._job.training.early_stopping
        loss_alone = rule is not None and rule.monitor == "loss" and self._plateau is None
        return loss_alone and "validation" not in self._data.parts

    def _ends_within(self, part: Cut) -> range:
        """After how many of a block's steps an epoch ends; none where the only one is the block's own end."""
        per_epoch = self.plan.steps_per_epoch
        ends = range(per_epoch - part.first_step % per_epoch, part.steps + 1, per_epoch)
        return range(0) if ends in {range(0), range(part.steps, part.steps + 1)} else ends

    def _take_epochs(
        self, losses: NDArray[np.float64], block: Block, patience: Patience, *, ends: range, before: State
    ) -> None:
        """Count a block of epochs as if each had been looked at before the next was trained.

        `before` is the trainer's state before the block: where patience ran out within it, the trainer goes
        back and trains so far again.
        """
        steps, size = block.indices.shape
        finite = finite_count(losses.tolist())
        sure = max((end for end in ends if end <= finite), default=0)
        record, known = self._record.state(), len(self.losses)
        self._record.take(losses[:sure], size)
        best, done = None, steps
        for end, loss in zip(ends, self.losses[known:], strict=False):
            if patience.improved(loss) and patience.restores:
                best = end
            if patience.exhausted:
                done = end
                break
        if patience.exhausted and done < sure:
            self._record.load_state(record)
            self._record.take(losses[:done], size)
        elif not patience.exhausted:
            self._record.take(losses[sure:], size)
        self.stopped_early = patience.exhausted and self._record.step < self.plan.steps
        self._go_back(block, best=best, done=done, before=before)

    def _go_back(self, block: Block, *, best: int | None, done: int, before: State) -> None:
        """Leave the trainer where `done` steps of the block lead, and know the weights after `best`."""
        if best is not None:
            self._best, self._way_to_best = None, (before, block.part(0, best))
        if done < len(block.indices):
            self._trainer.load_state(before)
            with self.stopwatch.measure("train_s"):
                self._trainer.train(block.part(0, done))
        if best == done:
            self._keep_as_best()

    def _keep_as_best(self) -> None:
        self._best, self._way_to_best = self._trainer.weights(), None

    def _best_weights(self) -> Weights | None:
        """Those after the best epoch, where they are wanted back; trained again where they were passed by."""
        if self._way_to_best is not None:
            begin, way = self._way_to_best
            now = self._trainer.state()
            self._trainer.load_state(begin)
            with self.stopwatch.measure("train_s"):
                self._trainer.train(way)
            self._keep_as_best()
            self._trainer.load_state(now)
        return self._best

    def _block(self, part: Cut) -> Block:
        return Block(
            indices=self._feed.indices(part),
            learning_rates=learning_rates(
                self._job.optimizer,
                first_step=part.first_step,
                steps=part.steps,
                steps_per_epoch=self.plan.steps_per_epoch,
                plateaus=self._plateaus,
            ),
            first_step=part.first_step,
            masks=self._feed.masks(part),
        )

    def _end_epoch(self) -> None:
        """Validation loss, a lower rate after a plateau, and early stopping."""
        if "validation" in self._data.parts:
            held_out = self._data.parts["validation"]
            with self.stopwatch.measure("predict_s"):
                outputs = self._outputs(held_out.x)
            (loss,) = validation_losses(self._job, outputs[None], held_out)
            self._record.take_validation_loss(float(loss))
        if self._plateau is not None and self._reducing is not None:
            self._plateau.improved(self._watched(self._reducing.monitor))
            if self._plateau.exhausted:
                self._plateaus += 1
                self._plateau.begin_anew()
        rule = self._job.training.early_stopping
        if self._patience is None or rule is None:
            return
        if self._patience.improved(self._watched(rule.monitor)) and self._patience.restores:
            self._keep_as_best()
        self.stopped_early = self._patience.exhausted and self._record.step < self.plan.steps

    def _watched(self, monitor: Literal["loss", "validation_loss"]) -> float:
        return (self.losses if monitor == "loss" else self.validation_losses)[-1]

    def _outputs(self, x: Floats) -> Floats:
        chunks = [
            self._trainer.outputs(x[begin : begin + _ROWS_AT_ONCE])
            for begin in range(0, max(len(x), 1), _ROWS_AT_ONCE)
        ]
        return np.concatenate(chunks)
