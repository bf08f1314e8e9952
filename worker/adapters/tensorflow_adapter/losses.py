"""The formulas of `shared.spec.loss` in TensorFlow operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from shared.spec.loss import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CosineSimilarity,
    Huber,
    KlDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
)

Tensor = Any
LossFunction = Callable[[Tensor, Tensor], Tensor]


def loss_function(loss: Loss) -> LossFunction:
    """(outputs, targets) → the batch's loss, a scalar in the outputs' dtype."""
    elements = _elements(loss)
    reduce = tf.reduce_mean if loss.reduction == "mean" else tf.reduce_sum
    return lambda outputs, targets: reduce(elements(outputs, targets))


def _elements(loss: Loss) -> LossFunction:  # noqa: PLR0911 -- one return a formula
    match loss:
        case MeanSquaredError():
            return lambda o, t: tf.square(o - t)
        case MeanAbsoluteError():
            return lambda o, t: tf.abs(o - t)
        case Huber(delta=delta):
            return lambda o, t: _huber(o - t, tf.constant(delta, o.dtype))
        case LogCosh():
            return _log_cosh
        case Poisson():
            return lambda o, t: tf.exp(o) - t * o
        case KlDivergence():
            return lambda o, t: tf.reduce_sum(tf.math.xlogy(t, t) - t * tf.nn.log_softmax(o), axis=-1)
        case CosineSimilarity():
            return lambda o, t: -tf.reduce_sum(o * t, axis=-1) / (_norm(o) * _norm(t))
        case BinaryCrossentropy():
            return lambda o, t: _binary_crossentropy(loss, o, t)
        case CategoricalCrossentropy():
            return lambda o, t: _categorical_crossentropy(loss, o, t)


def _binary_crossentropy(loss: BinaryCrossentropy, o: Tensor, t: Tensor) -> Tensor:
    smooth = t
    if loss.label_smoothing > 0:
        a = loss.label_smoothing
        smooth = t * tf.constant(1.0 - a, o.dtype) + tf.constant(a / 2, o.dtype)
    elements = tf.nn.sigmoid_cross_entropy_with_logits(labels=smooth, logits=o)
    return _weighted(elements, loss.class_weights, tf.cast(t, tf.int64))


def _categorical_crossentropy(loss: CategoricalCrossentropy, o: Tensor, classes: Tensor) -> Tensor:
    elements = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=o)
    if loss.label_smoothing > 0:
        a, k = loss.label_smoothing, o.shape[-1]
        evenly = tf.reduce_sum(-tf.nn.log_softmax(o), axis=-1)
        elements = tf.constant(1.0 - a, o.dtype) * elements + tf.constant(a / k, o.dtype) * evenly
    return _weighted(elements, loss.class_weights, classes)


def _weighted(elements: Tensor, weights: Sequence[float] | None, classes: Tensor) -> Tensor:
    """Each element times the weight of its class."""
    return (
        elements if weights is None else elements * tf.gather(tf.constant(weights, elements.dtype), classes)
    )


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
