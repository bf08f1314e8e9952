"""What keeps single weights small: penalties in the loss, and constraints after each update.

A regularizer adds its penalty to every batch's loss, whatever the loss's reduction; for a weight w

    l1     l1·Σ|w|              gradient l1·sign(w), 0 at 0
    l2     l2·Σw²               gradient 2·l2·w, so that PyTorch's weight_decay is 2·l2
    l1_l2  the sum of both

Weights of frozen layers have none, as in Keras. The penalty's gradient is clipped and gathered with the
loss's own. A layer's output is penalized by the same formulas: an `activity_regularizer`'s sum goes over the
output's every number, padded steps too, for all samples of a batch.

A constraint changes a weight after each update, before which an average of the weights takes it. With n the
root of Σw² over `axis`, which keeps its place:

    max_norm      w·(min(n, max_value) / (1e-7 + n))
    min_max_norm  w·((rate·min(max(n, min_value), max_value) + (1 − rate)·n) / (1e-7 + n))
    unit_norm     w / (1e-7 + n)
    non_neg       max(w, 0)

These are Keras's formulas; PyTorch's renorm_ leaves a weight as it is whose norm is within max_value.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many, NonNegative
from likewise.shared.job.kinds import Kinds

NORM_EPSILON = 1e-7
"""What a constraint adds to a norm before it divides by it."""


class L1(Frozen):
    """l1·Σ|w|, which draws weights to 0."""

    type: Literal["l1"]
    l1: NonNegative = 0.01


class L2(Frozen):
    """l2·Σw², which shrinks large weights."""

    type: Literal["l2"]
    l2: NonNegative = 0.01
    """PyTorch's weight_decay is twice as much, since a square's gradient is 2·w."""


class L1L2(Frozen):
    """It adds both, l1·Σ|w| + l2·Σw²."""

    type: Literal["l1_l2"]
    l1: NonNegative = 0.0
    l2: NonNegative = 0.0


Regularizer = Annotated[L1 | L2 | L1L2, Kinds()]


class _OfSamples(Frozen):
    reduction: Literal["mean", "sum"] = "mean"
    """Whether a batch's loss has the mean of its samples' penalties, as in Keras from 3.14 on, or their sum,
    as in Keras up to 3.13."""


class ActivityL1(_OfSamples, L1):
    """l1·Σ|y| of a sample, which makes the output sparse."""


class ActivityL2(_OfSamples, L2):
    """l2·Σy² of a sample, which keeps the output small."""


class ActivityL1L2(_OfSamples, L1L2):
    """It adds both, l1·Σ|y| + l2·Σy² of a sample."""


ActivityRegularizer = Annotated[ActivityL1 | ActivityL2 | ActivityL1L2, Kinds()]


class _ByNorm(Frozen):
    axis: int | Annotated[Many[int], Field(min_length=1)] = 0
    """Over which axes of the weight a norm is taken, in Keras's layout: 0 of a dense kernel (inputs, units)
    is a norm a unit, [0, 1, 2] of a convolution's one a filter. PyTorch's weights have the units first."""

    @property
    def axes(self) -> tuple[int, ...]:
        """Return the axes, whether there are one or several."""
        return (self.axis,) if isinstance(self.axis, int) else self.axis


class MaxNorm(_ByNorm):
    """It keeps norms at max_value or below."""

    type: Literal["max_norm"]
    max_value: NonNegative = 2.0


class MinMaxNorm(_ByNorm):
    """Norms lie between two bounds, or come nearer to them at each update."""

    type: Literal["min_max_norm"]
    min_value: NonNegative = 0.0
    max_value: NonNegative = 1.0
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How much of the way to the bounds an update goes."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> MinMaxNorm:
        if self.min_value > self.max_value:
            raise ValueError(f"min_value {self.min_value:g} is above max_value {self.max_value:g}")
        return self


class UnitNorm(_ByNorm):
    """It brings norms to 1."""

    type: Literal["unit_norm"]


class NonNeg(Frozen):
    """No number is below 0."""

    type: Literal["non_neg"]


Constraint = Annotated[MaxNorm | MinMaxNorm | UnitNorm | NonNeg, Kinds()]


def strengths(regularizer: Regularizer | ActivityRegularizer | None) -> tuple[float, float]:
    """Return l1 and l2; 0 where there is none."""
    return getattr(regularizer, "l1", 0.0), getattr(regularizer, "l2", 0.0)
