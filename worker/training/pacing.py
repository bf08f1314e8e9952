"""How long a block of steps is, where a training's time goes, and how often its progress is told.

Between two blocks the worker reports progress and looks for a cancellation; so a block should last
about TARGET_S, whatever a step costs. The cutting never changes a number: every array of a block is
addressed by its steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shared.job.training import BatchPlan
from shared.ledger.progress import ProgressEvent
from shared.results.run_result import Timings
from shared.run import Run
from worker.adapters.base import State

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
    """Consecutive steps on batches of one size."""

    first_step: int
    steps: int
    batch_size: int


def cut(plan: BatchPlan, step: int, *, wanted: int, stop_at_epochs: bool) -> Cut:
    """The next block from `step`, of at most `wanted` steps.

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
    """How many steps the next block should take, learnt from how long earlier blocks took."""

    def __init__(self, *, bytes_per_step: int) -> None:
        self.most = max(1, MOST_BYTES // max(1, bytes_per_step))
        """The most steps whose indices and masks fit into a block."""
        self._wanted = 1
        self._step_s = 0.0

    @property
    def wanted(self) -> int:
        """Steps of the next block."""
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
        """Updates between two looks at the epochs, after `trained_s` seconds of training."""
        return self._worth(LOOK_S, trained_s)

    def until_mark(self, *, trained_s: float, state_bytes: int) -> int:
        """Updates between two marks of a block, after `trained_s` seconds of training."""
        return self._worth(MARK_S + MARK_BYTE_S * state_bytes, trained_s)

    def _worth(self, cost_s: float, trained_s: float) -> int:
        """After how many updates `cost_s` is worth spending: a block's, while no block was timed."""
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
        """The phases so far; each of several members has an equal share of them."""
        shares = {phase: seconds / members for phase, seconds in self._seconds.items()}
        return Timings(queue_s=queue_s, **shares)

    def state(self) -> State:
        """The phases so far."""
        return {phase: np.array(seconds) for phase, seconds in self._seconds.items()}

    def load_state(self, state: State) -> None:
        """Add what an earlier attempt spent on what it left: it was needed to come here."""
        for phase in self._seconds:
            self._seconds[phase] += float(state[phase])


_LEAST_GAP_S = 0.2
"""Blocks last about 0.25 s (`worker.training.pacing`), so that each is told, but many short ones are not."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the members from `position` (from 1) on stand, `together` of them."""

    position: int
    together: int
    epoch: int
    epochs: int
    loss: float | None
    validation_loss: float | None
    finished: bool
    compiling: bool = False


class Reporter:
    """Sends progress events of one run."""

    def __init__(self, run: Run, send: Callable[[ProgressEvent], None]) -> None:
        self._run = run
        self._members = len(run.seeds) * len(run.optimizers or (None,))
        self._send = send
        self._told_at: float | None = None
        self._samples_since = 0

    def tick(self, standing: Standing, *, samples: int) -> None:
        """After a block of `samples`. The run's first and last are told, and what is to be compiled."""
        now = time.perf_counter()
        self._samples_since += samples
        last = standing.finished and standing.position + standing.together > self._members
        if (
            self._told_at is not None
            and now - self._told_at < _LEAST_GAP_S
            and not (last or standing.compiling)
        ):
            return
        elapsed = now - self._told_at if self._told_at is not None else 0.0
        self._send(
            ProgressEvent(
                run_id=self._run.run_id,
                framework=self._run.framework,
                side=self._run.side,
                seed=self._run.seeds[(standing.position - 1) % len(self._run.seeds)],
                position=standing.position,
                seeds=self._members,
                together=standing.together,
                epoch=standing.epoch,
                epochs=standing.epochs,
                loss=standing.loss,
                validation_loss=standing.validation_loss,
                compiling=standing.compiling,
                samples_per_s=self._samples_since / elapsed if elapsed > 0 else None,
            )
        )
        self._told_at = now
        self._samples_since = 0
