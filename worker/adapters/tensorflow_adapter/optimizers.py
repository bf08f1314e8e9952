"""The formulas of `shared.job.optimizer` as pure functions, one TensorFlow operation at a time.

Numbers never come from the optimizer itself, only its formula does: every constant arrives as a tensor
of the run's precision (TensorFlow would take a Python number through float32), so that one compiled
program serves every learning rate and every beta.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from likewise.shared.job.optimizer import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    Optimizer,
    RmsProp,
    Sgd,
    is_decoupled,
)

Tensor = Any
Constants = Mapping[str, Tensor]
Slots = Mapping[str, Tensor]
Updated = tuple[Tensor, dict[str, Tensor]]
"""Weights and their slots after an update."""


def update(  # noqa: PLR0911 -- one return a formula
    optimizer: Optimizer, *, weights: Tensor, gradient: Tensor, slots: Slots, constants: Constants
) -> Updated:
    """Return the weights (values,) and the slots like them after one update, from a gradient that is clipped.

    `constants` has the scalars of `worker.adapters.constants`, those of this update and the fixed ones, and
    the constants by weight (values,).
    """
    w, g, c = weights, gradient, constants
    if is_decoupled(optimizer):
        w = w - (c["decay"] * c["decays"] if "decays" in c else c["decay"]) * w
    elif optimizer.weight_decay > 0:
        g = g + (c["weight_decay"] * c["decays"] if "decays" in c else c["weight_decay"]) * w
    match optimizer:
        case Sgd():
            return _sgd(w, g, slots, c, nesterov=optimizer.nesterov)
        case Adam() | AdamW():
            return _adam(w, g, slots, c)
        case Adamax():
            return _adamax(w, g, slots, c, inside=optimizer.epsilon_placement == "inside")
        case Nadam():
            return _nadam(w, g, slots, c)
        case RmsProp():
            return _rmsprop(w, g, slots, c, inside=optimizer.epsilon_placement == "inside")
        case Adagrad():
            return _adagrad(w, g, slots, c, inside=optimizer.epsilon_placement == "inside")
        case Adadelta():
            return _adadelta(w, g, slots, c)


def penalized(loss: Tensor, gradient: Tensor, weights: Tensor, constants: Constants) -> tuple[Tensor, Tensor]:
    """Return a batch's loss and gradient (values,) with the regularizers' penalty, where there is any.

    The gradient of a weight that does not follow it is zero.
    """
    if "follows" in constants:
        gradient = gradient * constants["follows"]
    if "l2" not in constants:
        return loss, gradient
    part = constants["l2"] * weights
    size = constants["l1"] * tf.abs(weights)
    penalty = tf.reduce_sum(part * weights + size)
    return loss + penalty, gradient + (part + part + constants["l1"] * tf.sign(weights))


def _sgd(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, nesterov: bool) -> Updated:
    if "b" in slots:
        b = c["momentum"] * slots["b"] + g
        return w - c["learning_rate"] * (g + c["momentum"] * b if nesterov else b), {"b": b}
    step = c["learning_rate"] * g
    if "v" not in slots:
        return w - step, {}
    v = c["momentum"] * slots["v"] - step
    return w + (c["momentum"] * v - step if nesterov else v), {"v": v}


def _adam(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> Updated:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    v = _follow(slots["v"], g * g, c["one_minus_beta_2"])
    after = {"m": m, "v": v}
    if "h" in slots:
        v = after["h"] = tf.maximum(slots["h"], v)
    return w - c["step_size"] * m / (_corrected_root(v, c) + c["epsilon"]), after


def _adamax(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, inside: bool) -> Updated:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    size = tf.abs(g) + c["epsilon"] if inside else tf.abs(g)
    u = tf.maximum(c["beta_2"] * slots["u"], size)
    return w - c["step_size"] * m / (u if inside else u + c["epsilon"]), {"m": m, "u": u}


def _nadam(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> Updated:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    v = _follow(slots["v"], g * g, c["one_minus_beta_2"])
    step = c["moment_size"] * m + c["gradient_size"] * g
    return w - step / (_corrected_root(v, c) + c["epsilon"]), {"m": m, "v": v}


def _rmsprop(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, inside: bool) -> Updated:
    after = {}
    if "a" in slots:
        d = g - slots["a"]
        after["a"] = slots["a"] + c["one_minus_rho"] * d
        v = after["v"] = c["rho"] * (slots["v"] + c["one_minus_rho"] * (d * d))
    else:
        v = after["v"] = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = g / _root(v, c, inside=inside)
    if "s" in slots:
        after["s"] = c["momentum"] * slots["s"] + c["learning_rate"] * u
        return w - after["s"], after
    if "b" in slots:
        u = after["b"] = c["momentum"] * slots["b"] + u
    return w - c["learning_rate"] * u, after


def _adagrad(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, inside: bool) -> Updated:
    v = slots["v"] + g * g
    return w - c["learning_rate"] * (g / _root(v, c, inside=inside)), {"v": v}


def _adadelta(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> Updated:
    v = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = tf.sqrt(slots["d"] + c["epsilon"]) / tf.sqrt(v + c["epsilon"]) * g
    d = _follow(slots["d"], u * u, c["one_minus_rho"])
    return w - c["learning_rate"] * u, {"v": v, "d": d}


def _corrected_root(v: Tensor, c: Constants) -> Tensor:
    """Return √v/[√(1 − β₂ᵗ)], or √v where the correction is in the other constants."""
    return tf.sqrt(v) / c["root_correction"] if "root_correction" in c else tf.sqrt(v)


def _root(v: Tensor, c: Constants, *, inside: bool) -> Tensor:
    """Return √(v + ε), or √v + ε."""
    return tf.sqrt(v + c["epsilon"]) if inside else tf.sqrt(v) + c["epsilon"]


def _follow(slot: Tensor, value: Tensor, share: Tensor) -> Tensor:
    """Return a moving average's next value: slot + share·(value − slot)."""
    return slot + share * (value - slot)


def clip(optimizer: Optimizer, gradients: Sequence[Tensor], constants: Constants) -> list[Tensor]:
    """Return the gradients after the optimizer's clipping."""
    if optimizer.clip_value is not None:
        bound = constants["clip_value"]
        return [tf.clip_by_value(g, -bound, bound) for g in gradients]
    squares = (tf.reduce_sum(g * g) for g in gradients)
    if optimizer.clip_norm is not None:
        bound = constants["clip_norm"]
        return [g * _factor(bound, square, constants) for g, square in zip(gradients, squares, strict=True)]
    if optimizer.global_clip_norm is not None and gradients:
        factor = _factor(constants["global_clip_norm"], tf.add_n(list(squares)), constants)
        return [g * factor for g in gradients]
    return list(gradients)


def _factor(bound: Tensor, square: Tensor, constants: Constants) -> Tensor:
    """Return min(1, bound/(√square + δ)); a gradient of zeros stays."""
    return tf.minimum(tf.constant(1.0, square.dtype), bound / (tf.sqrt(square) + constants["clip_epsilon"]))
