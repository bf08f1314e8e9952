"""The formulas of `shared.spec.optimizer`, one TensorFlow operation at a time.

Every constant arrives as a tensor of the run's precision: TensorFlow would take a Python number
through float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from shared.spec.optimizer import Adam, AdamW, Optimizer, RmsProp, Sgd
from worker.constants import fixed_constants

Tensor = Any
Variable = Any
Constants = Mapping[str, Tensor]


class Updater:
    """Changes the variables by their gradients; holds the optimizer's state."""

    def __init__(self, optimizer: Optimizer, variables: Sequence[Variable], *, precision: str) -> None:
        self._optimizer = optimizer
        self._variables = list(variables)
        self._fixed = {
            name: tf.constant(value, precision) for name, value in fixed_constants(optimizer).items()
        }
        self._slots = [
            [tf.Variable(tf.zeros_like(variable), trainable=False) for _ in range(_slot_count(optimizer))]
            for variable in self._variables
        ]

    def apply(self, gradients: Sequence[Tensor], changing: Constants) -> None:
        """One update; `changing` has this update's scalars of `worker.constants.update_constants`."""
        c = {**self._fixed, **changing}
        clipped = clip(self._optimizer, gradients)
        for w, g, slots in zip(self._variables, clipped, self._slots, strict=True):
            if isinstance(self._optimizer, AdamW):
                w.assign_sub(c["decay"] * w)
            elif self._optimizer.weight_decay > 0:
                g = g + c["weight_decay"] * w  # noqa: PLW2901 -- the penalty's gradient joins g
            match self._optimizer:
                case Sgd():
                    _sgd(w, g, slots, c, nesterov=self._optimizer.nesterov)
                case Adam() | AdamW():
                    _adam(w, g, slots, c)
                case RmsProp():
                    _rmsprop(w, g, slots, c)


def _slot_count(optimizer: Optimizer) -> int:
    match optimizer:
        case Sgd():
            return 1 if optimizer.momentum > 0 else 0
        case RmsProp():
            return 2 if optimizer.momentum > 0 else 1
        case _:
            return 2


def _sgd(w: Variable, g: Tensor, slots: list[Variable], c: Constants, *, nesterov: bool) -> None:
    step = c["learning_rate"] * g
    if not slots:
        w.assign_sub(step)
        return
    v = slots[0].assign(c["momentum"] * slots[0] - step)
    w.assign_add(c["momentum"] * v - step if nesterov else v)


def _adam(w: Variable, g: Tensor, slots: list[Variable], c: Constants) -> None:
    m = slots[0].assign_add(c["one_minus_beta_1"] * (g - slots[0]))
    v = slots[1].assign_add(c["one_minus_beta_2"] * (g * g - slots[1]))
    w.assign_sub(c["step_size"] * m / (tf.sqrt(v) / c["root_correction"] + c["epsilon"]))


def _rmsprop(w: Variable, g: Tensor, slots: list[Variable], c: Constants) -> None:
    v = slots[0].assign_add(c["one_minus_rho"] * (g * g - slots[0]))
    u = g / (tf.sqrt(v) + c["epsilon"])
    if len(slots) == 2:
        u = slots[1].assign(c["momentum"] * slots[1] + u)
    w.assign_sub(c["learning_rate"] * u)


def clip(optimizer: Optimizer, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients after the optimizer's clipping."""
    if optimizer.clip_value is not None:
        bounds = [tf.constant(optimizer.clip_value, g.dtype) for g in gradients]
        return [tf.clip_by_value(g, -c, c) for g, c in zip(gradients, bounds, strict=True)]
    squares = (tf.reduce_sum(g * g) for g in gradients)
    if optimizer.clip_norm is not None:
        limit = optimizer.clip_norm
        return [g * _factor(limit, square) for g, square in zip(gradients, squares, strict=True)]
    if optimizer.global_clip_norm is not None and gradients:
        factor = _factor(optimizer.global_clip_norm, tf.add_n(list(squares)))
        return [g * factor for g in gradients]
    return list(gradients)


def _factor(limit: float, square: Tensor) -> Tensor:
    """min(1, limit/√square); a gradient of zeros stays."""
    one, bound = tf.constant(1.0, square.dtype), tf.constant(limit, square.dtype)
    return tf.minimum(one, bound / tf.sqrt(square))
