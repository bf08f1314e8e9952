"""The formulas of `shared.job.loss` in NumPy and float64: the reference that everyone measures with.

Outputs are (n, targets). Targets are (n, targets), or class numbers (n,) for a loss of one class a sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Loss
from likewise.shared.job.loss import (
    LEAST_LEFT,
    PROBABILITY_MARGIN,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    BinaryLoss,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    ClassCrossentropy,
    ClassLoss,
    CosineSimilarity,
    Crossentropy,
    Dice,
    ElementLoss,
    Hinge,
    Huber,
    KlDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    MulticlassLoss,
    Poisson,
    Quantile,
    SquaredHinge,
    Tversky,
    TwoClassLoss,
    class_weights_of,
    ignored_class,
    is_broadcast,
    is_by_batch,
    is_by_row,
)
from likewise.shared.program import ModelOutput, ProgramSpec

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
    if (is_broadcast(loss) or is_by_batch(loss)) and len(outputs) > 1:
        return np.array([loss_value(loss, own, targets, sample_weights) for own in outputs])
    members, samples = outputs.shape[:2]
    each = np.broadcast_to(targets, (members, *targets.shape)).reshape(members * samples, *targets.shape[1:])
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        elements = loss_elements(loss, outputs.reshape(members * samples, *outputs.shape[2:]), each)
        elements = elements.reshape(members, -1, *elements.shape[1:])  # one a batch, or one a sample
        weights = element_weights(loss, targets, sample_weights)
        whole = None if weights is None else np.broadcast_to(weights, elements.shape[1:])
        reduced = _reduced(loss, elements, whole, _counted(loss, targets))
        return reduced if loss.weight == 1.0 else reduced * loss.weight


def total_losses(
    losses: Mapping[str, Loss],
    program: ProgramSpec,
    outputs: Floats,
    y: NDArray[Any],
    sample_weights: Floats | None = None,
) -> NDArray[np.float64]:
    """Return the sum of the outputs' losses of each member (members,), from all that the program gives.

    `losses` has the loss of each output by name; outputs are (members, n, outputs), and y is as in a batch.
    """
    every = [
        loss_values(losses[one.name], one.of(outputs), targets_of(one, y), sample_weights)
        for one in program.outputs
    ]
    return np.sum(every, axis=0) if len(every) > 1 else every[0]


def targets_of(output: ModelOutput, y: NDArray[Any]) -> NDArray[Any]:
    """Return an output's targets of those in a batch, classes as whole numbers."""
    wanted: NDArray[Any] = output.wanted(y)
    return wanted.astype(np.int64) if output.target == "classes" else wanted


def element_weights(
    loss: Loss, targets: NDArray[Any], sample_weights: Floats | None
) -> NDArray[np.float64] | None:
    """Return what elements are multiplied by, in a shape that broadcasts to them; None for 1 everywhere."""
    weights = None
    of_classes = class_weights_of(loss)
    if of_classes is not None:
        known = _counted(loss, targets)
        classes = (
            targets.astype(np.int64) if isinstance(loss, MulticlassLoss) else (targets > 0.5).astype(int)
        )
        weights = np.asarray(of_classes, np.float64)[classes if known is None else classes * known]
    if sample_weights is not None:
        own = sample_weights.astype(np.float64)
        own = own if is_by_row(loss) else own[:, None]
        weights = own if weights is None else weights * own
    return weights


