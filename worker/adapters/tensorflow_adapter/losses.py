"""The formulas of `shared.job.loss` in TensorFlow operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from operator import add
from typing import Any

import tensorflow as tf

from likewise.shared.job.loss import (
    LEAST_LEFT,
    PROBABILITY_MARGIN,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    ClassCrossentropy,
    CosineSimilarity,
    Crossentropy,
    Dice,
    Hinge,
    Huber,
    KlDivergence,
    LogCosh,
    Loss,
    Margin,
    MeanAbsoluteError,
    MeanSquaredError,
    MulticlassLoss,
    MultiMargin,
    Poisson,
    Quantile,
    SquaredHinge,
    Tversky,
    class_weights_of,
    ignored_class,
    is_broadcast,
    is_by_row,
)
from likewise.shared.program import ModelOutput, ProgramSpec

Tensor = Any
LossFunction = Callable[..., Tensor]


def total_loss(losses: Mapping[str, Loss], program: ProgramSpec) -> LossFunction:
    """Return (outputs, y and weights as in a `Batch`) → the batch's loss, a scalar in the outputs' dtype.

    `losses` has the loss of each of the program's outputs, by its name.
    """
    terms = loss_terms(losses, program)
    return lambda *given: reduce(add, terms(*given).values())


def loss_terms(losses: Mapping[str, Loss], program: ProgramSpec) -> Callable[..., dict[str, Tensor]]:
    """Return a function of what `total_loss` takes that gives each output's part of the loss, by its name."""
    every = [(output, loss_function(losses[output.name])) for output in program.outputs]

    def values(outputs: Tensor, y: Tensor, sample_weights: Tensor | None = None) -> dict[str, Tensor]:
        return {
            output.name: loss(output.of(outputs), _targets(output, y), sample_weights)
            for output, loss in every
        }

    return values


def _targets(output: ModelOutput, y: Tensor) -> Tensor:
    """Return an output's targets of those in a batch, classes as whole numbers."""
    wanted = output.wanted(y)
    return tf.cast(wanted, tf.int64) if output.target == "classes" else wanted


def loss_function(loss: Loss) -> LossFunction:
    """Return (outputs, targets, sample weights) of one output → its loss times its weight, a scalar."""
    own = _unweighted(loss)
    return own if loss.weight == 1.0 else lambda *given: own(*given) * loss.weight


