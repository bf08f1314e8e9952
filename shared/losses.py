"""The formulas of `shared.spec.loss` in NumPy and float64: the reference that everyone measures with.

Outputs are (n, targets). Targets are (n, targets), or class numbers (n,) for categorical_crossentropy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.spec import Loss
from shared.spec.loss import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CosineSimilarity,
    Huber,
    KlDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
)

Floats = NDArray[np.floating[Any]]


def loss_value(loss: Loss, outputs: Floats, targets: NDArray[Any]) -> float:
    """The reduced loss. It may be NaN or infinite; the caller judges it."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        elements = loss_elements(loss, outputs, targets)
        return float(elements.sum() if loss.reduction == "sum" else elements.mean())


def loss_elements(  # noqa: PLR0911 -- one return a formula
    loss: Loss, outputs: Floats, targets: NDArray[Any]
) -> NDArray[np.float64]:
    """The loss before its reduction: (n, targets), or (n,) where it has one element a sample."""
    o = outputs.astype(np.float64)
    if isinstance(loss, CategoricalCrossentropy):
        return _categorical_crossentropy(loss, o, targets)
    t = targets.astype(np.float64)
    if o.shape != t.shape:
        raise ValueError(f"outputs of shape {o.shape} and targets of shape {t.shape} do not fit")
    match loss:
        case MeanSquaredError():
            return np.square(o - t)
        case MeanAbsoluteError():
            return np.abs(o - t)
        case Huber(delta=delta):
            distance = np.abs(o - t)
            return np.where(distance <= delta, 0.5 * (o - t) ** 2, delta * (distance - 0.5 * delta))
        case LogCosh():
            distance = np.abs(o - t)
            return distance + np.log1p(np.exp(-2.0 * distance)) - math.log(2.0)
        case Poisson():
            return np.exp(o) - t * o
        case KlDivergence():
            information = t * np.log(np.where(t > 0, t, 1.0))
            divergence: NDArray[np.float64] = (information + t * _surprises(o)).sum(axis=-1)
            return divergence
        case CosineSimilarity():
            norms = (np.sqrt(np.maximum(np.square(v).sum(axis=-1), 1e-12)) for v in (o, t))
            cosine: NDArray[np.float64] = (o * t).sum(axis=-1) / math.prod(norms)
            return -cosine
        case BinaryCrossentropy():
            smooth = t * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2
            elements = np.maximum(o, 0.0) - o * smooth + np.log1p(np.exp(-np.abs(o)))
            return elements * _class_weights(loss)[t.astype(int)] if loss.class_weights else elements


def _categorical_crossentropy(
    loss: CategoricalCrossentropy, o: NDArray[np.float64], classes: NDArray[Any]
) -> NDArray[np.float64]:
    surprises = _surprises(o)
    elements: NDArray[np.float64] = surprises[np.arange(len(o)), classes]
    if loss.label_smoothing > 0:
        evenly = surprises.mean(axis=1)
        elements = (1.0 - loss.label_smoothing) * elements + loss.label_smoothing * evenly
    return elements * _class_weights(loss)[classes] if loss.class_weights else elements


def _class_weights(loss: BinaryCrossentropy | CategoricalCrossentropy) -> NDArray[np.float64]:
    """The weight of each class, where the loss has them."""
    return np.asarray(loss.class_weights, np.float64)


def _surprises(o: NDArray[np.float64]) -> NDArray[np.float64]:
    """logsumexp(o) − o over the last axis: minus the logarithm of each class's probability."""
    highest = o.max(axis=-1, keepdims=True)
    surprises: NDArray[np.float64] = highest + np.log(np.exp(o - highest).sum(axis=-1, keepdims=True)) - o
    return surprises
