"""How a training is cut into blocks, and how long they take.

Between two blocks the worker reports progress and looks for a cancellation; so a block should last
about TARGET_S, whatever a step costs. The cutting never changes a number: every array of a block is
addressed by its steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from likewise.shared.job.training import BatchPlan
from likewise.shared.results.run_result import Timings
from likewise.worker.adapters.trainer import State

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
    """Adds up seconds by phase. The device has finished whenever the clock is read."""

    def __init__(self, synchronize: Callable[[], None] = lambda: None) -> None:
        """Take what waits until the device has finished."""
        self._synchronize = synchronize
        self._seconds: dict[Phase, float] = dict.fromkeys(get_args(Phase), 0.0)

    @contextmanager
    def measure(self, phase: Phase) -> Iterator[None]:
        """Time what is inside; what raises is not counted."""
        self._synchronize()
        begin = time.perf_counter()
        yield
        self._synchronize()
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
