"""The learning rate of every update, worked out in float64 by the formulas of `shared.job.schedule`.

A worker trains by them, and a producer finds by them which schedules are the same.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Optimizer
from likewise.shared.job.schedule import (
    ConstantSchedule,
    CosineRestartsSchedule,
    CosineSchedule,
    CountedSchedule,
    ExponentialSchedule,
    PiecewiseSchedule,
    PolynomialSchedule,
    ReduceOnPlateauSchedule,
    Schedule,
    StepSchedule,
)


def learning_rates(
    optimizer: Optimizer, *, first_step: int, steps: int, steps_per_epoch: int, plateaus: int = 0
) -> NDArray[np.float64]:
    """Return the rates (steps,) of consecutive updates; `first_step` counts the updates before them.

    `plateaus` is how many the loss has come to before, for reduce_on_plateau alone.
    """
    schedule = optimizer.schedule
    if schedule is None:
        return np.full(steps, optimizer.learning_rate)
    t = np.arange(first_step, first_step + steps, dtype=np.int64)
    if schedule.per == "epoch":
        t //= steps_per_epoch
    t = np.maximum(t + schedule.offset, 0)
    warming = _warming(schedule, t)
    with np.errstate(over="ignore", under="ignore"):
        if isinstance(schedule, ReduceOnPlateauSchedule):
            rate = _reduced(schedule, optimizer.learning_rate, plateaus)
            return np.full(steps, rate) * warming
        return _scheduled(schedule, optimizer.learning_rate, t) * warming


def _warming(schedule: Schedule, t: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what warm-up multiplies the rate by at the counts t."""
    start, end = schedule.warmup_start, schedule.warmup
    rising = (t + 1) / (end + 1) if start is None else start + (1.0 - start) * t / max(end, 1)
    return np.where(t < end, rising, 1.0)


def _scheduled(  # noqa: PLR0911 -- one return a formula
    schedule: CountedSchedule, rate: float, t: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the rate before warm-up at the counts t."""
    match schedule:
        case ConstantSchedule():
            return np.full(len(t), rate)
        case StepSchedule(step_size=size, gamma=gamma):
            return rate * integer_power(gamma, t // size)
        case ExponentialSchedule(decay_steps=steps, decay_rate=decay):
            return rate * np.power(decay, t / steps)
        case CosineSchedule(decay_steps=steps, alpha=alpha):
            return rate * (alpha + (1.0 - alpha) * _half_cosine(np.minimum(t, steps) / steps))
        case CosineRestartsSchedule(decay_steps=steps, growth=growth, alpha=alpha):
            return rate * (alpha + (1.0 - alpha) * _half_cosine(_share_of_cycle(t, steps, growth)))
        case PolynomialSchedule(decay_steps=steps, end_learning_rate=end, power=power):
            return end + (rate - end) * np.power(1.0 - np.minimum(t, steps) / steps, power)
        case PiecewiseSchedule(boundaries=boundaries, values=values, boundary=change):
            side: Literal["left", "right"] = "right" if change == "before" else "left"
            return np.asarray(values)[np.searchsorted(boundaries, t, side=side)]


def _half_cosine(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fall from 1 at 0 to 0 at 1."""
    falling: NDArray[np.float64] = 0.5 * (1.0 + np.cos(np.pi * share))
    return falling


def _share_of_cycle(t: NDArray[np.int64], first: int, growth: int) -> NDArray[np.float64]:
    """Return how much of its cycle has passed at each of the consecutive counts t."""
    if growth == 1:
        return t % first / first
    starts, lengths = [0], [first]
    while starts[-1] + lengths[-1] <= t[-1]:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(lengths[-1] * growth)
    cycle = np.searchsorted(starts, t, side="right") - 1
    share: NDArray[np.float64] = (t - np.asarray(starts)[cycle]) / np.asarray(lengths, np.float64)[cycle]
    return share


def _reduced(schedule: ReduceOnPlateauSchedule, rate: float, plateaus: int) -> float:
    factor = float(integer_power(schedule.factor, np.array([plateaus]))[0])
    return max(rate * factor, schedule.min_learning_rate)


def integer_power(base: float, exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """Raise base to whole powers from 0 on, by squaring: a library's power differs between processors."""
    result = np.ones(len(exponents))
    square, left = base, exponents
    with np.errstate(over="ignore", under="ignore"):
        while left.any():
            result = np.where(left & 1, result * square, result)
            square, left = square * square, left >> 1
    return result
