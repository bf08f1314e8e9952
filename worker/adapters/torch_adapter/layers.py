"""The torch.nn module of each layer of a job. A module with weights has them in its `stored`."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import nn

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


def torch_layer(  # noqa: PLR0911, PLR0912 -- one a layer type
    layer: Layer, shape: tuple[int, ...], *others: tuple[int, ...], initializers: bool, **where: Any
) -> Any:
    """The module for inputs of these shapes; `where` has its device and dtype.

    `initializers` is whether the weights start at torch.nn's own defaults; else they are to be loaded.
    """
    match layer:
        case Dense():
            return DenseModule(layer, shape, initializers=initializers, **where)
        case Flatten(order="channels_last"):
            return nn.Flatten()
        case Flatten():
            return ChannelsFirst()
        case Reshape():
            return Reshaped(layer, shape)
        case ActivationLayer():
            return Activation(layer)
        case Dropout():
            return nn.Identity()
        case Conv1D() | Conv2D():
            return Convolution(layer, shape, initializers=initializers, **where)
        case DepthwiseConv2D():
            return DepthwiseConvolution(layer, shape, initializers=initializers, **where)
        case Conv2DTranspose():
            return TransposedConvolution(layer, shape, initializers=initializers, **where)
        case MaxPooling1D() | MaxPooling2D() | AveragePooling1D() | AveragePooling2D():
            return Pool(layer, shape)
        case GlobalAveragePooling():
            return GlobalAverage()
        case GlobalMaxPooling():
            return GlobalMax()
        case LayerNorm():
            return LayerNormalization(layer, shape, initializers=initializers, **where)
        case BatchNorm():
            return BatchNormalization(layer, shape, **where)
        case Embedding():
            return EmbeddingModule(layer, initializers=initializers, **where)
        case SimpleRnn() | Lstm() | Gru() | Bidirectional():
            return Recurrent(layer, shape, initializers=initializers, **where)
        case MultiHeadAttention():
            return Attention(layer, shape, *others, initializers=initializers, **where)
        case Add():
            return Sum()
        case Concatenate():
            return Concatenation()
    raise TypeError(f"no module for {layer.type}")


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
