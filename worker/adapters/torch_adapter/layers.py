"""The torch.nn module of each layer of a job. A module with weights has them in its `stored`."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import nn

from shared.job.layers.basic import ActivationLayer, BatchNorm, Dense, Permute, Reshape
from shared.job.layers.recurrent import Embedding
from shared.program import Stage
from worker.adapters.errors import UnsupportedError
from worker.adapters.torch_adapter.activations import activation_function
from worker.adapters.torch_adapter.attention import Attention
from worker.adapters.torch_adapter.convolution import (
    Convolution,
    DepthwiseConvolution,
    GlobalAverage,
    GlobalMax,
    Pool,
    TransposedConvolution,
)
from worker.adapters.torch_adapter.normalization import BatchNormalization, LayerNormalization
from worker.adapters.torch_adapter.recurrent import Recurrent
from worker.adapters.torch_adapter.stored import affine_stored, maker, stored

Tensor = Any


def torch_layer(stage: Stage, *, initializers: bool, **where: Any) -> Any:
    """Return the module of a stage; `where` has its device and dtype.

    `initializers` is whether the weights start at torch.nn's own defaults; else they are to be loaded.
    Raises UnsupportedError for a kind that has no line in the table.
    """
    if stage.kind not in _MODULES:
        raise UnsupportedError(f"PyTorch has no module for {stage.kind}")
    return _MODULES[stage.kind](stage.layer, *stage.inputs, initializers=initializers, **where)


class DenseModule(nn.Module):  # type: ignore[misc]
    """A Linear, whose weight is the kernel transposed, and its activation."""

    def __init__(self, layer: Dense, shape: tuple[int, ...], *, initializers: bool, **where: Any) -> None:
        super().__init__()
        make = maker(nn.Linear, initializers=initializers)
        self.linear = make(shape[-1], layer.units, bias=layer.use_bias, **where)
        self._activation = activation_function(layer.activation)
        self.stored = affine_stored(self.linear, 1, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, units)."""
        return self._activation(self.linear(x))


class EmbeddingModule(nn.Module):  # type: ignore[misc]
    """An Embedding for indices that come as floating-point numbers."""

    def __init__(self, layer: Embedding, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        make = maker(nn.Embedding, initializers=initializers)
        self.embedding = make(layer.input_dim, layer.output_dim, **where)
        self.stored = {"embeddings": stored(self.embedding.weight)}

    def forward(self, x: Tensor) -> Tensor:
        """(…) → (…, output_dim)."""
        return self.embedding(x.long())


class ChannelsFirst(nn.Module):  # type: ignore[misc]
    """A flattening in which the channels go slowest."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, *axes, channels) → (b, numbers)."""
        return x.movedim(-1, 1).flatten(1)


class Sum(nn.Module):  # type: ignore[misc]
    """The sum of its inputs, in their order."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Tensors of one shape → their sum."""
        return reduce(torch.add, inputs)


class Concatenation(nn.Module):  # type: ignore[misc]
    """Its inputs side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """(…, a), (…, b) and so on → (…, a + b + …)."""
        return torch.cat(inputs, dim=-1)


class Activation(nn.Module):  # type: ignore[misc]
    """An activation function as a module."""

    def __init__(self, layer: ActivationLayer) -> None:
        super().__init__()
        self._function = activation_function(layer.activation)

    def forward(self, x: Tensor) -> Tensor:
        """The function of x."""
        return self._function(x)


class Reshaped(nn.Module):  # type: ignore[misc]
    """Another shape of the same numbers."""

    def __init__(self, layer: Reshape, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = layer.output_shape(shape)

    def forward(self, x: Tensor) -> Tensor:
        """(b, …) → (b, *shape)."""
        return x.reshape(len(x), *self._shape)


class Permuted(nn.Module):  # type: ignore[misc]
    """The axes of each sample in another order."""

    def __init__(self, layer: Permute) -> None:
        super().__init__()
        self._axes = (0, *layer.dims)

    def forward(self, x: Tensor) -> Tensor:
        """(b, *shape) → (b, *shape in another order), a view."""
        return x.permute(self._axes)


def _batch_norm(layer: BatchNorm, shape: tuple[int, ...], **how: Any) -> Any:
    """Every framework starts its statistics alike."""
    del how["initializers"]
    return BatchNormalization(layer, shape, **how)


_MODULES: dict[str, Callable[..., Any]] = {
    "dense": DenseModule,
    "flatten": lambda layer, *_, **__: nn.Flatten() if layer.order == "channels_last" else ChannelsFirst(),
    "reshape": lambda layer, shape, **_: Reshaped(layer, shape),
    "permute": lambda layer, *_, **__: Permuted(layer),
    "activation": lambda layer, *_, **__: Activation(layer),
    "dropout": lambda *_, **__: nn.Identity(),
    "conv1d": Convolution,
    "conv2d": Convolution,
    "depthwise_conv2d": DepthwiseConvolution,
    "conv2d_transpose": TransposedConvolution,
    "max_pooling1d": lambda layer, shape, **_: Pool(layer, shape),
    "max_pooling2d": lambda layer, shape, **_: Pool(layer, shape),
    "average_pooling1d": lambda layer, shape, **_: Pool(layer, shape),
    "average_pooling2d": lambda layer, shape, **_: Pool(layer, shape),
    "global_average_pooling": lambda *_, **__: GlobalAverage(),
    "global_max_pooling": lambda *_, **__: GlobalMax(),
    "layer_norm": LayerNormalization,
    "batch_norm": _batch_norm,
    "embedding": lambda layer, _, **how: EmbeddingModule(layer, **how),
    "simple_rnn": Recurrent,
    "lstm": Recurrent,
    "gru": Recurrent,
    "bidirectional": Recurrent,
    "multi_head_attention": Attention,
    "add": lambda *_, **__: Sum(),
    "concatenate": lambda *_, **__: Concatenation(),
}
"""The module of each kind, for inputs of these shapes; `torch_layer` has the other arguments."""
