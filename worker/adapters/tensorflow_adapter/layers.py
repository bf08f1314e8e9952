"""The Keras layer of each layer of a job. Defaults of Keras decide nothing: every argument is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from shared.job.layers.basic import Dense
from shared.job.layers.recurrent import Gru, Lstm, SimpleRnn
from shared.program import Stage
from worker.adapters.errors import UnsupportedError
from worker.adapters.tensorflow_adapter.activations import PLAIN, activation_function
from worker.adapters.tensorflow_adapter.attention import Attention
from worker.adapters.tensorflow_adapter.convolution import Convolution, channels_first, convolution, pooling
from worker.adapters.tensorflow_adapter.normalization import UnbiasedBatchNormalization

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Built:
    """What every layer is built with."""

    precision: str
    initializers: bool
    """Whether the weights start at Keras's own defaults; else they are to be assigned."""

    def zeros(self, *names: str) -> dict[str, str]:
        """Return these initializers as zeros, unless Keras's own are wanted."""
        return {} if self.initializers else {f"{name}_initializer": "zeros" for name in names}


def keras_layer(stage: Stage, *, precision: str, initializers: bool) -> Any:
    """Return the Keras layer of a stage, not yet built; None for dropout, whose masks are given.

    `initializers` is whether the weights start at Keras's own defaults; else they are to be assigned.
    Raises UnsupportedError for a kind that has no line in the table.
    """
    if stage.kind not in _LAYERS:
        raise UnsupportedError(f"TensorFlow has no layer for {stage.kind}")
    built = _Built(precision=precision, initializers=initializers)
    return _LAYERS[stage.kind](stage.layer, stage.inputs[0], built)


def _dense(layer: Dense, _: Shape, built: _Built) -> Any:
    return keras.layers.Dense(layer.units, **_affine(layer), **built.zeros("kernel"), dtype=built.precision)


def _flatten(layer: Any, _: Shape, built: _Built) -> Any:
    return keras.layers.Flatten(dtype=built.precision) if layer.order == "channels_last" else channels_first


def _convolution(layer: Convolution, shape: Shape, built: _Built) -> Any:
    options = _affine(layer) | {"dtype": built.precision}
    return convolution(layer, shape, initializers=built.initializers, **options)


def _pooling(layer: Any, shape: Shape, built: _Built) -> Any:
    return pooling(layer, shape, precision=built.precision)


def _global_average(_: Any, shape: Shape, built: _Built) -> Any:
    kinds = (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D)
    return kinds[len(shape) - 2](data_format="channels_last", dtype=built.precision)


def _global_max(_: Any, shape: Shape, built: _Built) -> Any:
    kinds = (keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D)
    return kinds[len(shape) - 2](data_format="channels_last", dtype=built.precision)


def _batch_norm(layer: Any, _: Shape, built: _Built) -> Any:
    kinds = {"biased": keras.layers.BatchNormalization, "unbiased": UnbiasedBatchNormalization}
    return kinds[layer.moving_variance](momentum=layer.momentum, epsilon=layer.epsilon, dtype=built.precision)


def _embedding(layer: Any, _: Shape, built: _Built) -> Any:
    return keras.layers.Embedding(
        layer.input_dim, layer.output_dim, **built.zeros("embeddings"), dtype=built.precision
    )


def _recurrent(layer: SimpleRnn | Lstm | Gru, _: Shape, built: _Built) -> Any:
    common = {
        "units": layer.units,
        "use_bias": layer.use_bias,
        "return_sequences": layer.return_sequences,
        "dtype": built.precision,
        **built.zeros("kernel", "recurrent"),
    }
    match layer:
        case SimpleRnn():
            return keras.layers.SimpleRNN(activation=PLAIN[layer.activation], **common)
        case Lstm():
            return keras.layers.LSTM(**common)
        case Gru():
            return keras.layers.GRU(reset_after=layer.reset_after, **common)


def _bidirectional(layer: Any, shape: Shape, built: _Built) -> Any:
    inner = _recurrent(layer.layer, shape, built)
    return keras.layers.Bidirectional(inner, merge_mode="concat", dtype=built.precision)


def _affine(layer: Dense | Convolution) -> dict[str, Any]:
    activation = activation_function(layer.activation) if layer.activation.type != "linear" else None
    return {"activation": activation, "use_bias": layer.use_bias}


_LAYERS: dict[str, Callable[[Any, Shape, _Built], Any]] = {
    "dense": _dense,
    "flatten": _flatten,
    "reshape": lambda layer, _, built: keras.layers.Reshape(layer.target_shape, dtype=built.precision),
    "permute": lambda layer, _, built: keras.layers.Permute(layer.dims, dtype=built.precision),
    "activation": lambda layer, _, built: keras.layers.Activation(
        activation_function(layer.activation), dtype=built.precision
    ),
    "dropout": lambda *_: None,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "depthwise_conv2d": _convolution,
    "conv2d_transpose": _convolution,
    "max_pooling1d": _pooling,
    "max_pooling2d": _pooling,
    "average_pooling1d": _pooling,
    "average_pooling2d": _pooling,
    "global_average_pooling": _global_average,
    "global_max_pooling": _global_max,
    "layer_norm": lambda layer, _, built: keras.layers.LayerNormalization(
        epsilon=layer.epsilon, dtype=built.precision
    ),
    "batch_norm": _batch_norm,
    "embedding": _embedding,
    "simple_rnn": _recurrent,
    "lstm": _recurrent,
    "gru": _recurrent,
    "bidirectional": _bidirectional,
    "multi_head_attention": lambda layer, _, built: Attention(
        layer, precision=built.precision, initializers=built.initializers
    ),
    "add": lambda _layer, _, built: keras.layers.Add(dtype=built.precision),
    "concatenate": lambda _layer, _, built: keras.layers.Concatenate(axis=-1, dtype=built.precision),
}
"""The layer of each kind, for an input of a shape."""
