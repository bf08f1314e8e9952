"""The formulas of `shared.spec.optimizer`, one TensorFlow operation at a time.

Every constant arrives as a tensor of the run's precision: TensorFlow would take a Python number
through float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from shared.spec.optimizer import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    Optimizer,
    RmsProp,
    Sgd,
)
from worker.constants import fixed_constants, slot_starts

Tensor = Any
Variable = Any
Constants = Mapping[str, Tensor]
Slots = Mapping[str, Variable]


class Updater:
    """Changes the variables by their gradients; holds the optimizer's state."""

    def __init__(self, optimizer: Optimizer, variables: Sequence[Variable], *, precision: str) -> None:
        self._optimizer = optimizer
        self._variables = list(variables)
        self._fixed = {
            name: tf.constant(value, precision) for name, value in fixed_constants(optimizer).items()
        }
        self._slots = [
            {
                name: tf.Variable(tf.fill(variable.shape, tf.constant(start, precision)), trainable=False)
                for name, start in slot_starts(optimizer).items()
            }
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
                case Adamax():
                    _adamax(w, g, slots, c)
                case Nadam():
                    _nadam(w, g, slots, c)
                case RmsProp():
                    _rmsprop(w, g, slots, c)
                case Adagrad():
                    _adagrad(w, g, slots, c)
                case Adadelta():
                    _adadelta(w, g, slots, c)


def _sgd(w: Variable, g: Tensor, slots: Slots, c: Constants, *, nesterov: bool) -> None:
    step = c["learning_rate"] * g
    if "v" not in slots:
        w.assign_sub(step)
        return
    v = slots["v"].assign(c["momentum"] * slots["v"] - step)
    w.assign_add(c["momentum"] * v - step if nesterov else v)


def _adam(w: Variable, g: Tensor, slots: Slots, c: Constants) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    v = _follow(slots["v"], g * g, c["one_minus_beta_2"])
    if "h" in slots:
        v = slots["h"].assign(tf.maximum(slots["h"], v))
    w.assign_sub(c["step_size"] * m / (tf.sqrt(v) / c["root_correction"] + c["epsilon"]))


def _adamax(w: Variable, g: Tensor, slots: Slots, c: Constants) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    u = slots["u"].assign(tf.maximum(c["beta_2"] * slots["u"], tf.abs(g)))
    w.assign_sub(c["step_size"] * m / (u + c["epsilon"]))


def _nadam(w: Variable, g: Tensor, slots: Slots, c: Constants) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    v = _follow(slots["v"], g * g, c["one_minus_beta_2"])
    step = c["moment_size"] * m + c["gradient_size"] * g
    w.assign_sub(step / (tf.sqrt(v) / c["root_correction"] + c["epsilon"]))


def _rmsprop(w: Variable, g: Tensor, slots: Slots, c: Constants) -> None:
    if "a" in slots:
        d = g - slots["a"]
        slots["a"].assign_add(c["one_minus_rho"] * d)
        v = slots["v"].assign(c["rho"] * (slots["v"] + c["one_minus_rho"] * (d * d)))
    else:
        v = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = g / (tf.sqrt(v) + c["epsilon"])
    if "b" in slots:
        u = slots["b"].assign(c["momentum"] * slots["b"] + u)
    w.assign_sub(c["learning_rate"] * u)


def _adagrad(w: Variable, g: Tensor, slots: Slots, c: Constants) -> None:
    v = slots["v"].assign_add(g * g)
    w.assign_sub(c["learning_rate"] * (g / (tf.sqrt(v) + c["epsilon"])))


def _adadelta(w: Variable, g: Tensor, slots: Slots, c: Constants) -> None:
    v = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = tf.sqrt(slots["d"] + c["epsilon"]) / tf.sqrt(v + c["epsilon"]) * g
    _follow(slots["d"], u * u, c["one_minus_rho"])
    w.assign_sub(c["learning_rate"] * u)


def _follow(slot: Variable, value: Tensor, share: Tensor) -> Tensor:
    """A moving average's next value: slot ← slot + share·(value − slot)."""
    return slot.assign_add(share * (value - slot))


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
