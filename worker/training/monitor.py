"""What the losses of a member that trains alone decide: when it stops, whose weights it keeps, a lower rate.

What is decided at the end of an epoch (a validation loss, early stopping, a lower learning rate) usually ends
the block there. Early stopping on the training loss alone is decided in hindsight instead: a block may run
over many short epochs, and where patience turns out to have run out on the way, the trainer is rewound to
the end of that epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import EarlyStopping, Job
from likewise.shared.job.schedule import ReduceOnPlateauSchedule
from likewise.shared.job.training import BatchPlan
from likewise.worker.adapters.constants import slot_starts
from likewise.worker.adapters.trainer import Block, Marks, Snapshot, State, Trainer, Weights
from likewise.worker.training.blocks import Pace, Stopwatch
from likewise.worker.training.checkpoints import joined, part_of
from likewise.worker.training.samples import RunData
from likewise.worker.training.seed_record import SeedRecord


class Patience:
    """Counts epochs without an improvement; an improvement is a fall of the loss by more than `min_delta`."""

    def __init__(self, rule: EarlyStopping | ReduceOnPlateauSchedule) -> None:
        self._enough = rule.patience
        self._factor, self._fall = 1.0, rule.min_delta
        self.restores = isinstance(rule, EarlyStopping) and rule.restore_best_weights
        """Whether the weights after the best epoch are wanted back."""
        if isinstance(rule, ReduceOnPlateauSchedule):
            self._enough += rule.patience_rule == "exceeded"
            if rule.min_delta_kind == "relative":
                self._factor, self._fall = 1.0 - rule.min_delta, 0.0
        self._best = inf
        self._waited = 0

    def take(self, values: Sequence[float]) -> tuple[int | None, int]:
        """Take the values of consecutive epochs until patience runs out.

        Returns the place of the best of them, or None if none is better than all before, and how many were
        taken.
        """
        place, taken = None, 0
        best, waited, to_beat = self._best, self._waited, self._to_beat(self._best)
        for taken, value in enumerate(values, start=1):
            if value < to_beat:
                best, waited, to_beat = value, 0, value * self._factor - self._fall
                place = taken - 1
            else:
                waited += 1
                if waited >= self._enough:
                    break
        self._best, self._waited = best, waited
        return place, taken

    def improved(self, value: float) -> bool:
        """Take one epoch's value; True when it is the best so far."""
        return self.take([value])[0] is not None

    def _to_beat(self, best: float) -> float:
        """Return what a value must be below to improve on `best`; infinity while there is none."""
        return best * self._factor - self._fall if best < inf else inf

    @property
    def left(self) -> int:
        """Return after how many more epochs without an improvement patience runs out."""
        return self._enough - self._waited

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self._waited >= self._enough

    def begin_anew(self) -> None:
        """Count the epochs from 0 again; the best value stays."""
        self._waited = 0

    def state(self) -> State:
        """Return the best so far, and how long it has waited."""
        return {"best": np.array(self._best), "waited": np.array(self._waited)}

    def load_state(self, state: State) -> None:
        """Go on from there."""
        self._best, self._waited = float(state["best"]), int(state["waited"])


@dataclass(frozen=True, kw_only=True)
class Rewind:
    """Leads back to an earlier state of a training: restore a snapshot, then repeat updates, if any."""

    snapshot: Snapshot
    updates: Block | None = None


