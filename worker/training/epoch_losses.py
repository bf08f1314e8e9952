"""From the losses of batches to the losses of epochs, as `shared.result.SeedResult` defines them."""

from __future__ import annotations

from math import fsum, inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.batch_plan import BatchPlan
from shared.spec.loss import Reduction
from worker.training.state import State


class EpochLosses:
    """Collects finite batch losses in order. Sums are exact, so they do not depend on how blocks are cut.

    `per_sample` weights means by their batch's size and adds sums; `per_batch` is the mean of the batches.
    """

    def __init__(
        self,
        plan: BatchPlan,
        reduction: Reduction,
        epoch_loss: Literal["per_sample", "per_batch"] = "per_sample",
    ) -> None:
        self._plan = plan
        self._by_size = epoch_loss == "per_sample" and reduction == "mean"
        self._divisor = 1.0
        if self._by_size:
            self._divisor = float(plan.samples_per_epoch)
        elif epoch_loss == "per_batch":
            self._divisor = float(plan.steps_per_epoch)
        self._running: list[float] = []
        self.finished: list[float] = []
        """One number a finished epoch; infinite where finite batch losses overflow in the sum."""

    def add(self, losses: NDArray[np.float64], batch_size: int) -> None:
        """The losses of consecutive batches of one size."""
        finished, self._running = self._with(losses, batch_size)
        self.finished += finished.tolist()

    def finishing(self, losses: NDArray[np.float64], batch_size: int) -> NDArray[np.float64]:
        """The losses of the epochs that these batches would finish; nothing is added."""
        return self._with(losses, batch_size)[0]

    def _with(self, losses: NDArray[np.float64], batch_size: int) -> tuple[NDArray[np.float64], list[float]]:
        """The losses of the epochs that finish with these batches, and those of the unfinished one."""
        with np.errstate(over="ignore"):
            weighted = losses * float(batch_size) if self._by_size else losses
        steps = self._plan.steps_per_epoch
        if steps == 1:
            return weighted / self._divisor, []
        running = self._running + weighted.tolist()
        whole = len(running) - len(running) % steps
        finished = [_sum(running[i : i + steps]) / self._divisor for i in range(0, whole, steps)]
        return np.array(finished), running[whole:]

    def state(self) -> State:
        """The losses of the finished epochs, and the batch losses of the unfinished one."""
        return {"finished": np.array(self.finished), "running": np.array(self._running)}

    def load_state(self, state: State) -> None:
        """Go on from there."""
        self.finished, self._running = state["finished"].tolist(), state["running"].tolist()


def _sum(numbers: list[float]) -> float:
    try:
        return fsum(numbers)
    except OverflowError:
        return inf
