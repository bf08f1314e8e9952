"""One layer's output shape and weights, from the shape of its input. Pure.

Shapes are of one sample, without the batch. Names and layouts of weights are Keras's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from shared.spec.initializers import Initializer, Ones, Zeros
from shared.spec.layers import Layer
from shared.spec.layers.attention import MultiHeadAttention
from shared.spec.layers.basic import ActivationLayer, Dense, Dropout, Flatten, Reshape
from shared.spec.layers.convolution import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    DepthwiseConv2D,
    Padding,
    pair,
)
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

Shape = tuple[int, ...]


class ShapeError(ValueError):
    """A layer that cannot take its input, or a model whose output nothing can be compared with."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One weight of a layer. The fans scale its initializer; a bias has those of its layer's kernel."""

    name: str
    shape: Shape
    initializer: Initializer
    fan_in: int
    fan_out: int
    trainable: bool = True
    """Whether gradients change it; a moving average changes by itself."""
    ones: slice | None = None
    """The part of a vector that starts at 1, whatever the initializer."""


def output_shape(layer: Layer, shape: Shape, *others: Shape) -> Shape:  # noqa: PLR0911, PLR0912 -- one a layer type
    """A layer's output shape. Raises ShapeError saying what the layer gets and would need."""
    match layer:
        case Dense(units=units):
            if not shape:
                raise ShapeError("gets a single number a sample, but needs an axis of features")
            return (*shape[:-1], units)
        case Flatten():
            return (prod(shape),)
        case Reshape(target_shape=target):
            return _reshaped(shape, target)
        case Dropout() | ActivationLayer():
            return shape
        case Conv1D():
            _need_axes(shape, "length, channels")
            size = _windows(shape[0], layer.kernel_size, layer.strides, layer.padding)
            return (size, layer.filters)
        case Conv2D():
            _need_axes(shape, "height, width, channels")
            return (
                *_grid(shape, pair(layer.kernel_size), pair(layer.strides), layer.padding),
                layer.filters,
            )
        case DepthwiseConv2D():
            _need_axes(shape, "height, width, channels")
            return (
                *_grid(shape, pair(layer.kernel_size), pair(layer.strides), layer.padding),
                shape[-1] * layer.depth_multiplier,
            )
        case Conv2DTranspose():
            _need_axes(shape, "height, width, channels")
            sizes = zip(shape, pair(layer.kernel_size), pair(layer.strides), strict=False)
            return (*(transposed_size(*axis, layer.padding) for axis in sizes), layer.filters)
        case MaxPooling1D() | AveragePooling1D():
            _need_axes(shape, "length, channels")
            size = _windows(shape[0], layer.pool_size, layer.strides or layer.pool_size, layer.padding)
            return (size, shape[-1])
        case MaxPooling2D() | AveragePooling2D():
            _need_axes(shape, "height, width, channels")
            window, strides = pair(layer.pool_size), pair(layer.strides or layer.pool_size)
            return (*_grid(shape, window, strides, layer.padding), shape[-1])
        case LayerNorm() | BatchNorm():
            if not shape:
                raise ShapeError("gets a single number a sample, but needs an axis of features")
            return shape
        case Embedding():
            return (*shape, layer.output_dim)
        case SimpleRnn() | Lstm() | Gru():
            _need_axes(shape, "steps, features")
            return (shape[0], layer.units) if layer.return_sequences else (layer.units,)
        case Bidirectional(layer=inner):
            _need_axes(shape, "steps, features")
            return (shape[0], 2 * inner.units) if inner.return_sequences else (2 * inner.units,)
        case MultiHeadAttention():
            for each in (shape, *others):
                _need_axes(each, "steps, features")
            if len({each[0] for each in others}) > 1:
                raise ShapeError(f"needs a value and a key of one length, and gets {_list(*others)}")
            return shape
        case Add():
            if any(other != shape for other in others):
                raise ShapeError(f"adds outputs of one shape, and gets {_list(shape, *others)}")
            return shape
        case Concatenate():
            if not shape or any(other[:-1] != shape[:-1] or not other for other in others):
                raise ShapeError(
                    f"needs inputs alike but for the last axis, and gets {_list(shape, *others)}"
                )
            return (*shape[:-1], sum(each[-1] for each in (shape, *others)))
        case GlobalAveragePooling() | GlobalMaxPooling():
            if len(shape) not in (2, 3):
                raise ShapeError(
                    f"gets samples of shape {shape}, but needs one or two axes before the channels"
                )
            return shape[-1:]


def tensors(layer: Layer, shape: Shape, *others: Shape) -> tuple[Tensor, ...]:  # noqa: PLR0911 -- one a layer type
    """A layer's weights for inputs of these shapes. New layer types get their case here."""
    match layer:
        case Dense(units=units):
            return _kernel_and_bias(layer, (shape[-1], units), units)
        case Conv1D(kernel_size=size, filters=filters):
            return _kernel_and_bias(layer, (size, shape[-1], filters), filters)
        case Conv2D(kernel_size=size, filters=filters):
            return _kernel_and_bias(layer, (*pair(size), shape[-1], filters), filters)
        case DepthwiseConv2D(kernel_size=size, depth_multiplier=times):
            return _kernel_and_bias(layer, (*pair(size), shape[-1], times), shape[-1] * times)
        case Conv2DTranspose(kernel_size=size, filters=filters):
            return _kernel_and_bias(layer, (*pair(size), filters, shape[-1]), filters)
        case LayerNorm() | BatchNorm():
            return _statistics(layer, shape[-1])
        case Embedding(input_dim=rows, output_dim=columns):
            table = Tensor(
                name="embeddings",
                shape=(rows, columns),
                initializer=layer.embeddings_initializer,
                fan_in=rows,
                fan_out=columns,
            )
            return (table,)
        case SimpleRnn() | Lstm() | Gru():
            return _recurrent(layer, shape[-1])
        case MultiHeadAttention():
            return _attention(layer, shape, *others)
        case Bidirectional():
            return tuple(
                replace(tensor, name=f"{direction}.{tensor.name}")
                for direction in ("forward", "backward")
                for tensor in _recurrent(layer.layer, shape[-1])
            )
        case _:
            return ()


