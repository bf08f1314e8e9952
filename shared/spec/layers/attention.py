"""Attention over (steps, features)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.spec.fields import Count, Many
from shared.spec.initializers import FanScaled, Initializer, Zeros
from shared.spec.layers.base import BaseLayer


class MultiHeadAttention(BaseLayer):
    """Vaswani et al. 2017. For each head, with · over features and softmax over the steps of key:

        q = query·query.kernel + query.bias;  k and v from key and value alike
        output = Σ over heads softmax((q·1/√key_dim)·kᵀ)·v·attention_output.kernel + attention_output.bias

    1/√key_dim is taken in double precision and rounded to the run's. The kernels of query and key are
    (features, heads, key_dim), of value (features, heads, value_dim), of attention_output (heads, value_dim,
    features of query); biases have the last axes. Fans are the features and heads·dim, or the reverse.

    The gradient of key.bias is 0, which softmax does not see: rounding alone, which Adam makes steps of.
    """

    type: Literal["multi_head_attention"]
    num_heads: Count
    key_dim: Count
    """For each head: PyTorch's embed_dim is num_heads times as much."""
    value_dim: Count | None = None
    """For each head; null is key_dim."""
    use_bias: bool = True
    use_causal_mask: bool = False
    """Whether a step of query sees only the steps of key up to its own."""
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    output_initializer: Initializer | None = None
    """Of attention_output's kernel; null is kernel_initializer. PyTorch draws it by another rule."""
    bias_initializer: Initializer = Zeros(type="zeros")
    inputs: Many[str] | None = Field(default=None, min_length=1, max_length=3)
    """Names of query, value and key, in this order; without a third, key is value; one alone is all three.
    Null is the layer before it, for all three."""
