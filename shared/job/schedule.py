"""How the learning rate changes.

t counts updates from 0, or epochs from 0 with `per: epoch`, and `offset` is added to it: −1 is a schedule
that is one step late, 1 one that is a step early. It never falls below 0.

Warm-up multiplies the rate of the schedule for t < warmup: by (t + 1)/(warmup + 1) or, with a
`warmup_start` s, by s + (1 − s)·t/warmup, as Keras (s = 0) and PyTorch's LinearLR (s = 1/3) do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Count, Many, NonNegative, Positive
from likewise.shared.job.kinds import Kinds


class _Schedule(Frozen):
    per: Literal["step", "epoch"] = "step"
    warmup: int = Field(default=0, ge=0)
    """The rate for t < warmup is the schedule's rate times (t + 1)/(warmup + 1)."""
    warmup_start: float | None = Field(default=None, ge=0, le=1)
    """The fraction that warm-up begins at; null begins at 1/(warmup + 1)."""
    offset: int = Field(default=0, ge=-1_000_000_000, le=1_000_000_000)
    """Added to the count t, which stays at 0 or above."""


class ConstantSchedule(_Schedule):
    """The learning rate as declared; of use with `warmup`."""

    type: Literal["constant"]


class StepSchedule(_Schedule):
    """learning_rate · gamma^⌊t / step_size⌋."""

    type: Literal["step"]
    step_size: Count
    gamma: Positive = 0.1


class ExponentialSchedule(_Schedule):
    """learning_rate · decay_rate^(t / decay_steps)."""

    type: Literal["exponential"]
    decay_steps: Count
    decay_rate: Positive


class CosineSchedule(_Schedule):
    """learning_rate · (alpha + (1 − alpha)·½(1 + cos(π·min(t, decay_steps)/decay_steps)))."""

    type: Literal["cosine"]
    decay_steps: Count
    alpha: NonNegative = 0.0


class CosineRestartsSchedule(_Schedule):
    """The cosine, begun anew whenever it has fallen: s steps into a cycle of n stands s/n (SGDR, 2017).

    The first cycle takes `decay_steps`, each later one `growth` times as many as the one before.
    """

    type: Literal["cosine_restarts"]
    decay_steps: Count
    growth: int = Field(default=1, ge=1, le=1_000)
    alpha: NonNegative = 0.0


class PolynomialSchedule(_Schedule):
    """end + (learning_rate − end)·(1 − min(t, decay_steps)/decay_steps)^power."""

    type: Literal["polynomial"]
    decay_steps: Count
    end_learning_rate: NonNegative = 0.0
    power: Positive = 1.0


class ReduceOnPlateauSchedule(_Schedule):
    """max(learning_rate · factor^k, min_learning_rate), where k counts the plateaus so far.

    A plateau is `patience` epochs in a row in which `monitor` did not fall by more than `min_delta`, as in
    early stopping; the next epoch takes the lower rate and counting begins anew. Losses that differ only by
    rounding can part where they tie: give a `min_delta` above that.
    """

    type: Literal["reduce_on_plateau"]
    monitor: Literal["loss", "validation_loss"] = "validation_loss"
    factor: float = Field(default=0.1, gt=0, lt=1)
    patience: Count = 10
    patience_rule: Literal["reached", "exceeded"] = "reached"
    """A plateau is `patience` epochs (Keras), or one more (PyTorch)."""
    min_delta: NonNegative = 1e-4
    min_delta_kind: Literal["absolute", "relative"] = "absolute"
    """A fall below best − min_delta counts (Keras), or below best·(1 − min_delta) (PyTorch)."""
    min_learning_rate: NonNegative = 0.0


class PiecewiseSchedule(_Schedule):
    """values[i] from boundaries[i − 1] on; one value more than boundaries."""

    type: Literal["piecewise"]
    boundaries: Many[Count] = Field(min_length=1)
    values: Many[Positive]
    boundary: Literal["before", "after"] = "before"
    """The rate changes before the update t = boundary (PyTorch's milestones), or after it (Keras)."""

    @model_validator(mode="after")
    def _fits(self) -> PiecewiseSchedule:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, "
                f"not {len(self.values)}"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError("boundaries must rise")
        return self


CountedSchedule = (
    ConstantSchedule
    | StepSchedule
    | ExponentialSchedule
    | CosineSchedule
    | CosineRestartsSchedule
    | PolynomialSchedule
    | PiecewiseSchedule
)
"""The schedules whose rates follow from the count of updates alone."""
Schedule = Annotated[CountedSchedule | ReduceOnPlateauSchedule, Kinds()]
