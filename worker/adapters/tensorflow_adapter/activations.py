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

from likewise.shared.job.activations import Activation, Elu, LeakyRelu

Tensor = Any


def _constant(value: float, x: Tensor) -> Tensor:
    return tf.constant(value, x.dtype)


def _leaky_relu(x: Tensor, *, slope: float) -> Tensor:
    return tf.where(x > 0, x, _constant(slope, x) * x)


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


def activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """Return the function with its settings."""
    match activation:
        case LeakyRelu(negative_slope=slope):
            return partial(_leaky_relu, slope=slope)
        case Elu(alpha=alpha):
            return partial(_elu, alpha=alpha)
        case _:
            return PLAIN[activation.type]


PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": tf.identity,
    "relu": tf.nn.relu,
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
