"""The learning rate of every update, in float64, by the formulas of `shared.spec.schedule`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.spec import Optimizer, Schedule
from shared.spec.schedule import (
    ConstantSchedule,
    CosineSchedule,
    ExponentialSchedule,
    PiecewiseSchedule,
    StepSchedule,
)
from worker.constants import integer_power


def learning_rates(
    optimizer: Optimizer, *, first_step: int, steps: int, steps_per_epoch: int
) -> NDArray[np.float64]:
    """Of `steps` consecutive updates; `first_step` counts the updates before them: (steps,)."""
    schedule = optimizer.schedule
    if schedule is None:
        return np.full(steps, optimizer.learning_rate)
    t = np.arange(first_step, first_step + steps, dtype=np.int64)
    if schedule.per == "epoch":
        t //= steps_per_epoch
    warming = np.where(t < schedule.warmup, (t + 1) / (schedule.warmup + 1), 1.0)
    with np.errstate(over="ignore", under="ignore"):
        return _scheduled(schedule, optimizer.learning_rate, t) * warming


def _scheduled(schedule: Schedule, rate: float, t: NDArray[np.int64]) -> NDArray[np.float64]:
    """The rate before warm-up at the counts t."""
    match schedule:
        case ConstantSchedule():
            return np.full(len(t), rate)
        case StepSchedule(step_size=size, gamma=gamma):
            return rate * integer_power(gamma, t // size)
        case ExponentialSchedule(decay_steps=steps, decay_rate=decay):
            return rate * np.power(decay, t / steps)
        case CosineSchedule(decay_steps=steps, alpha=alpha):
            falling = 0.5 * (1.0 + np.cos(np.pi * np.minimum(t, steps) / steps))
            return rate * (alpha + (1.0 - alpha) * falling)
        case PiecewiseSchedule(boundaries=boundaries, values=values):
            return np.asarray(values)[np.searchsorted(boundaries, t, side="right")]
