"""What keeps a weight within bounds after an update: the formulas of `shared.job.regularizers`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from likewise.shared.job.regularizers import (
    NORM_EPSILON,
    Constraint,
    MaxNorm,
    MinMaxNorm,
    NonNeg,
    UnitNorm,
)

Tensor = Any


def constrained(constraint: Constraint | None, w: Tensor) -> Tensor:
    """Return a weight as its constraint has it; without one as it is."""
    if constraint is None:
        return w

    def number(value: float) -> Tensor:
        return tf.constant(value, w.dtype)  # a Python number would go through float32

    if isinstance(constraint, NonNeg):
        return tf.maximum(w, number(0.0))
    norms = tf.sqrt(tf.reduce_sum(w * w, axis=constraint.axes, keepdims=True))
    match constraint:
        case UnitNorm():
            return w / (norms + number(NORM_EPSILON))
        case MaxNorm():
            wanted = tf.minimum(norms, number(constraint.max_value))
        case MinMaxNorm():
            within = tf.minimum(tf.maximum(norms, number(constraint.min_value)), number(constraint.max_value))
            wanted = number(constraint.rate) * within + number(1.0 - constraint.rate) * norms
    return w * (wanted / (norms + number(NORM_EPSILON)))
