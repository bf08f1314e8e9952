"""The loss. Formulas are pinned here; `worker.losses` is their NumPy reference.

With outputs o and targets t of shape (samples, targets), `mean` divides the sum over all elements by
their number and `sum` divides by nothing. Cross-entropies take logits; with k classes:

    mse                        (o − t)²
    mae                        |o − t|
    huber                      ½(o − t)² where |o − t| ≤ delta, else delta·(|o − t| − ½·delta)
    binary_crossentropy        max(o, 0) − o·t + log(1 + exp(−|o|))
    categorical_crossentropy   logsumexp(o) − o[t], one element a sample
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.spec.fields import Positive, Word

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


class BinaryCrossentropy(Frozen):
    """From logits; targets are 0 or 1."""

    type: Literal["binary_crossentropy"]
    reduction: Reduction = "mean"


class CategoricalCrossentropy(Frozen):
    """From logits, one output a class; targets are class numbers from 0, or one-hot rows."""

    type: Literal["categorical_crossentropy"]
    reduction: Reduction = "mean"


Loss = Annotated[
    MeanSquaredError | MeanAbsoluteError | Huber | BinaryCrossentropy | CategoricalCrossentropy,
    Field(discriminator="type"),
    Word,
]
