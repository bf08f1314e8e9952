"""The Keras layer of each kind of stage, and what Keras has not or does otherwise, written out.

Defaults of Keras decide nothing: every argument is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from likewise.shared.job.layers.basic import Dense
from likewise.shared.job.layers.merging import MultiHeadAttention
from likewise.shared.job.layers.recurrent import Bidirectional, Gru, Lstm, SimpleRnn
from likewise.shared.program import Stage
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.common import sinusoids
from likewise.worker.adapters.tensorflow_adapter.activations import PLAIN, activation_function
from likewise.worker.adapters.tensorflow_adapter.convolution import (
    AnyConvolution,
    channels_first,
    convolution,
    pooling,
)
from likewise.worker.adapters.tensorflow_adapter.merging import MERGES
from likewise.worker.adapters.tensorflow_adapter.normalization import (
    by_group,
    gate,
    learned_positions,
    of_unit_length,
    over_axes,
    prelu,
)
from likewise.worker.adapters.tensorflow_adapter.space import SPACES

Shape = tuple[int, ...]
UNSEEN = -1e9
"""The score of a step that is padding. Beside any that counts it comes to nothing."""


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
    if stage.columns is not None:
        return partial(_columns, stage)
    if stage.kind not in _LAYERS:
        raise UnsupportedError(f"TensorFlow has no layer for {stage.kind}")
    built = _Built(precision=precision, initializers=initializers)
    return _LAYERS[stage.kind](stage.layer, stage.inputs[0], built)


def _columns(stage: Stage, x: Tensor) -> Tensor:
    """Return a named input's columns of rows x (b, numbers), in its shape."""
    row = tf.reshape(x, (-1, math.prod(stage.inputs[0])))
    return tf.reshape(row[:, stage.taken], (-1, *stage.output))


def _dense(layer: Dense, _: Shape, built: _Built) -> Any:
    return keras.layers.Dense(layer.units, **_affine(layer), **built.zeros("kernel"), dtype=built.precision)


def _flatten(layer: Any, _: Shape, built: _Built) -> Any:
    return keras.layers.Flatten(dtype=built.precision) if layer.order == "channels_last" else channels_first


def _convolution(layer: AnyConvolution, shape: Shape, built: _Built) -> Any:
    options = _affine(layer) | {"dtype": built.precision}
    return convolution(layer, shape, initializers=built.initializers, **options)


def _pooling(layer: Any, shape: Shape, built: _Built) -> Any:
    return pooling(layer, shape, precision=built.precision)


def _global_pooling(layer: Any, shape: Shape, built: _Built) -> Any:
    kinds = {
        "global_average_pooling": (
            GlobalAverage,
            keras.layers.GlobalAveragePooling2D,
            keras.layers.GlobalAveragePooling3D,
        ),
        "global_max_pooling": (
            keras.layers.GlobalMaxPooling1D,
            keras.layers.GlobalMaxPooling2D,
            keras.layers.GlobalMaxPooling3D,
        ),
    }[layer.type]
    return kinds[len(shape) - 2](data_format="channels_last", dtype=built.precision)


def _layer_norm(layer: Any, shape: Shape, built: _Built) -> Any:
    if layer.places(shape) == (len(shape) - 1,):
        return keras.layers.LayerNormalization(epsilon=layer.epsilon, dtype=built.precision)
    return over_axes(layer, shape, precision=built.precision)


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
        "zero_output_for_mask": layer.return_sequences and layer.zero_output_for_mask,
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


def _affine(layer: Dense | AnyConvolution) -> dict[str, Any]:
    activation = activation_function(layer.activation) if layer.activation.type != "linear" else None
    return {"activation": activation, "use_bias": layer.use_bias}


