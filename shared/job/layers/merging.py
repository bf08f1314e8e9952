"""Layers of several inputs: add and concatenate, for residual connections and branches, and attention."""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from likewise.shared.job.fields import Count, Many
from likewise.shared.job.layers.base import BaseLayer, LayerWeight
from likewise.shared.job.shape import Shape, ShapeError, listed, need_axes
from likewise.shared.job.weights import FanScaled, Initializer, Zeros


class _Merging(BaseLayer):
    takes_several: ClassVar[bool] = True
    keeps_axes: ClassVar[bool] = True

    inputs: Many[str] = Field(min_length=2)
    """The names of the layers whose outputs it takes; `input` is the model's input."""


class Add(_Merging):
    """The sum of outputs of one shape, added in the order given."""

    type: Literal["add"]

    def output_shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) > 1:
            raise ShapeError(f"adds outputs of one shape, and gets {listed(*inputs)}")
        return inputs[0]


class Concatenate(_Merging):
    """The outputs side by side on the last axis, in the order given; their other axes are the same."""

    type: Literal["concatenate"]

    def output_shape(self, *inputs: Shape) -> Shape:
        if not all(inputs) or len({shape[:-1] for shape in inputs}) > 1:
            raise ShapeError(f"needs inputs alike but for the last axis, and gets {listed(*inputs)}")
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))


class MultiHeadAttention(BaseLayer):
    """Vaswani et al. 2017. For each head, with · over features and softmax over the steps of key:

        q = query·query.kernel + query.bias;  k and v from key and value alike
        output = Σ over heads softmax((q·1/√key_dim)·kᵀ)·v·attention_output.kernel + attention_output.bias

    1/√key_dim is taken in double precision and rounded to the run's. The kernels of query and key are
    (features, heads, key_dim), of value (features, heads, value_dim), of attention_output (heads, value_dim,
    features of query); biases have the last axes. Fans are the features and heads·dim, or the reverse.

    The gradient of key.bias is 0, which softmax does not see: rounding alone, which Adam makes steps of.
    """

    takes_several: ClassVar[bool] = True
    keeps_axes: ClassVar[bool] = True

    type: Literal["multi_head_attention"]
    num_heads: Count
    key_dim: Count
    """The size of a query and a key in each head: PyTorch's embed_dim is num_heads times as much."""
    value_dim: Count | None = None
    """The size of a value in each head; null is key_dim."""
    use_bias: bool = True
    use_causal_mask: bool = False
    """Whether a step of query sees only the steps of key up to its own."""
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    output_initializer: Initializer | None = None
    """What draws attention_output's kernel; null is kernel_initializer. PyTorch draws it by another rule."""
    bias_initializer: Initializer = Zeros(type="zeros")
    inputs: Many[str] | None = Field(default=None, min_length=1, max_length=3)
    """Names of query, value and key, in this order; without a third, key is value; one alone is all three.
    Null is the layer before it, for all three."""

    def output_shape(self, *inputs: Shape) -> Shape:
        query, *others = inputs
        for each in inputs:
            need_axes(each, "steps, features")
        if len({each[0] for each in others}) > 1:
            raise ShapeError(f"needs a value and a key of one length, and gets {listed(*others)}")
        return query

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        query, *others = inputs
        value, key = (others[0], others[-1]) if others else (query, query)
        heads, depth = self.num_heads, self.value_dim or self.key_dim
        parts = (
            ("query", (query[-1], heads, self.key_dim), 1, None),
            ("key", (key[-1], heads, self.key_dim), 1, None),
            ("value", (value[-1], heads, depth), 1, None),
            ("attention_output", (heads, depth, query[-1]), 2, self.output_initializer),
        )

        def weight(name: str, shape: Shape, initializer: Initializer, fans: Shape) -> LayerWeight:
            return LayerWeight(
                name=name, shape=shape, initializer=initializer, fan_in=fans[0], fan_out=fans[1]
            )

        found: list[LayerWeight] = []
        for name, shape, taken, own in parts:
            fans = (prod(shape[:taken]), prod(shape[taken:]))
            found.append(weight(f"{name}.kernel", shape, own or self.kernel_initializer, fans))
            if self.use_bias:
                found.append(weight(f"{name}.bias", shape[taken:], self.bias_initializer, fans))
        return tuple(found)
