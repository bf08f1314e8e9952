"""Layers and activations in Keras; weight names and layouts need no conversion, they are Keras's own.

Activations whose constants TensorFlow would pass through float32 (leaky ReLU's slope, GELU's √2), or
whose exp(x) − 1 loses digits near 0 (ELU, SELU), are written out in TensorFlow operations.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from shared.spec.model import ActivationLayer, Dense, Dropout, Flatten, Model
from worker.adapters.base import Weights
from worker.adapters.shapes import check_weights

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


class Network:
    """The model's layers with their variables, applied one after another."""

    def __init__(
        self, model: Model, *, input_shape: tuple[int, ...], precision: str, initializers: bool
    ) -> None:
        """Build every layer; `initializers` false leaves the weights at zero, to be assigned."""
        self._layers: list[tuple[str, Any, Any]] = []
        self.variables: dict[str, Any] = {}
        shape: tuple[int | None, ...] = (None, *input_shape)
        for index, layer in enumerate(model.layers):
            path = model.layer_path(index)
            built = _keras_layer(layer, precision, initializers)
            if built is not None:
                built.build(shape)
                shape = tuple(built.compute_output_shape(shape))
            if isinstance(layer, Dense):
                self.variables[f"{path}.kernel"] = built.kernel.value
                if layer.use_bias:
                    self.variables[f"{path}.bias"] = built.bias.value
            self._layers.append((path, layer, built))
        self.input_shape = input_shape
        self.output_shape = tuple(size for size in shape[1:] if size is not None)

    def __call__(self, x: Tensor, masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """The outputs for x (b, *input_shape); in training with a mask for each dropout layer."""
        for path, layer, built in self._layers:
            if built is not None:
                x = built(x)
            elif masks is not None and layer.rate > 0:
                x = x * tf.ensure_shape(masks[path], x.shape)
        return x

    def weights(self) -> Weights:
        """A copy of the weights."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def load(self, weights: Weights) -> None:
        """Replace the weights; raises BadShapeError where they do not fit."""
        check_weights({name: tuple(variable.shape) for name, variable in self.variables.items()}, weights)
        for name, variable in self.variables.items():
            variable.assign(weights[name])


def _keras_layer(layer: Any, precision: str, initializers: bool) -> Any:
    """The Keras layer, or None for dropout, whose masks come from outside."""
    match layer:
        case Dense():
            given = {} if initializers else {"kernel_initializer": "zeros"}
            return keras.layers.Dense(
                layer.units,
                activation=ACTIVATIONS[layer.activation] if layer.activation != "linear" else None,
                use_bias=layer.use_bias,
                dtype=precision,
                **given,
            )
        case Flatten():
            return keras.layers.Flatten(dtype=precision)
        case ActivationLayer():
            return keras.layers.Activation(ACTIVATIONS[layer.activation], dtype=precision)
        case Dropout():
            return None
    raise TypeError(f"no Keras layer for {layer.type}")


def default_weights(model: Model, *, input_shape: tuple[int, ...], precision: str, seed: int) -> Weights:
    """What `keras.utils.set_random_seed(seed)` and Keras's default initializers give.

    Keras's initializers take their seeds from Python's generator, which is put back afterwards.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        network = Network(model, input_shape=input_shape, precision=precision, initializers=True)
    finally:
        random.setstate(state)
    return network.weights()