def _kernel_and_bias(
    layer: Dense | Conv1D | Conv2D | DepthwiseConv2D | Conv2DTranspose, shape: Shape, outputs: int
) -> tuple[Tensor, ...]:
    """The fans are the kernel's last two axes, each times the size of its window."""
    fan_in, fan_out = (prod(shape[:-2]) * size for size in shape[-2:])
    kernel = Tensor(
        name="kernel", shape=shape, initializer=layer.kernel_initializer, fan_in=fan_in, fan_out=fan_out
    )
    bias = Tensor(
        name="bias", shape=(outputs,), initializer=layer.bias_initializer, fan_in=fan_in, fan_out=fan_out
    )
    return (kernel, bias) if layer.use_bias else (kernel,)


def _statistics(layer: LayerNorm | BatchNorm, features: int) -> tuple[Tensor, ...]:
    def weight(name: str, initializer: Initializer, *, trainable: bool = True) -> Tensor:
        return Tensor(
            name=name,
            shape=(features,),
            initializer=initializer,
            fan_in=features,
            fan_out=features,
            trainable=trainable,
        )

    changed = (weight("gamma", layer.gamma_initializer), weight("beta", layer.beta_initializer))
    if isinstance(layer, LayerNorm):
        return changed
    return (
        *changed,
        weight("moving_mean", Zeros(type="zeros"), trainable=False),
        weight("moving_variance", Ones(type="ones"), trainable=False),
    )


def _attention(layer: MultiHeadAttention, query: Shape, *others: Shape) -> tuple[Tensor, ...]:
    value, key = (others[0], others[-1]) if others else (query, query)
    heads, depth = layer.num_heads, layer.value_dim or layer.key_dim
    parts = (
        ("query", (query[-1], heads, layer.key_dim), 1, None),
        ("key", (key[-1], heads, layer.key_dim), 1, None),
        ("value", (value[-1], heads, depth), 1, None),
        ("attention_output", (heads, depth, query[-1]), 2, layer.output_initializer),
    )

    def weight(name: str, shape: Shape, initializer: Initializer, fans: Shape) -> Tensor:
        return Tensor(name=name, shape=shape, initializer=initializer, fan_in=fans[0], fan_out=fans[1])

    found: list[Tensor] = []
    for name, shape, inputs, own in parts:
        fans = (prod(shape[:inputs]), prod(shape[inputs:]))
        found.append(weight(f"{name}.kernel", shape, own or layer.kernel_initializer, fans))
        if layer.use_bias:
            found.append(weight(f"{name}.bias", shape[inputs:], layer.bias_initializer, fans))
    return tuple(found)


def _recurrent(layer: SimpleRnn | Lstm | Gru, features: int) -> tuple[Tensor, ...]:
    units = layer.units
    gates = units * {"simple_rnn": 1, "lstm": 4, "gru": 3}[layer.type]
    kernel = Tensor(
        name="kernel",
        shape=(features, gates),
        initializer=layer.kernel_initializer,
        fan_in=features,
        fan_out=gates,
    )
    recurrent = Tensor(
        name="recurrent_kernel",
        shape=(units, gates),
        initializer=layer.recurrent_initializer,
        fan_in=units,
        fan_out=gates,
    )
    if not layer.use_bias:
        return (kernel, recurrent)
    forgets = isinstance(layer, Lstm) and layer.unit_forget_bias
    bias = Tensor(
        name="bias",
        shape=(2, gates) if isinstance(layer, Gru) and layer.reset_after else (gates,),
        initializer=layer.bias_initializer,
        fan_in=features,
        fan_out=gates,
        ones=slice(units, 2 * units) if forgets else None,
    )
    return (kernel, recurrent, bias)


def _list(*shapes: Shape) -> str:
    return ", ".join(map(str, shapes))


def _need_axes(shape: Shape, axes: str) -> None:
    if len(shape) != axes.count(",") + 1:
        raise ShapeError(
            f"gets samples of shape {shape}, but needs the axes ({axes}); put a reshape layer before it"
        )


def _grid(shape: Shape, window: tuple[int, int], strides: tuple[int, int], padding: Padding) -> Shape:
    return tuple(_windows(shape[axis], window[axis], strides[axis], padding) for axis in (0, 1))


def _windows(size: int, window: int, stride: int, padding: Padding) -> int:
    """How many windows an axis has."""
    if padding == "same":
        return -(-size // stride)
    if padding == "symmetric":
        return (size + 2 * (window // 2) - window) // stride + 1
    if window > size:
        raise ShapeError(
            f"has a window of {window} over {size} values; use padding: same or a smaller window"
        )
    return (size - window) // stride + 1


def transposed_size(size: int, window: int, stride: int, padding: str) -> int:
    """The outputs of an axis of a transposed convolution."""
    return size * stride + (max(window - stride, 0) if padding == "valid" else 0)


def _reshaped(shape: Shape, target: Shape) -> Shape:
    known = prod(size for size in target if size != -1)
    whole = prod(shape)
    if whole != known and (-1 not in target or whole % known):
        raise ShapeError(f"gets {whole} numbers a sample, of shape {shape}, which do not fill {target}")
    return tuple(whole // known if size == -1 else size for size in target)
