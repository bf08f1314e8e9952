"""The torch.nn module of each kind of stage, but for convolutions and recurrent layers.

A module with weights has them in its `stored`. Modules ask their stage for shapes and weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from likewise.shared.job.layers.basic import ActivationLayer, Dense
from likewise.shared.job.layers.gates import Glu, Swiglu
from likewise.shared.job.layers.merging import MultiHeadAttention
from likewise.shared.program import Stage
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.common import sinusoids
from likewise.worker.adapters.torch_adapter.activations import activation_function
from likewise.worker.adapters.torch_adapter.convolution import WINDOWS
from likewise.worker.adapters.torch_adapter.merging import MERGES
from likewise.worker.adapters.torch_adapter.normalization import NORMALIZATIONS
from likewise.worker.adapters.torch_adapter.recurrent import Recurrent
from likewise.worker.adapters.torch_adapter.space import SPACES
from likewise.worker.adapters.torch_adapter.weights import affine_stored, maker, stored

Tensor = Any

NO_START = "PyTorch has no {kind}, so that it has no start of its own: use initial_weights: shared"
UNSEEN = -1e9
"""The score of a step that is padding. Beside any that counts it comes to nothing."""


def torch_layer(stage: Stage, *, initializers: bool, **where: Any) -> Any:
    """Return the module of a stage; `where` has its device and dtype.

    `initializers` is whether the weights start at torch.nn's own defaults; else they are to be loaded.
    Raises UnsupportedError for a kind that has no line in the table.
    """
    if stage.kind not in _MODULES:
        raise UnsupportedError(f"PyTorch has no module for {stage.kind}")
    return _MODULES[stage.kind](stage, initializers=initializers, **where)


class DenseModule(nn.Module):  # type: ignore[misc]
    """A Linear, whose weight is the kernel transposed, and its activation."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: Dense = stage.layer
        make = maker(nn.Linear, initializers=initializers)
        self.linear = make(stage.inputs[0][-1], layer.units, bias=layer.use_bias, **where)
        self._activation = activation_function(layer.activation)
        self.stored = affine_stored(self.linear, 1, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, inputs) to (…, units)."""
        return self._activation(self.linear(x))


class EmbeddingModule(nn.Module):  # type: ignore[misc]
    """An Embedding for indices that come as floating-point numbers."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        make = maker(nn.Embedding, initializers=initializers)
        self.embedding = make(*stage.weights[0].shape, **where)
        self.stored = {"embeddings": stored(self.embedding.weight)}

    def forward(self, x: Tensor) -> Tensor:
        """Map (…) to (…, output_dim)."""
        return self.embedding(x.long())


class Masked(nn.Module):  # type: ignore[misc]
    """Makes steps 0 whose features are all one value."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._value = stage.layer.mask_value

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, steps, features) to the same shape."""
        return torch.where((x != self._value).any(dim=-1, keepdim=True), x, torch.zeros_like(x))


class Positioned(nn.Module):  # type: ignore[misc]
    """Adds to each step what says where it stands."""

    def __init__(self, stage: Stage, *, dtype: Any, device: str, **_: Any) -> None:
        super().__init__()
        self._table = torch.tensor(sinusoids(stage.layer, stage.inputs[0]), dtype=dtype, device=device)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, steps, features) to the same shape."""
        return x + self._table


class Columns(nn.Module):  # type: ignore[misc]
    """A named input: its columns of a sample's row, in its shape."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._taken, self._shape = stage.taken, stage.output

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, numbers) to (b, *shape)."""
        return x.flatten(1)[:, self._taken].reshape(-1, *self._shape)


class LearnedPositions(nn.Module):  # type: ignore[misc]
    """Adds a learnt row to each step."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        if initializers:
            raise UnsupportedError(NO_START.format(kind=stage.kind))
        begin = stage.layer.offset
        self._places = slice(begin, begin + stage.inputs[0][0])
        self.embeddings = nn.Parameter(torch.zeros(stage.weights[0].shape, **where))
        self.stored = {"embeddings": stored(self.embeddings)}

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, steps, features) to the same shape."""
        return x + self.embeddings[self._places]


class BroadcastPrelu(nn.Module):  # type: ignore[misc]
    """A relu with a learnt slope below 0, which has Keras's shape; its own start is nn.PReLU's."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        start = 0.25 if initializers else 0.0
        self.alpha = nn.Parameter(torch.full(stage.weights[0].shape, start, **where))
        self.stored = {"alpha": stored(self.alpha)}

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to x, of any shape that alpha fits."""
        return torch.relu(x) - self.alpha * torch.relu(-x)


class Gate(nn.Module):  # type: ignore[misc]
    """One half of the features times a function of the other half."""

    def __init__(self, layer: Glu | Swiglu) -> None:
        super().__init__()
        self._function = activation_function(layer.activation)
        self._first = layer.gate == "first"

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, features) to (…, features / 2)."""
        first, second = x.chunk(2, dim=-1)
        return self._function(first) * second if self._first else first * self._function(second)