_LAYERS: dict[str, Callable[[Any, Shape, _Built], Any]] = {
    "dense": _dense,
    "flatten": _flatten,
    "reshape": lambda layer, _, built: keras.layers.Reshape(layer.target_shape, dtype=built.precision),
    "repeat_vector": lambda layer, _, built: keras.layers.RepeatVector(layer.n, dtype=built.precision),
    "permute": lambda layer, _, built: keras.layers.Permute(layer.dims, dtype=built.precision),
    "activation": lambda layer, _, built: keras.layers.Activation(
        activation_function(layer.activation), dtype=built.precision
    ),
    "dropout": lambda *_: None,
    **{f"conv{axes}d": _convolution for axes in (1, 2, 3)},
    **{f"{word}_conv{axes}d": _convolution for word in ("depthwise", "separable") for axes in (1, 2)},
    **{f"locally_connected{axes}d": _convolution for axes in (1, 2)},
    **{f"conv{axes}d_transpose": _convolution for axes in (1, 2, 3)},
    **{f"{word}_pooling{axes}d": _pooling for word in ("max", "average") for axes in (1, 2, 3)},
    "global_average_pooling": _global_pooling,
    "global_max_pooling": _global_pooling,
    "layer_norm": _layer_norm,
    "rms_norm": lambda layer, shape, built: over_axes(layer, shape, precision=built.precision),
    "unit_normalization": lambda layer, *_: partial(of_unit_length, layer),
    "group_norm": lambda layer, shape, built: by_group(layer, shape, precision=built.precision),
    "instance_norm": lambda layer, shape, built: by_group(layer, shape, precision=built.precision),
    "prelu": lambda layer, shape, built: prelu(layer, shape, precision=built.precision),
    "glu": lambda layer, *_: gate(layer),
    "swiglu": lambda layer, *_: gate(layer),
    "position_embedding": lambda layer, shape, built: learned_positions(
        layer, shape, precision=built.precision, initializers=built.initializers
    ),
    "batch_norm": _batch_norm,
    "embedding": _embedding,
    "masking": lambda layer, *_: partial(masked, layer.mask_value),
    "sinusoidal_position": lambda layer, shape, built: partial(
        tf.add, tf.constant(sinusoids(layer, shape), built.precision)
    ),
    "simple_rnn": _recurrent,
    "lstm": _recurrent,
    "gru": _recurrent,
    "bidirectional": _bidirectional,
    "multi_head_attention": lambda layer, _, built: Attention(
        layer, precision=built.precision, initializers=built.initializers
    ),
    **{kind: lambda layer, *_, merge=merge: partial(merge, layer) for kind, merge in MERGES.items()},
    **{kind: lambda layer, *_, change=change: partial(change, layer) for kind, change in SPACES.items()},
}
"""The layer of each kind, for an input of a shape."""


Tensor = Any


