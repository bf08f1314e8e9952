"""The loss. Formulas are pinned here; `shared.losses` is their NumPy reference.

With outputs o and targets t of shape (samples, targets), `mean` divides the sum over all elements by
their number and `sum` divides by nothing. Cross-entropies take logits; with k classes:

    mse                        (o − t)²
    mae                        |o − t|
    huber                      ½(o − t)² where |o − t| ≤ delta, else delta·(|o − t| − ½·delta)
    log_cosh                   |o − t| + log(1 + exp(−2·|o − t|)) − log 2, which is log(cosh(o − t))
    poisson                    exp(o) − t·o; o is the logarithm of the rate
    binary_crossentropy        max(o, 0) − o·t + log(1 + exp(−|o|))

One element a sample:

    categorical_crossentropy   logsumexp(o) − o[t]
    kl_divergence              Σ t·(log t − (o − logsumexp(o))) over the row; 0·log 0 is 0
    cosine_similarity          −Σ o·t / (√max(Σ o², 1e-12)·√max(Σ t², 1e-12)) over the row

`label_smoothing` a moves targets: to t·(1 − a) + a/2 in binary_crossentropy; in categorical_crossentropy
to (1 − a)·(logsumexp(o) − o[t]) + (a/k)·Σⱼ(logsumexp(o) − o[j]). `class_weights` multiplies each element
by the weight of its target's class, before smoothing; `mean` still divides by the number of elements.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.spec.fields import Fraction, Many, NonNegative, Positive, Word

Reduction = Literal["mean", "sum"]


class MeanSquaredError(Frozen):
    """(o − t)²."""

    type: Literal["mse"]
    reduction: Reduction = "mean"


class MeanAbsoluteError(Frozen):
    """|o − t|; its gradient at 0 is 0."""

    type: Literal["mae"]
    reduction: Reduction = "mean"


class Huber(Frozen):
    """Quadratic within `delta` of the target, linear beyond (Huber 1964)."""

    type: Literal["huber"]
    delta: Positive = 1.0
    reduction: Reduction = "mean"


class LogCosh(Frozen):
    """About ½(o − t)² near the target and |o − t| far from it; smooth."""

    type: Literal["log_cosh"]
    reduction: Reduction = "mean"


class Poisson(Frozen):
    """From the logarithm of the rate, whatever its sign; targets are counts, 0 or more."""

    type: Literal["poisson"]
    reduction: Reduction = "mean"


class KlDivergence(Frozen):
    """From logits, one output a class; targets are rows of probabilities that sum to 1."""

    type: Literal["kl_divergence"]
    reduction: Reduction = "mean"


class CosineSimilarity(Frozen):
    """Minus the cosine of the angle between outputs and targets; −1 where they point one way."""

    type: Literal["cosine_similarity"]
    reduction: Reduction = "mean"


class BinaryCrossentropy(Frozen):
    """From logits; targets are 0 or 1."""

    type: Literal["binary_crossentropy"]
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=2, max_length=2)
    """Of targets 0 and 1."""
    reduction: Reduction = "mean"


class CategoricalCrossentropy(Frozen):
    """From logits, one output a class; targets are class numbers from 0, or one-hot rows."""

    type: Literal["categorical_crossentropy"]
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=1)
    """Of the classes from 0, one each."""
    reduction: Reduction = "mean"


Loss = Annotated[
    MeanSquaredError
    | MeanAbsoluteError
    | Huber
    | LogCosh
    | Poisson
    | KlDivergence
    | CosineSimilarity
    | BinaryCrossentropy
    | CategoricalCrossentropy,
    Field(discriminator="type"),
    Word,
]


def is_by_row(loss: Loss) -> bool:
    """Whether the loss has one element a sample, not one an output."""
    return isinstance(loss, CategoricalCrossentropy | KlDivergence | CosineSimilarity)