class Monitor:
    """Trains the blocks of a member alone, and decides what its job leaves to the losses."""

    def __init__(
        self,
        job: Job,
        data: RunData,
        trainer: Trainer,
        *,
        plan: BatchPlan,
        pace: Pace,
        stopwatch: Stopwatch,
    ) -> None:
        self._trainer = trainer
        self._plan = plan
        self._pace = pace
        self._stopwatch = stopwatch
        self._stopping = job.training.early_stopping
        self._patience = Patience(self._stopping) if self._stopping else None
        self._reducing = _reducing(job)
        self._plateau = Patience(self._reducing) if self._reducing else None
        self.plateaus = 0
        """How many plateaus the loss has come to, for `learning_rates`."""
        self.stopped = False
        """Whether patience has run out before the last epoch."""
        numbers = sum(weight.size for weight in data.program.weights)
        self._state_bytes = numbers * np.dtype(job.precision).itemsize * (1 + len(slot_starts(job.optimizer)))
        self._validated = "validation" in data.parts
        self._trained: tuple[Block, Marks | None] | None = None
        self._best: Rewind | None = None
        """This leads to the end of the best epoch, where the job wants its weights back."""

    @staticmethod
    def has_work(job: Job) -> bool:
        """Return whether the losses of this job decide anything."""
        return job.training.early_stopping is not None or _reducing(job) is not None

    @property
    def stops_at_epochs(self) -> bool:
        """Whether blocks end with an epoch, and `end_epoch` is called there."""
        return not self._in_hindsight

    def wanted(self, step: int) -> int:
        """Return the updates of the next block; in hindsight not far beyond where patience may run out."""
        if not self._in_hindsight or self._patience is None:
            return self._pace.wanted
        per_epoch = self._plan.steps_per_epoch
        until_patience_ends = self._patience.left * per_epoch - step % per_epoch
        until_look = self._pace.until_look(trained_s=self._stopwatch.seconds("train_s"))
        return min(self._pace.wanted, max(until_patience_ends, until_look))

    def train(self, block: Block) -> NDArray[np.float64]:
        """Train the block, with marks where it may have to be rewound to the end of an epoch within it."""
        steps = len(block.indices)
        if not self._in_hindsight or min(self._ends_within(block), default=steps) == steps:
            self._trained = block, None
            return self._trainer.train(block)
        every = self._pace.until_mark(
            trained_s=self._stopwatch.seconds("train_s"), state_bytes=self._state_bytes
        )
        losses, marks = self._trainer.train_marked(block, every=every)
        self._trained = block, marks
        return losses

    def counted(self, losses: NDArray[np.float64], record: SeedRecord) -> int:
        """Return how many updates of the block just trained count; `losses` are theirs.

        In hindsight, epochs are judged as if each had been before the next was trained. Where patience ran
        out within the block, the trainer is rewound to that epoch's end.
        """
        if not self._in_hindsight or self._patience is None or self._trained is None:
            return len(losses)
        block, marks = self._trained
        steps, size = block.indices.shape
        ends = self._ends_within(block)
        best, taken = self._patience.take(record.finishing(losses, size))
        done = ends[taken - 1] if self._patience.exhausted else steps
        self.stopped = self._patience.exhausted and block.first_step + done < self._plan.steps
        if best is not None and self._patience.restores:
            self._best = self._rewind_to(ends[best], block, marks)
        if done < steps:
            self._rewind(self._rewind_to(done, block, marks))
        return done

    def end_epoch(self, record: SeedRecord) -> None:
        """Decide on a lower learning rate and on early stopping, by the losses of the epoch just ended."""
        if self._plateau is not None and self._reducing is not None:
            self._plateau.improved(_watched(record, self._reducing.monitor))
            if self._plateau.exhausted:
                self.plateaus += 1
                self._plateau.begin_anew()
        if self._patience is None or self._stopping is None:
            return
        if self._patience.improved(_watched(record, self._stopping.monitor)) and self._patience.restores:
            self._best = Rewind(snapshot=self._trainer.snapshot())
        self.stopped = self._patience.exhausted and record.step < self._plan.steps

    def restore_best(self) -> None:
        """Go back to the end of the best epoch, where the job wants its weights."""
        if self._best is not None:
            self._rewind(self._best)

    def state(self) -> State:
        """Return what was decided so far, and the best weights, if any are wanted back."""
        return {
            "plateaus": np.array(self.plateaus),
            **joined(
                patience=self._patience.state() if self._patience else {},
                plateau=self._plateau.state() if self._plateau else {},
                best=self._best_weights(),
            ),
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave; called before the trainer's own state is loaded."""
        best = dict(part_of(state, "best"))
        if best:
            self._trainer.load_weights(best)
            self._best = Rewind(snapshot=self._trainer.snapshot())
        if self._patience:
            self._patience.load_state(part_of(state, "patience"))
        if self._plateau:
            self._plateau.load_state(part_of(state, "plateau"))
        self.plateaus = int(state["plateaus"])

    @property
    def _in_hindsight(self) -> bool:
        """Whether epochs may be trained before early stopping judges them.

        They may where nothing but the training's own loss decides; a validation loss must be measured with
        the weights of its epoch, and a lower learning rate acts on the next.
        """
        loss_alone = self._stopping is not None and self._stopping.monitor == "loss"
        return loss_alone and self._plateau is None and not self._validated

    def _ends_within(self, block: Block) -> range:
        """Return the numbers of updates of a block after which an epoch ends."""
        per_epoch = self._plan.steps_per_epoch
        return range(per_epoch - block.first_step % per_epoch, len(block.indices) + 1, per_epoch)

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
            with self._stopwatch.measure("train_s"):
                self._trainer.train(to.updates)

    def _best_weights(self) -> Weights:
        """Return the weights after the best epoch, where the job wants them back; else none."""
        if self._best is None:
            return {}
        now = self._trainer.snapshot()
        self._rewind(self._best)
        self._best = Rewind(snapshot=self._trainer.snapshot())
        weights = self._trainer.weights()
        self._trainer.restore(now)
        return weights


def _reducing(job: Job) -> ReduceOnPlateauSchedule | None:
    schedule = job.optimizer.schedule
    return schedule if isinstance(schedule, ReduceOnPlateauSchedule) else None


def _watched(record: SeedRecord, monitor: Literal["loss", "validation_loss"]) -> float:
    return (record.losses if monitor == "loss" else record.validation_losses)[-1]
