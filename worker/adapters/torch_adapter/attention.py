"""Multi-head attention, with the parameters as they lie in Keras.

nn.MultiheadAttention wants num_heads·key_dim to be the query's features and packs its kernels into one,
which a step would clip as one weight; it is asked only for how it starts.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from shared.job.layers.merging import MultiHeadAttention
from worker.adapters.errors import UnsupportedError
from worker.adapters.torch_adapter.stored import stored

Tensor = Any
Shape = tuple[int, ...]


class Attention(nn.Module):  # type: ignore[misc]
    """A multi_head_attention."""

    def __init__(self, layer: MultiHeadAttention, *shapes: Shape, initializers: bool, **where: Any) -> None:
        super().__init__()
        self._layer = layer
        self._scale = 1.0 / math.sqrt(layer.key_dim)
        start = _torch_s_own(layer, *shapes, **where) if initializers else {}
        self.stored = {}
        for tensor in layer.weights(*shapes):
            parameter = nn.Parameter(start.get(tensor.name, torch.zeros(tensor.shape, **where)))
            self.register_parameter(tensor.name.replace(".", "_"), parameter)
            self.stored[tensor.name] = stored(parameter)

    def forward(self, query: Tensor, *others: Tensor) -> Tensor:
        """Of query (b, t, e), value (b, s, f) and key (b, s, g), or of one for all: (b, t, e)."""
        value, key = (others[0], others[-1]) if others else (query, query)
        q, k, v = (
            self._with_bias(name, torch.einsum("bse,ehd->bshd", x, getattr(self, f"{name}_kernel")))
            for name, x in (("query", query), ("key", key), ("value", value))
        )
        scores = torch.einsum("bthd,bshd->bhts", q * self._scale, k)
        if self._layer.use_causal_mask:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = torch.where(seen, scores, -math.inf)
        each = torch.einsum("bhts,bshv->bthv", torch.softmax(scores, dim=-1), v)
        output = torch.einsum("bthv,hve->bte", each, self.attention_output_kernel)
        return self._with_bias("attention_output", output)

    def _with_bias(self, name: str, x: Tensor) -> Tensor:
        return x + getattr(self, f"{name}_bias") if self._layer.use_bias else x


def _torch_s_own(layer: MultiHeadAttention, query: Shape, *others: Shape, **where: Any) -> dict[str, Tensor]:
    """What nn.MultiheadAttention starts with, in Keras's layouts; raises UnsupportedError."""
    value, key = (others[0], others[-1]) if others else (query, query)
    features, heads, depth = query[-1], layer.num_heads, layer.key_dim
    if heads * depth != features or layer.value_dim not in (None, depth):
        raise UnsupportedError(
            f"PyTorch's own attention has {features} features in all its heads, and this one {heads} heads "
            f"of {depth}, so that it has no start of its own: use initial_weights: shared, or num_heads "
            f"times key_dim equal to {features} and no value_dim"
        )
    module = nn.MultiheadAttention(
        features, heads, bias=layer.use_bias, kdim=key[-1], vdim=value[-1], **where
    )
    if module.in_proj_weight is None:
        projections = [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
    else:
        projections = list(module.in_proj_weight.chunk(3))
    names = ("query", "key", "value")
    start = {
        f"{name}.kernel": weight.T.unflatten(1, (heads, depth))
        for name, weight in zip(names, projections, strict=True)
    }
    start["attention_output.kernel"] = module.out_proj.weight.T.unflatten(0, (heads, depth))
    if layer.use_bias:
        biases = module.in_proj_bias.chunk(3)
        start |= {
            f"{name}.bias": bias.unflatten(0, (heads, depth))
            for name, bias in zip(names, biases, strict=True)
        }
        start["attention_output.bias"] = module.out_proj.bias
    return {name: tensor.detach().clone().contiguous() for name, tensor in start.items()}