class ChannelsFirst(nn.Module):  # type: ignore[misc]
    """A flattening in which the channels go slowest."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, *axes, channels) to (b, numbers)."""
        return x.movedim(-1, 1).flatten(1)


class Activation(nn.Module):  # type: ignore[misc]
    """An activation function as a module."""

    def __init__(self, layer: ActivationLayer) -> None:
        super().__init__()
        self._function = activation_function(layer.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to x."""
        return self._function(x)


class Reshaped(nn.Module):  # type: ignore[misc]
    """Another shape of the same numbers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, …) to (b, *shape)."""
        return x.reshape(len(x), *self._shape)


class Repeated(nn.Module):  # type: ignore[misc]
    """A row of numbers as every step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, features) to (b, steps, features)."""
        return x.unsqueeze(1).repeat(1, self._steps, 1)


class Permuted(nn.Module):  # type: ignore[misc]
    """The axes of each sample in another order."""

    def __init__(self, dims: Shape) -> None:
        super().__init__()
        self._axes = (0, *dims)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, *shape) to a view (b, *shape in another order)."""
        return x.permute(self._axes)


Shape = tuple[int, ...]


class Attention(nn.Module):  # type: ignore[misc]
    """A multi_head_attention, with the parameters as they lie in Keras.

    nn.MultiheadAttention wants num_heads·key_dim to be the query's features and packs its kernels into one,
    which a step would clip as one weight; it is asked only for how it starts.
    """

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        self._layer: MultiHeadAttention = stage.layer
        self._scale = 1.0 / math.sqrt(self._layer.key_dim)
        start = _torch_s_own(self._layer, *stage.inputs, **where) if initializers else {}
        self.stored = {}
        for weight in stage.weights:
            parameter = nn.Parameter(start.get(weight.own_name, torch.zeros(weight.shape, **where)))
            self.register_parameter(weight.own_name.replace(".", "_"), parameter)
            self.stored[weight.own_name] = stored(parameter)

    def forward(self, query: Tensor, *others: Tensor, counted: Tensor | None = None) -> Tensor:
        """Attend with query (b, t, e) to value (b, s, f) and key (b, s, g), or to itself: (b, t, e)."""
        value, key = (others[0], others[-1]) if others else (query, query)
        q, k, v = (
            self._with_bias(name, torch.einsum("bse,ehd->bshd", x, getattr(self, f"{name}_kernel")))
            for name, x in (("query", query), ("key", key), ("value", value))
        )
        scores = torch.einsum("bthd,bshd->bhts", q * self._scale, k)
        if self._layer.use_causal_mask:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = torch.where(seen, scores, -math.inf)
        if counted is not None:
            scores = torch.where(counted[:, None, None, :], scores, UNSEEN)
        each = torch.einsum("bhts,bshv->bthv", torch.softmax(scores, dim=-1), v)
        output = torch.einsum("bthv,hve->bte", each, self.attention_output_kernel)
        return self._with_bias("attention_output", output)

    def _with_bias(self, name: str, x: Tensor) -> Tensor:
        return x + getattr(self, f"{name}_bias") if self._layer.use_bias else x


def _torch_s_own(layer: MultiHeadAttention, query: Shape, *others: Shape, **where: Any) -> dict[str, Tensor]:
    """Return what nn.MultiheadAttention starts with, in Keras's layouts; raises UnsupportedError."""
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


_MODULES: dict[str, Callable[..., Any]] = {
    "input": lambda stage, **_: Columns(stage),
    "dense": DenseModule,
    "flatten": lambda stage, **_: nn.Flatten() if stage.layer.order == "channels_last" else ChannelsFirst(),
    "reshape": lambda stage, **_: Reshaped(stage.output),
    "repeat_vector": lambda stage, **_: Repeated(stage.layer.n),
    "permute": lambda stage, **_: Permuted(stage.layer.dims),
    "activation": lambda stage, **_: Activation(stage.layer),
    "dropout": lambda *_, **__: nn.Identity(),
    **WINDOWS,
    **NORMALIZATIONS,
    "prelu": BroadcastPrelu,
    "glu": lambda stage, **_: Gate(stage.layer),
    "swiglu": lambda stage, **_: Gate(stage.layer),
    "embedding": EmbeddingModule,
    "masking": lambda stage, **_: Masked(stage),
    "sinusoidal_position": Positioned,
    "position_embedding": LearnedPositions,
    "simple_rnn": Recurrent,
    "lstm": Recurrent,
    "gru": Recurrent,
    "bidirectional": Recurrent,
    "multi_head_attention": Attention,
    **MERGES,
    **SPACES,
}
"""The module of each kind of stage; `torch_layer` has the other arguments."""
