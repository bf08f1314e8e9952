"""How long a block of steps is: what the plan allows, and what keeps the worker answerable.

Between two blocks the worker reports progress and looks for a cancellation; so a block should last
about TARGET_S, whatever a step costs. The cutting never changes a number: every array of a block is
addressed by its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

from worker.training.batches import Plan

TARGET_S = 0.25
MOST_BYTES = 32 * 1024 * 1024
"""Of a block's indices and masks; a single step may need more."""
_FASTEST_GROWTH = 8
LOOK_S = 0.008
MARKS_S = 0.004
SHARE = 1 / 64
"""Where early stopping looks at epochs after they were trained: from look to look, where patience may run
out between, and from mark to mark within a block. As long as this, or as this share of all that was trained
before, so that neither what is trained in vain nor looks and marks cost much: a look costs 0.15 to 0.3 ms,
a mark 0.02 to 0.1 ms, for a small model."""
MARKS_BYTES = 16 * 1024 * 1024
"""Of the copies at a block's marks: about 5 ms."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Consecutive steps on batches of one size."""

    first_step: int
    steps: int
    batch_size: int


def cut(plan: Plan, step: int, *, wanted: int, stop_at_epochs: bool) -> Cut:
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
    """How many steps the next block should take, learnt from those before."""

    def __init__(self, *, bytes_per_step: int) -> None:
        self.most = max(1, MOST_BYTES // max(1, bytes_per_step))
        """Steps of which the arrays fit into a block."""
        self._wanted = 1
        self._step_s = inf

    @property
    def wanted(self) -> int:
        """Steps of the next block."""
        return self._wanted

    def learn(self, steps: int, seconds: float) -> None:
        """A block of `steps` took `seconds`, nothing compiled. Growth is gradual: the first are slow."""
        self._step_s = seconds / steps
        fitting = int(TARGET_S * steps / seconds) if seconds > 0 else self.most
        self._wanted = max(1, min(fitting, self._wanted * _FASTEST_GROWTH, self.most))

    def until_look(self, *, trained_s: float) -> int:
        """Updates from look to look after `trained_s` seconds of training, where patience may run out."""
        return self._lasting(max(LOOK_S, SHARE * trained_s))

    def until_mark(self, *, trained_s: float, steps: int, state_bytes: int) -> int:
        """Updates from mark to mark in a block of `steps`."""
        return max(self._lasting(max(MARKS_S, SHARE * trained_s)), ceil(steps * state_bytes / MARKS_BYTES))

    def _lasting(self, seconds: float) -> int:
        return max(1, int(min(seconds / self._step_s, self.most))) if self._step_s > 0 else self.most
