"""The formulas of `shared.job.loss` in NumPy and float64: the reference that everyone measures with.

Outputs are (n, targets). Targets are (n, targets), or class numbers (n,) for categorical_crossentropy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Loss
from likewise.shared.job.loss import (
    PROBABILITY_MARGIN,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    ClassLoss,
    CosineSimilarity,
    ElementLoss,
    Huber,
    KlDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    Quantile,
    is_broadcast,
    is_by_row,
)

Floats = NDArray[np.floating[Any]]


def loss_value(
    loss: Loss, outputs: Floats, targets: NDArray[Any], sample_weights: Floats | None = None
) -> float:
    """Return the reduced loss, with `sample_weights` (n,). It may be NaN or infinite."""
    return float(loss_values(loss, outputs[None], targets, sample_weights)[0])


def loss_values(
    loss: Loss, outputs: Floats, targets: NDArray[Any], sample_weights: Floats | None = None
) -> NDArray[np.float64]:
    """Return the loss of each member (members,), from outputs (members, n, targets) for the same targets."""
    if is_broadcast(loss) and len(outputs) > 1:
        return np.array([loss_value(loss, own, targets, sample_weights) for own in outputs])
    members, samples = outputs.shape[:2]
    each = np.broadcast_to(targets, (members, *targets.shape)).reshape(members * samples, *targets.shape[1:])
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        elements = loss_elements(loss, outputs.reshape(members * samples, *outputs.shape[2:]), each)
        elements = elements.reshape(members, samples, *elements.shape[1:])
        weights = element_weights(loss, targets, sample_weights)
        whole = None if weights is None else np.broadcast_to(weights, elements.shape[1:])
        return _reduced(loss, elements, whole, _counted(loss, targets))


def element_weights(
    loss: Loss, targets: NDArray[Any], sample_weights: Floats | None
) -> NDArray[np.float64] | None:
    """Return what elements are multiplied by, in a shape that broadcasts to them; None for 1 everywhere."""
    weights = None
    if isinstance(loss, ClassLoss) and loss.class_weights is not None:
        known = _counted(loss, targets)
        classes = targets.astype(np.int64)
        weights = np.asarray(loss.class_weights, np.float64)[classes if known is None else classes * known]
    if sample_weights is not None:
        own = sample_weights.astype(np.float64)
        own = own if is_by_row(loss) else own[:, None]
        weights = own if weights is None else weights * own
    return weights


def _counted(loss: Loss, targets: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which elements count; None for all."""
    if isinstance(loss, CategoricalCrossentropy) and loss.ignore_index is not None:
        counted: NDArray[np.bool_] = targets != loss.ignore_index
        return counted
    return None


def _reduced(
    loss: Loss,
    elements: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    counted: NDArray[np.bool_] | None,
) -> NDArray[np.float64]:
    """Reduce elements (members, n) or (members, n, targets) to losses (members,)."""
    number = float(elements[0].size)
    if weights is not None:
        elements = elements * weights
    if counted is not None:
        elements = np.where(counted, elements, 0.0)
        number = float(counted.sum())
    if loss.reduction == "sum_of_means" and elements.ndim > 2:
        elements = elements.mean(axis=-1)
    totals: NDArray[np.float64] = elements.reshape(len(elements), -1).sum(axis=1)
    if loss.reduction != "mean":
        return totals
    if loss.weighting == "by_weights" and weights is not None:
        number = float((weights if counted is None else np.where(counted, weights, 0.0)).sum())
    return totals / number if number > 0 else totals


def loss_elements(loss: Loss, outputs: Floats, targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return the loss before weights and reduction: (n, targets), (n,) by row, (n, n) where broadcast."""
    o = outputs.astype(np.float64)
    if isinstance(loss, CategoricalCrossentropy):
        return _categorical_crossentropy(loss, o, targets)
    t = targets.astype(np.float64)
    if o.shape != t.shape:
        raise ValueError(f"outputs of shape {o.shape} and targets of shape {t.shape} do not fit")
    if isinstance(loss, ElementLoss):
        return _of_pairs(loss, o, t.T if is_broadcast(loss) else t)
    match loss:
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
            if not loss.from_logits:
                p = _clipped(o)
                return -(smooth * np.log(p) + (1.0 - smooth) * np.log(1.0 - p))
            return np.maximum(o, 0.0) - o * smooth + np.log1p(np.exp(-np.abs(o)))


def _of_pairs(loss: ElementLoss, o: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the loss of each output with its own target; the two are broadcast."""
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
        case Quantile(quantile=q):
            return np.where(t >= o, q * (t - o), (1.0 - q) * (o - t))
        case Poisson():
            return np.exp(o) - t * o


def _categorical_crossentropy(
    loss: CategoricalCrossentropy, o: NDArray[np.float64], classes: NDArray[Any]
) -> NDArray[np.float64]:
    known = _counted(loss, classes)
    surprises = _surprises(o) if loss.from_logits else _surprises_of_probabilities(o)
    rows = np.arange(len(o))
    elements: NDArray[np.float64] = surprises[rows, classes if known is None else classes * known]
    if loss.label_smoothing > 0:
        evenly = surprises.mean(axis=1)
        elements = (1.0 - loss.label_smoothing) * elements + loss.label_smoothing * evenly
    return elements


def _surprises(o: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logsumexp(o) − o over the last axis, minus the logarithm of each class's probability."""
    highest = o.max(axis=-1, keepdims=True)
    surprises: NDArray[np.float64] = highest + np.log(np.exp(o - highest).sum(axis=-1, keepdims=True)) - o
    return surprises


def _surprises_of_probabilities(o: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(Σ p) − log p over the last axis, with p clipped."""
    p = _clipped(o)
    surprises: NDArray[np.float64] = np.log(p.sum(axis=-1, keepdims=True)) - np.log(p)
    return surprises


def _clipped(o: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(o, PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN)