def _unweighted(loss: Loss) -> LossFunction:

    def value(outputs: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        counted = _counted(loss, targets)
        if counted is not None:
            targets = tf.where(counted, targets, tf.zeros_like(targets))
        elements = _elements(loss, outputs, tf.transpose(targets) if is_broadcast(loss) else targets)
        weights = _weights(loss, targets, sample_weights, elements.dtype)
        return _reduced(loss, elements, weights, counted)

    return value


def _counted(loss: Loss, targets: Tensor) -> Tensor | None:
    """Return which elements count; None for all."""
    ignored = ignored_class(loss)
    return None if ignored is None else tf.not_equal(targets, tf.constant(ignored, targets.dtype))


def _weights(loss: Loss, targets: Tensor, sample_weights: Tensor | None, dtype: Any) -> Tensor | None:
    """Return what each element is multiplied by; None for 1 everywhere."""
    weights = None
    of_classes = class_weights_of(loss)
    if of_classes is not None:
        classes = targets if isinstance(loss, MulticlassLoss) else tf.cast(targets > 0.5, tf.int64)
        weights = tf.gather(tf.constant(of_classes, dtype), classes)
    if sample_weights is not None:
        own = sample_weights if is_by_row(loss) else sample_weights[:, tf.newaxis]
        weights = own if weights is None else weights * own
    return weights


def _reduced(loss: Loss, elements: Tensor, weights: Tensor | None, counted: Tensor | None) -> Tensor:
    if weights is not None:
        elements = elements * weights
    if counted is not None:
        elements = tf.where(counted, elements, tf.zeros_like(elements))
    if loss.reduction == "sum_of_means" and elements.shape.rank > 1:
        return tf.reduce_sum(tf.reduce_mean(elements, axis=-1))
    if loss.reduction != "mean":
        return tf.reduce_sum(elements)
    if loss.weighting == "by_weights" and weights is not None:
        every = tf.broadcast_to(weights, tf.shape(elements))
        whole = tf.reduce_sum(every if counted is None else tf.where(counted, every, tf.zeros_like(every)))
        return tf.reduce_sum(elements) / tf.where(whole > 0, whole, tf.ones_like(whole))
    if counted is not None:
        number = tf.reduce_sum(tf.cast(counted, elements.dtype))
        return tf.reduce_sum(elements) / tf.maximum(number, tf.ones_like(number))
    return tf.reduce_mean(elements)


def _elements(loss: Loss, o: Tensor, t: Tensor) -> Tensor:  # noqa: PLR0911 -- one return a formula
    match loss:
        case MeanSquaredError():
            return tf.square(o - t)
        case MeanAbsoluteError():
            return tf.abs(o - t)
        case Huber(delta=delta):
            return _huber(o - t, tf.constant(delta, o.dtype))
        case LogCosh():
            return _log_cosh(o, t)
        case Quantile(quantile=q):
            above, below = tf.constant(q, o.dtype), tf.constant(1.0 - q, o.dtype)
            return tf.where(t >= o, above * (t - o), below * (o - t))
        case Poisson():
            return tf.exp(o) - t * o
        case KlDivergence():
            return tf.reduce_sum(tf.math.xlogy(t, t) - t * tf.nn.log_softmax(o), axis=-1)
        case CosineSimilarity():
            return -tf.reduce_sum(o * t, axis=-1) / (_norm(o) * _norm(t))
        case BinaryCrossentropy() | BinaryFocalCrossentropy():
            return _binary_crossentropy(loss, o, t)
        case CategoricalCrossentropy() | CategoricalFocalCrossentropy():
            return _categorical_crossentropy(loss, o, t)
        case Dice() | Tversky():
            return _overlap(loss, o, t)
        case _:
            return _missing_margin(loss, o, t)


def _missing_margin(loss: Margin, o: Tensor, t: Tensor) -> Tensor:
    one = tf.constant(1.0, o.dtype)
    match loss:
        case Hinge() | SquaredHinge():
            sign = t if loss.labels == "as_given" else tf.where(t > 0, one, -one)
            missing = tf.nn.relu(one - sign * o)
            return missing * missing if isinstance(loss, SquaredHinge) else missing
        case CategoricalHinge() | MultiMargin():
            own = tf.gather(o, t, batch_dims=1)
            others = tf.not_equal(tf.range(o.shape[-1], dtype=t.dtype), t[:, tf.newaxis])
            if isinstance(loss, CategoricalHinge):
                best = tf.reduce_max(tf.where(others, o, tf.zeros_like(o)), axis=1)
                return tf.nn.relu(one + best - own)
            missing = tf.nn.relu(tf.constant(loss.margin, o.dtype) - own[:, tf.newaxis] + o)
            missing = missing * missing if loss.p == 2 else missing
            total = tf.reduce_sum(tf.where(others, missing, tf.zeros_like(o)), axis=1)
            return total / tf.constant(o.shape[-1], o.dtype)


def _overlap(loss: Dice | Tversky, o: Tensor, t: Tensor) -> Tensor:
    """Return one element a batch (1,), or one a sample (n,)."""
    one, smooth, epsilon = (tf.constant(v, o.dtype) for v in (1.0, loss.smooth, loss.epsilon))
    p = tf.sigmoid(o) if loss.from_logits else o
    if loss.per == "batch":
        p, t = tf.reshape(p, [1, -1]), tf.reshape(t, [1, -1])
    both = tf.reduce_sum(t * p, axis=1)
    if isinstance(loss, Dice):
        both = tf.constant(2.0, o.dtype) * both
        whole = tf.reduce_sum(t, axis=1) + tf.reduce_sum(p, axis=1)
    else:
        alpha, beta = (tf.constant(v, o.dtype) for v in (loss.alpha, loss.beta))
        missed, invented = tf.reduce_sum(t * (one - p), axis=1), tf.reduce_sum((one - t) * p, axis=1)
        whole = both + alpha * missed + beta * invented
    return one - (both + smooth) / (whole + smooth + epsilon)


def _binary_crossentropy(loss: Crossentropy, o: Tensor, t: Tensor) -> Tensor:
    one = tf.constant(1.0, o.dtype)
    if loss.label_smoothing > 0:
        a = loss.label_smoothing
        t = t * tf.constant(1.0 - a, o.dtype) + tf.constant(a / 2, o.dtype)
    if loss.from_logits:
        elements = tf.nn.sigmoid_cross_entropy_with_logits(labels=t, logits=o)
    else:
        p = _clipped(o)
        elements = -(t * tf.math.log(p) + (one - t) * tf.math.log(one - p))
    if not isinstance(loss, BinaryFocalCrossentropy):
        return elements
    p, rest = (tf.sigmoid(o), tf.sigmoid(-o)) if loss.from_logits else (p, one - p)
    elements = _power(t * rest + (one - t) * p, loss.gamma) * elements
    if loss.apply_class_balancing:
        alpha, beta = (tf.constant(v, o.dtype) for v in (loss.alpha, 1.0 - loss.alpha))
        elements = (t * alpha + (one - t) * beta) * elements
    return elements


def _power(left: Tensor, gamma: float) -> Tensor:
    """Return what a probability lacks of 1 to the power of gamma."""
    left = tf.maximum(left, tf.constant(LEAST_LEFT, left.dtype))
    return left * left if gamma == 2 else tf.pow(left, tf.constant(gamma, left.dtype))


def _categorical_crossentropy(loss: ClassCrossentropy, o: Tensor, classes: Tensor) -> Tensor:
    if loss.from_logits:
        surprises = -tf.nn.log_softmax(o)
    else:
        p = _clipped(o)
        surprises = tf.math.log(tf.reduce_sum(p, axis=-1, keepdims=True)) - tf.math.log(p)
    if isinstance(loss, CategoricalFocalCrossentropy):
        alpha = tf.constant(loss.alpha, o.dtype)
        surprises = alpha * _power(-tf.math.expm1(-surprises), loss.gamma) * surprises
    if isinstance(loss, CategoricalCrossentropy) and loss.from_logits:
        elements = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=o)
    else:
        elements = tf.gather(surprises, classes, batch_dims=1)
    if loss.label_smoothing > 0:
        a, k = loss.label_smoothing, o.shape[-1]
        evenly = tf.reduce_sum(surprises, axis=-1)
        elements = tf.constant(1.0 - a, o.dtype) * elements + tf.constant(a / k, o.dtype) * evenly
    return elements


def _clipped(o: Tensor) -> Tensor:
    """Return outputs as probabilities whose logarithms are finite."""
    low, high = (tf.constant(v, o.dtype) for v in (PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN))
    return tf.clip_by_value(o, low, high)


def _log_cosh(o: Tensor, t: Tensor) -> Tensor:
    size = tf.abs(o - t)
    two, log_2 = tf.constant(2.0, o.dtype), tf.constant(math.log(2.0), o.dtype)
    return size + tf.math.log1p(tf.exp(-two * size)) - log_2


def _norm(rows: Tensor) -> Tensor:
    return tf.sqrt(tf.maximum(tf.reduce_sum(rows * rows, axis=-1), tf.constant(1e-12, rows.dtype)))


def _huber(error: Tensor, delta: Tensor) -> Tensor:
    half = tf.constant(0.5, error.dtype)
    size = tf.abs(error)
    return tf.where(size <= delta, half * error * error, delta * (size - half * delta))
