"""What one seed's training has given so far: it keeps the losses and finds divergence.

Knows nothing of trainers or clocks: it is handed numbers and judges them, alike for a seed that trains alone
and for a member of an ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, inf, isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Job
from likewise.shared.job.loss import Reduction
from likewise.shared.job.training import BatchPlan
from likewise.worker.adapters.trainer import Floats, State
from likewise.worker.training.checkpoints import joined, part_of
from likewise.worker.training.failures import TrainingError, diverged


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
        """Add the losses of consecutive batches of one size."""
        finished, self._running = self._with(losses, batch_size)
        self.finished += finished.tolist()

    def finishing(self, losses: NDArray[np.float64], batch_size: int) -> NDArray[np.float64]:
        """Return the losses of the epochs that these batches would finish; nothing is added."""
        return self._with(losses, batch_size)[0]

    def _with(self, losses: NDArray[np.float64], batch_size: int) -> tuple[NDArray[np.float64], list[float]]:
        """Return the losses of the epochs that finish with these batches, and those of the unfinished one."""
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
        """Return the losses of the finished epochs, and the batch losses of the unfinished one."""
        return {"finished": np.array(self.finished), "running": np.array(self._running)}

    def load_state(self, state: State) -> None:
        """Go on from there."""
        self.finished, self._running = state["finished"].tolist(), state["running"].tolist()


def _sum(numbers: list[float]) -> float:
    try:
        return fsum(numbers)
    except OverflowError:
        return inf


class SeedRecord:
    """Keeps the losses of one seed, and judges all its numbers.

    Each method that takes numbers raises TrainingError (`diverged`) where one is not finite.
    """

    def __init__(self, job: Job, plan: BatchPlan) -> None:
        self._job = job
        self._plan = plan
        self._epoch_losses = EpochLosses(plan, job.loss.reduction, job.training.epoch_loss)
        self.step = 0
        """Updates done, without the one that diverged."""
        self.validation_losses: list[float] = []

    @property
    def losses(self) -> list[float]:
        """Return one number for each finished epoch."""
        return self._epoch_losses.finished

    def state(self) -> State:
        """Return the updates done and all losses."""
        counts = {"step": np.array(self.step), "validation_losses": np.array(self.validation_losses)}
        return {**counts, **joined(epochs=self._epoch_losses.state())}

    def load_state(self, state: State) -> None:
        """Go on from there."""
        self.step = state["step"].item()
        self.validation_losses = state["validation_losses"].tolist()
        self._epoch_losses.load_state(part_of(state, "epochs"))

    def take(self, losses: NDArray[np.float64], batch_size: int) -> None:
        """Add the losses (n,) of consecutive batches, up to the first that is not finite."""
        good = _finite_first(losses)
        known = len(self.losses)
        self._epoch_losses.add(losses[:good], batch_size)
        self.step += good
        epoch = known + finite_count(self.losses[known:])
        if epoch < len(self.losses):
            raise self._diverged(
                "sum of its batches' losses became infinite", step=(epoch + 1) * self._plan.steps_per_epoch
            )
        if good < len(losses):
            raise self._diverged(f"loss became {_shown(losses[good])}", step=self.step + 1)

    def finishing(self, losses: NDArray[np.float64], batch_size: int) -> list[float]:
        """Return the losses of the epochs that these batches would finish, up to one that is not finite.

        Nothing is added.
        """
        epochs = self._epoch_losses.finishing(losses[: _finite_first(losses)], batch_size)
        return epochs[: _finite_first(epochs)].tolist()  # type: ignore[no-any-return]

    def take_validation_loss(self, value: float) -> None:
        """Add the loss on the validation samples after an epoch."""
        if not np.isfinite(value):
            raise self._diverged(f"validation loss became {_shown(value)}", step=self.step)
        self.validation_losses.append(value)

    def check_finite(self, what: str, arrays: Mapping[str, Floats]) -> None:
        """Look at the trained model's numbers; `what` they are is said where one is not finite."""
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise self._diverged(f"{what} {name} became NaN or infinite", step=self.step)

    def _diverged(self, what: str, *, step: int) -> TrainingError:
        return diverged(what, job=self._job, step=step, steps_per_epoch=self._plan.steps_per_epoch)


def finite_count(losses: Sequence[float]) -> int:
    """Return how many losses stand before the first that is not finite."""
    if all(map(isfinite, losses)):  # many times as quick as a look at each
        return len(losses)
    return next(place for place, loss in enumerate(losses) if not isfinite(loss))


def _finite_first(values: NDArray[np.float64]) -> int:
    """Return what `finite_count` is for an array."""
    finite = np.isfinite(values)
    return len(values) if finite.all() else int(finite.argmin())


def _shown(value: float) -> str:
    return "NaN" if np.isnan(value) else "infinite"