def _counted(loss: Loss, targets: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which elements count; None for all."""
    ignored = ignored_class(loss)
    if ignored is None:
        return None
    counted: NDArray[np.bool_] = targets != ignored
    return counted


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
    if isinstance(loss, MulticlassLoss):
        return _of_classes(loss, o, targets)
    t = targets.astype(np.float64)
    if o.shape != t.shape:
        raise ValueError(f"outputs of shape {o.shape} and targets of shape {t.shape} do not fit")
    if isinstance(loss, ElementLoss):
        return _of_pairs(loss, o, t.T if is_broadcast(loss) else t)
    return _of_classified(loss, o, t) if isinstance(loss, BinaryLoss) else _of_rows(loss, o, t)


def _of_rows(
    loss: KlDivergence | CosineSimilarity, o: NDArray[np.float64], t: NDArray[np.float64]
) -> NDArray[np.float64]:
    match loss:
        case KlDivergence():
            information = t * np.log(np.where(t > 0, t, 1.0))
            divergence: NDArray[np.float64] = (information + t * _surprises(o)).sum(axis=-1)
            return divergence
        case CosineSimilarity():
            norms = (np.sqrt(np.maximum(np.square(v).sum(axis=-1), 1e-12)) for v in (o, t))
            cosine: NDArray[np.float64] = (o * t).sum(axis=-1) / math.prod(norms)
            return -cosine


def _of_classified(loss: TwoClassLoss, o: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    match loss:
        case BinaryCrossentropy() | BinaryFocalCrossentropy():
            return _binary_crossentropy(loss, o, t)
        case Hinge() | SquaredHinge():
            sign = t if loss.labels == "as_given" else np.where(t > 0, 1.0, -1.0)
            missing = np.maximum(1.0 - sign * o, 0.0)
            return missing**2 if isinstance(loss, SquaredHinge) else missing
        case Dice() | Tversky():
            return _overlap(loss, o, t)


def _binary_crossentropy(
    loss: Crossentropy, o: NDArray[np.float64], t: NDArray[np.float64]
) -> NDArray[np.float64]:
    smooth = t * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2
    p = _sigmoid(o) if loss.from_logits else _clipped(o)
    rest = _sigmoid(-o) if loss.from_logits else 1.0 - p
    if loss.from_logits:
        elements = np.maximum(o, 0.0) - o * smooth + np.log1p(np.exp(-np.abs(o)))
    else:
        elements = -(smooth * np.log(p) + (1.0 - smooth) * np.log(rest))
    if isinstance(loss, BinaryFocalCrossentropy):
        left = np.maximum(smooth * rest + (1.0 - smooth) * p, LEAST_LEFT)
        elements = left**loss.gamma * elements
        if loss.apply_class_balancing:
            elements = (smooth * loss.alpha + (1.0 - smooth) * (1.0 - loss.alpha)) * elements
    return elements


def _overlap(loss: Dice | Tversky, o: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one element a batch (1,), or one a sample (n,)."""
    p = _sigmoid(o) if loss.from_logits else o
    if loss.per == "batch":
        p, t = p.reshape(1, -1), t.reshape(1, -1)
    both: NDArray[np.float64] = (t * p).sum(axis=1)
    if isinstance(loss, Dice):
        both, whole = 2.0 * both, t.sum(axis=1) + p.sum(axis=1)
    else:
        missed, invented = (t * (1.0 - p)).sum(axis=1), ((1.0 - t) * p).sum(axis=1)
        whole = both + loss.alpha * missed + loss.beta * invented
    overlap: NDArray[np.float64] = (both + loss.smooth) / (whole + loss.smooth + loss.epsilon)
    return 1.0 - overlap


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


def _of_classes(loss: ClassLoss, o: NDArray[np.float64], classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return one element a sample (n,) from outputs (n, classes) and class numbers (n,)."""
    known = _counted(loss, classes)
    of_class = classes if known is None else classes * known
    rows = np.arange(len(o))
    if isinstance(loss, ClassCrossentropy):
        return _categorical_crossentropy(loss, o, of_class)
    own = o[rows, of_class]
    others = np.arange(o.shape[1]) != of_class[:, None]
    if isinstance(loss, CategoricalHinge):
        best: NDArray[np.float64] = np.where(others, o, 0.0).max(axis=1)
        lead: NDArray[np.float64] = np.maximum(1.0 + best - own, 0.0)
        return lead
    missing = np.maximum(loss.margin - own[:, None] + o, 0.0) ** loss.p
    elements: NDArray[np.float64] = np.where(others, missing, 0.0).sum(axis=1) / o.shape[1]
    return elements


def _categorical_crossentropy(
    loss: ClassCrossentropy, o: NDArray[np.float64], classes: NDArray[Any]
) -> NDArray[np.float64]:
    surprises = _surprises(o) if loss.from_logits else _surprises_of_probabilities(o)
    if isinstance(loss, CategoricalFocalCrossentropy):
        left = np.maximum(-np.expm1(-surprises), LEAST_LEFT)
        surprises = loss.alpha * left**loss.gamma * surprises
    elements: NDArray[np.float64] = surprises[np.arange(len(o)), classes]
    if loss.label_smoothing > 0:
        evenly = surprises.mean(axis=1)
        elements = (1.0 - loss.label_smoothing) * elements + loss.label_smoothing * evenly
    return elements


def _sigmoid(o: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(-np.abs(o))
    probabilities: NDArray[np.float64] = np.where(o >= 0, 1.0, e) / (1.0 + e)
    return probabilities


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
