"""The Keras layer of each layer of a job. Defaults of Keras decide nothing: every argument is given."""

from __future__ import annotations

from typing import Any

import keras

from shared.spec.layers import Layer
from shared.spec.layers.attention import MultiHeadAttention
from shared.spec.layers.basic import ActivationLayer, Dense, Dropout, Flatten, Reshape
from shared.spec.layers.convolution import Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D
from shared.spec.layers.merging import Add, Concatenate
from shared.spec.layers.normalization import BatchNorm, LayerNorm
from shared.spec.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling,
    GlobalMaxPooling,
    MaxPooling1D,
    MaxPooling2D,
)
from shared.spec.layers.recurrent import Bidirectional, Embedding, Gru, Lstm, SimpleRnn
from worker.adapters.tensorflow_adapter.activations import PLAIN, activation_function
from worker.adapters.tensorflow_adapter.attention import Attention
from worker.adapters.tensorflow_adapter.convolution import Convolution, channels_first, convolution, pooling
from worker.adapters.tensorflow_adapter.normalization import UnbiasedBatchNormalization

_BATCH_NORMS = {"biased": keras.layers.BatchNormalization, "unbiased": UnbiasedBatchNormalization}
_GLOBAL_POOLS = {
    (GlobalAveragePooling, 1): keras.layers.GlobalAveragePooling1D,
    (GlobalAveragePooling, 2): keras.layers.GlobalAveragePooling2D,
    (GlobalMaxPooling, 1): keras.layers.GlobalMaxPooling1D,
    (GlobalMaxPooling, 2): keras.layers.GlobalMaxPooling2D,
}


def keras_layer(  # noqa: PLR0911, PLR0912 -- one a layer type
    layer: Layer, shape: tuple[int, ...], *_others: tuple[int, ...], precision: str, initializers: bool
) -> Any:
    """The Keras layer for inputs of these shapes, not yet built; None for dropout, whose masks are given.

    `initializers` is whether the weights start at Keras's own defaults; else they are to be assigned.
    """
    zeros = {} if initializers else {"kernel_initializer": "zeros"}
    match layer:
        case Dense():
            return keras.layers.Dense(layer.units, **_affine(layer), **zeros, dtype=precision)
        case Flatten(order="channels_last"):
            return keras.layers.Flatten(dtype=precision)
        case Flatten():
            return channels_first
        case Reshape():
            return keras.layers.Reshape(layer.target_shape, dtype=precision)
        case ActivationLayer():
            return keras.layers.Activation(activation_function(layer.activation), dtype=precision)
        case Dropout():
            return None
        case Conv1D() | Conv2D() | DepthwiseConv2D() | Conv2DTranspose():
            options = _affine(layer) | {"dtype": precision}
            return convolution(layer, shape, initializers=initializers, **options)
        case MaxPooling1D() | MaxPooling2D() | AveragePooling1D() | AveragePooling2D():
            return pooling(layer, shape, precision=precision)
        case GlobalAveragePooling() | GlobalMaxPooling():
            make = _GLOBAL_POOLS[type(layer), len(shape) - 1]
            return make(data_format="channels_last", dtype=precision)
        case LayerNorm():
            return keras.layers.LayerNormalization(epsilon=layer.epsilon, dtype=precision)
        case BatchNorm():
            make = _BATCH_NORMS[layer.moving_variance]
            return make(momentum=layer.momentum, epsilon=layer.epsilon, dtype=precision)
        case Embedding():
            given = {} if initializers else {"embeddings_initializer": "zeros"}
            return keras.layers.Embedding(layer.input_dim, layer.output_dim, **given, dtype=precision)
        case SimpleRnn() | Lstm() | Gru():
            return _recurrent(layer, precision, initializers=initializers)
        case Bidirectional():
            inner = _recurrent(layer.layer, precision, initializers=initializers)
            return keras.layers.Bidirectional(inner, merge_mode="concat", dtype=precision)
        case MultiHeadAttention():
            return Attention(layer, precision=precision, initializers=initializers)
        case Add():
            return keras.layers.Add(dtype=precision)
        case Concatenate():
            return keras.layers.Concatenate(axis=-1, dtype=precision)
    raise TypeError(f"no Keras layer for {layer.type}")


def _recurrent(layer: SimpleRnn | Lstm | Gru, precision: str, *, initializers: bool) -> Any:
    zeros = {} if initializers else {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    common = {
        "units": layer.units,
        "use_bias": layer.use_bias,
        "return_sequences": layer.return_sequences,
        "dtype": precision,
        **zeros,
    }
    match layer:
        case SimpleRnn():
            return keras.layers.SimpleRNN(activation=PLAIN[layer.activation], **common)
        case Lstm():
            return keras.layers.LSTM(**common)
        case Gru():
            return keras.layers.GRU(reset_after=layer.reset_after, **common)


def _affine(layer: Dense | Convolution) -> dict[str, Any]:
    activation = activation_function(layer.activation) if layer.activation.type != "linear" else None
    return {"activation": activation, "use_bias": layer.use_bias}
