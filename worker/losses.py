"""The formulas of `shared.spec.loss` in NumPy and float64: the reference, and the validation loss.

Outputs are (n, targets). Targets are (n, targets), or class numbers (n,) for categorical_crossentropy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.spec import Loss
from shared.spec.loss import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
)

Floats = NDArray[np.floating[Any]]


def loss_value(loss: Loss, outputs: Floats, targets: NDArray[Any]) -> float:
    """The reduced loss. It may be NaN or infinite; the caller judges it."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        elements = loss_elements(loss, outputs, targets)
        return float(elements.sum() if loss.reduction == "sum" else elements.mean())


def loss_elements(loss: Loss, outputs: Floats, targets: NDArray[Any]) -> NDArray[np.float64]:
    """The loss before its reduction: (n, targets), or (n,) for categorical_crossentropy."""
    o = outputs.astype(np.float64)
    if isinstance(loss, CategoricalCrossentropy):
        rows = np.arange(len(o))
        highest = o.max(axis=1)
        scaled = np.exp(o - highest[:, None]).sum(axis=1)
        crossentropy: NDArray[np.float64] = highest + np.log(scaled) - o[rows, targets]
        return crossentropy
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
        case BinaryCrossentropy():
            return np.maximum(o, 0.0) - o * t + np.log1p(np.exp(-np.abs(o)))
