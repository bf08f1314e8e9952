"""From the losses of batches to the losses of epochs, as `shared.result.SeedResult` defines them."""

from __future__ import annotations

from math import fsum, inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from worker.batches import Plan


class EpochLosses:
    """Collects finite batch losses in order. The sums are exact, so cutting cannot change them."""

    def __init__(self, plan: Plan, reduction: Literal["mean", "sum"]) -> None:
        self._plan = plan
        self._mean = reduction == "mean"
        self._running: list[float] = []
        self.finished: list[float] = []
        """One number a finished epoch; infinite where finite batch losses overflow in the sum."""

    def add(self, losses: NDArray[np.float64], batch_size: int) -> None:
        """The losses of consecutive batches of one size."""
        with np.errstate(over="ignore"):
            weighted = losses * float(batch_size) if self._mean else losses
        steps = self._plan.steps_per_epoch
        if steps == 1:
            self.finished += (weighted / self._divisor).tolist()
            return
        running = self._running + weighted.tolist()
        whole = len(running) - len(running) % steps
        self.finished += [_sum(running[i : i + steps]) / self._divisor for i in range(0, whole, steps)]
        self._running = running[whole:]

    @property
    def _divisor(self) -> float:
        return float(self._plan.samples_per_epoch) if self._mean else 1.0


def _sum(numbers: list[float]) -> float:
    try:
        return fsum(numbers)
    except OverflowError:
        return inf
