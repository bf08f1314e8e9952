"""Multi-head attention on Keras's weights, written out.

Keras takes 1/√key_dim through float32, whatever the layer's precision, and changes its method with the
shapes and the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from shared.job.layers.merging import MultiHeadAttention

Tensor = Any


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
        """Kernel and bias of query, key, value and output."""
        return self._held.weights  # type: ignore[no-any-return]

    def __call__(self, inputs: Tensor | Sequence[Tensor]) -> Tensor:
        """Of query (b, t, e), value (b, s, f) and key (b, s, g), or of one for all: (b, t, e)."""
        query, *others = inputs if isinstance(inputs, list) else [inputs]
        value, key = (others[0], others[-1]) if others else (query, query)
        q, k, v = (self._heads(place, x) for place, x in enumerate((query, key, value)))
        scale = tf.constant(1.0 / math.sqrt(self._layer.key_dim), q.dtype)
        scores = tf.einsum("bthd,bshd->bhts", q * scale, k)
        if self._layer.use_causal_mask:
            seen = tf.linalg.band_part(tf.ones(scores.shape[-2:], tf.bool), -1, 0)
            scores = tf.where(seen, scores, tf.constant(-math.inf, scores.dtype))
        each = tf.einsum("bhts,bshv->bthv", tf.nn.softmax(scores), v)
        return self._with_bias(3, tf.einsum("bthv,hve->bte", each, self._kernel(3)))

    def _heads(self, place: int, x: Tensor) -> Tensor:
        """x of query, key or value for each head: (b, steps, heads, dim)."""
        return self._with_bias(place, tf.einsum("bse,ehd->bshd", x, self._kernel(place)))

    def _kernel(self, place: int) -> Tensor:
        return self.weights[place * (1 + self._layer.use_bias)].value

    def _with_bias(self, place: int, x: Tensor) -> Tensor:
        return x + self.weights[2 * place + 1].value if self._layer.use_bias else x
