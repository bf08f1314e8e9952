"""The activation functions of `worker.adapters.base` in TensorFlow operations.

Those whose constants TensorFlow would pass through float32 (leaky ReLU's slope, GELU's √2), or whose
exp(x) − 1 loses digits near 0 (ELU, SELU), are written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensor = Any


def _constant(value: float, x: Tensor) -> Tensor:
    return tf.constant(value, x.dtype)


def _leaky_relu(x: Tensor) -> Tensor:
    return tf.where(x > 0, x, _constant(0.2, x) * x)


def _elu(x: Tensor) -> Tensor:
    # minimum keeps the branch not taken finite, so that its gradient is 0 and not NaN
    return tf.where(x < 0, tf.math.expm1(tf.minimum(x, _constant(0.0, x))), x)


def _selu(x: Tensor) -> Tensor:
    below = _constant(1.6732632423543772, x) * tf.math.expm1(tf.minimum(x, _constant(0.0, x)))
    return _constant(1.0507009873554805, x) * tf.where(x < 0, below, x)


def _gelu(x: Tensor) -> Tensor:
    one, half, root = _constant(1.0, x), _constant(0.5, x), _constant(math.sqrt(0.5), x)
    return half * x * (one + tf.math.erf(x * root))


def _gelu_tanh(x: Tensor) -> Tensor:
    one, half, root = _constant(1.0, x), _constant(0.5, x), _constant(math.sqrt(2 / math.pi), x)
    return half * x * (one + tf.tanh(root * (x + _constant(0.044715, x) * x * x * x)))


def _mish(x: Tensor) -> Tensor:
    return x * tf.tanh(tf.nn.softplus(x))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": tf.identity,
    "relu": tf.nn.relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": tf.nn.silu,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "softmax": tf.nn.softmax,
    "mish": _mish,
}
