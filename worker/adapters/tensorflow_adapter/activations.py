"""The activation functions of `shared.job.activations` in TensorFlow operations.

Those whose constants TensorFlow would pass through float32 (leaky ReLU's slope, GELU's √2), or whose
exp(x) − 1 loses digits near 0 (ELU, SELU), are written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from likewise.shared.job.activations import Activation, Softmax

Tensor = Any


def _constant(value: float, x: Tensor) -> Tensor:
    return tf.constant(value, x.dtype)


def _leaky_relu(x: Tensor, *, negative_slope: float) -> Tensor:
    return tf.where(x > 0, x, _constant(negative_slope, x) * x)


def _clipped_relu(x: Tensor, *, max_value: float | None, negative_slope: float, threshold: float) -> Tensor:
    begins = _constant(threshold, x)
    leaks = tf.where(x > begins, x, _constant(negative_slope, x) * (x - begins))
    return leaks if max_value is None else tf.where(x < max_value, leaks, _constant(max_value, x))


def _softmin(x: Tensor, *, axis: int) -> Tensor:
    return tf.nn.softmax(-x, axis=axis)


def _elu(x: Tensor, *, alpha: float) -> Tensor:
    # minimum keeps the branch not taken finite, so that its gradient is 0 and not NaN
    return tf.where(x < 0, _constant(alpha, x) * tf.math.expm1(tf.minimum(x, _constant(0.0, x))), x)


def _selu(x: Tensor) -> Tensor:
    return _constant(1.0507009873554805, x) * _elu(x, alpha=1.6732632423543772)


def _gelu(x: Tensor) -> Tensor:
    one, half, root = _constant(1.0, x), _constant(0.5, x), _constant(math.sqrt(0.5), x)
    return half * x * (one + tf.math.erf(x * root))


def _gelu_tanh(x: Tensor) -> Tensor:
    one, half, root = _constant(1.0, x), _constant(0.5, x), _constant(math.sqrt(2 / math.pi), x)
    return half * x * (one + tf.tanh(root * (x + _constant(0.044715, x) * x * x * x)))


def _mish(x: Tensor) -> Tensor:
    return x * tf.tanh(tf.nn.softplus(x))


def _celu(x: Tensor, *, alpha: float) -> Tensor:
    alpha = _constant(alpha, x)
    return tf.where(x < 0, alpha * tf.math.expm1(tf.minimum(x, _constant(0.0, x)) / alpha), x)


def _hard_sigmoid(x: Tensor, *, slope: float) -> Tensor:
    line = _constant(slope, x) * x + _constant(0.5, x)
    return tf.clip_by_value(line, _constant(0.0, x), _constant(1.0, x))


def _hard_silu(x: Tensor) -> Tensor:
    return x * _hard_sigmoid(x, slope=1 / 6)


def _softplus(x: Tensor, *, beta: float) -> Tensor:
    if beta == 1:
        return tf.nn.softplus(x)
    return tf.nn.softplus(_constant(beta, x) * x) / _constant(beta, x)


def _hard_tanh(x: Tensor, *, min_value: float, max_value: float) -> Tensor:
    low, high = _constant(min_value, x), _constant(max_value, x)
    return tf.where(x <= low, low, tf.where(x < high, x, high))


def _soft_shrink(x: Tensor, *, threshold: float) -> Tensor:
    threshold = _constant(threshold, x)
    return tf.where(tf.abs(x) > threshold, x - threshold * tf.sign(x), _constant(0.0, x))


def _hard_shrink(x: Tensor, *, threshold: float) -> Tensor:
    return tf.where(tf.abs(x) > _constant(threshold, x), x, _constant(0.0, x))


def _threshold(x: Tensor, *, threshold: float, value: float) -> Tensor:
    return tf.where(x > _constant(threshold, x), x, _constant(value, x))


def _squareplus(x: Tensor, *, b: float) -> Tensor:
    return _constant(0.5, x) * (x + tf.sqrt(x * x + _constant(b, x)))


def _sparse_plus(x: Tensor) -> Tensor:
    line = tf.maximum(x, _constant(-1.0, x)) + _constant(1.0, x)
    return tf.where(x < 1, _constant(0.25, x) * line * line, x)


def _sparse_sigmoid(x: Tensor) -> Tensor:
    one = _constant(1.0, x)
    return tf.where(tf.abs(x) < 1, _constant(0.5, x) * (x + one), tf.cast(x > 0, x.dtype))


def _sparsemax(x: Tensor, *, sums: str) -> Tensor:
    one = _constant(1.0, x)
    largest = tf.sort(x, axis=-1, direction="DESCENDING")
    cumulative = tf.cumsum(largest, axis=-1)
    taken = largest > (cumulative - one) / tf.range(1, x.shape[-1] + 1, dtype=x.dtype)
    of_taken = tf.where(taken, cumulative if sums == "cumulative" else largest, _constant(0.0, x))
    added = tf.reduce_sum(of_taken, axis=-1, keepdims=True)
    return tf.nn.relu(x - (added - one) / tf.reduce_sum(tf.cast(taken, x.dtype), axis=-1, keepdims=True))


def activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """Return the function with its settings."""
    settings = activation.model_dump(exclude={"type"})
    if isinstance(activation, Softmax):
        return partial(_SOFTMAX[activation.type], axis=activation.axis)
    return partial(_WITH_SETTINGS[activation.type], **settings) if settings else PLAIN[activation.type]


_SOFTMAX: dict[str, Callable[..., Tensor]] = {
    "softmax": tf.nn.softmax,
    "log_softmax": tf.nn.log_softmax,
    "softmin": _softmin,
}

_WITH_SETTINGS: dict[str, Callable[..., Tensor]] = {
    "leaky_relu": _leaky_relu,
    "clipped_relu": _clipped_relu,
    "elu": _elu,
    "celu": _celu,
    "hard_sigmoid": _hard_sigmoid,
    "softplus": _softplus,
    "hard_tanh": _hard_tanh,
    "soft_shrink": _soft_shrink,
    "hard_shrink": _hard_shrink,
    "threshold": _threshold,
    "squareplus": _squareplus,
    "sparsemax": _sparsemax,
}

PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": tf.identity,
    "relu": tf.nn.relu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": tf.nn.silu,
    "softsign": tf.nn.softsign,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "mish": _mish,
    "relu6": tf.nn.relu6,
    "hard_silu": _hard_silu,
    "log_sigmoid": lambda x: -tf.nn.softplus(-x),
    "tanh_shrink": lambda x: x - tf.tanh(x),
    "exponential": tf.exp,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
}
