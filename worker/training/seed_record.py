"""What one seed's training has given so far: it keeps the losses and finds divergence.

Knows nothing of trainers or clocks: it is handed numbers and judges them, alike for a seed that trains alone
and for a member of an ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.job import Job
from shared.job.loss import fitting_metrics
from shared.job.training import BatchPlan
from shared.losses import loss_values
from worker.adapters.base import Batch, Floats, State, Weights
from worker.training.failures import TrainingError, diverged
from worker.training.metrics import EpochLosses, member_metrics
from worker.training.state import joined, part_of

Metrics = dict[str, dict[str, float | None]]
"""A metric is found by the part of the data, then by its name."""
OutputsOf = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a finished training leaves."""

    metrics: Metrics
    outputs: Floats
    outputs_of: OutputsOf
    predictions: Floats | None
    weights: Weights


class SeedRecord:
    """The losses of one seed, and the judgement of all its numbers.

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
        """One number a finished epoch."""
        return self._epoch_losses.finished

    def state(self) -> State:
        """The updates done and all losses."""
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
        """The losses of the epochs that these batches would finish, up to the first that is not finite.

        Nothing is added.
        """
        epochs = self._epoch_losses.finishing(losses[: _finite_first(losses)], batch_size)
        return epochs[: _finite_first(epochs)].tolist()  # type: ignore[no-any-return]

    def take_validation_loss(self, value: float) -> None:
        """The loss on the validation samples after an epoch."""
        if not np.isfinite(value):
            raise self._diverged(f"validation loss became {_shown(value)}", step=self.step)
        self.validation_losses.append(value)

    def conclude(
        self,
        *,
        parts: Mapping[str, Batch],
        outputs: Mapping[str, Floats],
        predictions: Floats | None,
        weights: Weights,
        metrics: Metrics,
    ) -> Outcome:
        """The trained model's numbers, checked; `outputs` has those of each part of the data.

        `metrics` are what `measured` made of them.
        """
        self._check_finite("weight", weights)
        self._check_finite("output on", {**outputs, "predict": predictions})
        outputs_of = _outputs_of(parts)
        return Outcome(
            metrics=metrics,
            outputs=outputs[outputs_of],
            outputs_of=outputs_of,
            predictions=predictions,
            weights=weights,
        )

    def _check_finite(self, what: str, arrays: Mapping[str, Floats | None]) -> None:
        for name, array in arrays.items():
            if array is not None and not np.isfinite(array).all():
                raise self._diverged(f"{what} {name} became NaN or infinite", step=self.step)

    def _diverged(self, what: str, *, step: int) -> TrainingError:
        return diverged(what, job=self._job, step=step, steps_per_epoch=self._plan.steps_per_epoch)


def measured(job: Job, parts: Mapping[str, Batch], outputs: Mapping[str, Floats]) -> list[Metrics]:
    """The metrics of several members from their outputs of each part, (members, n, outputs)."""
    names = job.metrics if job.metrics is not None else fitting_metrics(job.loss)
    tables = {
        name: member_metrics(names, loss=job.loss, outputs=outputs[name], targets=part.y)
        for name, part in parts.items()
    }
    members = len(next(iter(outputs.values())))
    return [{name: table[member] for name, table in tables.items()} for member in range(members)]


def finite_count(losses: Sequence[float]) -> int:
    """How many losses stand before the first that is not finite."""
    if all(map(isfinite, losses)):  # many times as quick as a look at each
        return len(losses)
    return next(place for place, loss in enumerate(losses) if not isfinite(loss))


def _finite_first(values: NDArray[np.float64]) -> int:
    """Return what `finite_count` is for an array."""
    finite = np.isfinite(values)
    return len(values) if finite.all() else int(finite.argmin())


def validation_losses(job: Job, outputs: Floats, part: Batch) -> NDArray[np.float64]:
    """The losses (members,) of several members' outputs (members, n, outputs) on the same samples."""
    return loss_values(job.loss, outputs, part.y, part.weights)


def _outputs_of(parts: Mapping[str, Batch]) -> OutputsOf:
    """The part that tells most about the model: one held out from training, where there is any."""
    if "test" in parts:
        return "test"
    return "validation" if "validation" in parts else "train"


def _shown(value: float) -> str:
    return "NaN" if np.isnan(value) else "infinite"
