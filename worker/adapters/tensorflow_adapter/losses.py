"""The formulas of `shared.spec.loss` in TensorFlow operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from shared.spec.loss import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)

Tensor = Any
LossFunction = Callable[[Tensor, Tensor], Tensor]


def loss_function(loss: Loss) -> LossFunction:
    """(outputs, targets) → the batch's loss, a scalar in the outputs' dtype."""
    elements = _elements(loss)
    reduce = tf.reduce_mean if loss.reduction == "mean" else tf.reduce_sum
    return lambda outputs, targets: reduce(elements(outputs, targets))


def _elements(loss: Loss) -> LossFunction:
    match loss:
        case MeanSquaredError():
            return lambda o, t: tf.square(o - t)
        case MeanAbsoluteError():
            return lambda o, t: tf.abs(o - t)
        case Huber(delta=delta):
            return lambda o, t: _huber(o - t, tf.constant(delta, o.dtype))
        case BinaryCrossentropy():
            return lambda o, t: tf.nn.sigmoid_cross_entropy_with_logits(labels=t, logits=o)
        case CategoricalCrossentropy():
            return lambda o, t: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=t, logits=o)


def _huber(error: Tensor, delta: Tensor) -> Tensor:
    half = tf.constant(0.5, error.dtype)
    size = tf.abs(error)
    return tf.where(size <= delta, half * error * error, delta * (size - half * delta))