class GlobalAverage(keras.layers.GlobalAveragePooling1D):  # type: ignore[misc]
    """Keras's layer, but that the mean of no step is 0 and not NaN."""

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Map (b, steps, channels) to (b, channels), of steps that count."""
        if mask is None:
            return super().call(inputs)
        total = tf.reduce_sum(tf.where(mask[..., tf.newaxis], inputs, tf.zeros_like(inputs)), axis=1)
        number = tf.reduce_sum(tf.cast(mask, inputs.dtype), axis=1, keepdims=True)
        return total / tf.maximum(number, tf.constant(1.0, inputs.dtype))


class UnbiasedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer with a moving variance that follows the batch's unbiased one, as PyTorch's does."""

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        """Normalize (b, …, channels) to the same shape; in training the moving statistics move."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        mean, variance = self._moments(inputs, mask)
        size = tf.size(inputs) // inputs.shape[-1] if mask is None else tf.math.count_nonzero(mask)
        count = tf.cast(size, inputs.dtype)
        one = tf.constant(1.0, inputs.dtype)
        unbiased = variance * (count / tf.maximum(count - one, one))
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return tf.nn.batch_normalization(
            inputs, mean, variance, offset=self.beta, scale=self.gamma, variance_epsilon=self.epsilon
        )


def masked(value: float, x: Tensor) -> Tensor:
    """Make the steps of x (b, steps, features) 0 whose features are all this value."""
    counted = tf.reduce_any(tf.not_equal(x, tf.constant(value, x.dtype)), axis=-1, keepdims=True)
    return tf.where(counted, x, tf.zeros_like(x))


class Attention:
    """A multi_head_attention; a Keras layer holds its weights and knows how they start."""

    def __init__(self, layer: MultiHeadAttention, *, precision: str, initializers: bool) -> None:
        self._layer = layer
        zeros = {} if initializers else {"kernel_initializer": "zeros"}
        self._held = keras.layers.MultiHeadAttention(
            layer.num_heads,
            layer.key_dim,
            value_dim=layer.value_dim,
            use_bias=layer.use_bias,
            **zeros,
            dtype=precision,
        )

    def build(self, *shapes: tuple[int | None, ...]) -> None:
        """Make the weights for query, value and key of these shapes."""
        self._held.build(shapes[0], shapes[1] if len(shapes) > 1 else shapes[0], shapes[-1])

    @property
    def weights(self) -> list[Any]:
        """Return kernel and bias of query, key, value and output."""
        return self._held.weights  # type: ignore[no-any-return]

    def __call__(self, inputs: Tensor | Sequence[Tensor], mask: Tensor = None) -> Tensor:
        """Attend with query (b, t, e) to value (b, s, f) and key (b, s, g), or to itself: (b, t, e)."""
        query, *others = inputs if isinstance(inputs, list) else [inputs]
        value, key = (others[0], others[-1]) if others else (query, query)
        q, k, v = (self._heads(place, x) for place, x in enumerate((query, key, value)))
        scale = tf.constant(1.0 / math.sqrt(self._layer.key_dim), q.dtype)
        scores = tf.einsum("bthd,bshd->bhts", q * scale, k)
        if self._layer.use_causal_mask:
            seen = tf.linalg.band_part(tf.ones(scores.shape[-2:], tf.bool), -1, 0)
            scores = tf.where(seen, scores, tf.constant(-math.inf, scores.dtype))
        if mask is not None:
            scores = tf.where(mask[:, tf.newaxis, tf.newaxis], scores, tf.constant(UNSEEN, scores.dtype))
        each = tf.einsum("bhts,bshv->bthv", tf.nn.softmax(scores), v)
        return self._with_bias(3, tf.einsum("bthv,hve->bte", each, self._kernel(3)))

    def _heads(self, place: int, x: Tensor) -> Tensor:
        """Project x of query, key or value for each head: (b, steps, heads, dim)."""
        return self._with_bias(place, tf.einsum("bse,ehd->bshd", x, self._kernel(place)))

    def _kernel(self, place: int) -> Tensor:
        return self.weights[place * (1 + self._layer.use_bias)].value

    def _with_bias(self, place: int, x: Tensor) -> Tensor:
        return x + self.weights[2 * place + 1].value if self._layer.use_bias else x


Cell = SimpleRnn | Lstm | Gru


def step_by_step(
    layer: Cell | Bidirectional, weights: Sequence[Tensor], x: Tensor, mask: Tensor = None
) -> Tensor:
    """Map (b, steps, features) to (b, steps, units) or (b, units), units twice in both directions.

    `weights` are the layer's in Keras's order: kernel, recurrent_kernel and, where there is one, bias.
    """
    if not isinstance(layer, Bidirectional):
        return _ended(layer, _states(layer, weights, x, mask, zeros=layer.zero_output_for_mask))
    half = len(weights) // 2
    reversed_mask = None if mask is None else tf.reverse(mask, axis=[1])
    there = _states(layer.layer, weights[:half], x, mask, zeros=True)
    back = _states(layer.layer, weights[half:], tf.reverse(x, axis=[1]), reversed_mask, zeros=True)
    if layer.layer.return_sequences:
        back = back[::-1]
    return tf.concat([_ended(layer.layer, states) for states in (there, back)], axis=-1)


def _ended(cell: Cell, states: Sequence[Tensor]) -> Tensor:
    return tf.stack(states, axis=1) if cell.return_sequences else states[-1]


def _states(cell: Cell, weights: Sequence[Tensor], x: Tensor, mask: Tensor, *, zeros: bool) -> list[Tensor]:
    """Return what each step of x (b, steps, features) gives: h (b, units), or zeros of padding if asked."""
    kernel, recurrent, *biases = weights
    before = within = None
    if biases:
        before, within = tf.unstack(biases[0]) if len(biases[0].shape) == 2 else (biases[0], None)
    sums = tf.tensordot(x, kernel, 1)
    h = c = tf.zeros([tf.shape(x)[0], cell.units], x.dtype)
    states = []
    steps = tf.unstack(sums if before is None else sums + before, axis=1)
    counts = [None] * len(steps) if mask is None else tf.unstack(mask[..., tf.newaxis], axis=1)
    for now, counting in zip(steps, counts, strict=True):
        before_h, before_c = h, c
        match cell:
            case SimpleRnn(activation=activation):
                h = PLAIN[activation](now + h @ recurrent)
            case Lstm():
                i, f, g, o = tf.split(now + h @ recurrent, 4, axis=-1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
            case Gru(reset_after=True):
                h = _reset_after(now, h, h @ recurrent if within is None else h @ recurrent + within)
            case Gru():
                h = _reset_before(now, h, recurrent)
        if counting is None:
            states.append(h)
            continue
        h, c = tf.where(counting, h, before_h), tf.where(counting, c, before_c)
        gives_zeros = zeros and cell.return_sequences
        states.append(tf.where(counting, h, tf.zeros_like(h)) if gives_zeros else h)
    return states


def _reset_after(now: Tensor, h: Tensor, own: Tensor) -> Tensor:
    """Return a gru's next state; `now` has the input's part of z, r and the candidate, `own` the state's."""
    of_input, of_state = (tf.split(part, 3, axis=-1) for part in (now, own))
    z, r = (tf.sigmoid(of_input[gate] + of_state[gate]) for gate in (0, 1))
    return _mixed(z, h, tf.tanh(of_input[2] + r * of_state[2]))


def _reset_before(now: Tensor, h: Tensor, recurrent: Tensor) -> Tensor:
    """Return a gru's next state, reset before the product with the candidate's part of its kernel."""
    of_input, kernels = (tf.split(part, 3, axis=-1) for part in (now, recurrent))
    z, r = (tf.sigmoid(of_input[gate] + h @ kernels[gate]) for gate in (0, 1))
    return _mixed(z, h, tf.tanh(of_input[2] + (r * h) @ kernels[2]))


def _mixed(z: Tensor, h: Tensor, candidate: Tensor) -> Tensor:
    return z * h + (tf.constant(1.0, h.dtype) - z) * candidate
