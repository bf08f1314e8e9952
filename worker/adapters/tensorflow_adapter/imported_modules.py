"""Keras's layers in the common language of `worker.port.contract`, which is Keras's own: kinds and
settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likewise.worker.adapters.tensorflow_adapter.imported_keras import IS_2, OPS, L, own_variables
from likewise.worker.adapters.tensorflow_adapter.imported_weights import Array, Held, held
from likewise.worker.port.contract import OWN
from likewise.worker.port.plain import as_json


@dataclass(frozen=True, kw_only=True)
class Known:
    """A layer in the common language."""

    kind: str
    settings: dict[str, Any]
    weights: dict[str, Held]
    """The weights, by their names in the common language."""
    channels_first: bool = False
    joined: tuple[int, int] = (1, 1)
    """How many last axes of what enters, and of what leaves, are one in the common language."""
    activation: str | None = None
    """The function that its `activation` applies, where that is more than nothing."""

    def enters(self, array: Array) -> Array:
        """Return what enters the layer in the common layout: channels last, joined axes as one."""
        return _joined(self._channels_last(array), self.joined[0])

    def leaves(self, array: Array) -> Array:
        """Return what leaves the layer in the common layout."""
        return _joined(self._channels_last(array), self.joined[1])

    def back(self, array: Array, shape: Sequence[int]) -> Array:
        """Return an array of the common layout as the layer has it, where it fits the layer's shape."""
        own = np.moveaxis(array, -1, 1) if self.channels_first and array.ndim > 2 else array
        split = self.joined != (1, 1) and own.size == np.prod(shape, dtype=np.int64)
        return own.reshape(shape) if split else own

    def _channels_last(self, array: Array) -> Array:
        return np.moveaxis(array, 1, -1) if self.channels_first and array.ndim > 2 else array


def _joined(array: Array, axes: int) -> Array:
    return array if axes == 1 else array.reshape(*array.shape[:-axes], -1)


def known(layer: Any) -> Known | None:
    """Return what is known of a layer; None for one without weights of its own that no table has."""
    for base in type(layer).__mro__:
        if base in _TABLE and (found := _TABLE[base](layer)) is not None:
            return found
    own = {
        variable.name.rpartition("/")[2].partition(":")[0]: Held(variable=variable)
        for variable in own_variables(layer)
        if "float" in str(variable.dtype)
    }
    return Known(kind=OWN, settings={}, weights=own) if own else None


def activation_of(layer: Any) -> str | None:
    """Return the name of the function that a layer ends with; None where it has none."""
    given = getattr(layer, "activation", None)
    name = getattr(given, "__name__", None) or type(given).__name__
    return None if given is None or name == "linear" else name


def _dense(layer: Any) -> Known:
    return Known(
        kind="dense",
        settings={"units": layer.units, "use_bias": layer.use_bias},
        weights=held(layer, kernel="kernel", bias="bias"),
        activation=activation_of(layer),
    )


def _einsum_dense(layer: Any) -> Known | None:
    """Return one that multiplies the last axes by a matrix, as the projections of attention do, as dense."""
    terms = re.fullmatch(r"(.*),(.*)->(.*)", layer.equation.replace(".", ""))
    entering, kernel, leaving = terms.groups() if terms else ("", "", "")
    summed = "".join(one for one in kernel if one in entering and one not in leaving)
    made = "".join(one for one in kernel if one not in entering)
    ends = entering.endswith(summed) and leaving.endswith(made)
    if not summed or not made or kernel != summed + made or not ends:
        return None
    shape = tuple(layer.kernel.shape)
    if layer.bias is not None and tuple(layer.bias.shape) != shape[len(summed) :]:
        return None
    rows = int(np.prod(shape[: len(summed)], dtype=np.int64))
    units = int(np.prod(shape[len(summed) :], dtype=np.int64))
    joins = "axes joined" if len(shape) > 2 else ""
    weights = {"kernel": Held(variable=layer.kernel, shape=(rows, units), transform=joins)}
    if layer.bias is not None:
        weights["bias"] = Held(variable=layer.bias, shape=(units,), transform=joins if len(made) > 1 else "")
    return Known(
        kind="dense",
        settings={
            "units": units,
            "use_bias": layer.bias is not None,
            **({"num_heads": shape[1]} if len(made) == 2 else {}),
        },
        weights=weights,
        joined=(len(summed), len(made)),
        activation=activation_of(layer),
    )


def zeros_of(layer: Any) -> Any:
    """Return `same` as the word, since the zeros that it adds depend on the input; `valid` as none."""
    return [[0, 0] for _ in layer.kernel_size] if layer.padding == "valid" else layer.padding


def _convolution(kind: str) -> Callable[[Any], Known]:
    def convolution(layer: Any) -> Known:
        settings = {
            "kernel_size": list(layer.kernel_size),
            "strides": list(layer.strides),
            "padding": zeros_of(layer),
            "dilation_rate": list(layer.dilation_rate),
            "use_bias": layer.use_bias,
        }
        if kind == "conv":
            settings = {"filters": layer.filters, **settings, "groups": layer.groups}
        else:
            settings["depth_multiplier"] = layer.depth_multiplier
        return Known(
            kind=kind,
            settings=settings,
            weights=held(layer, kernel=named, bias="bias"),
            channels_first=layer.data_format == "channels_first",
            activation=activation_of(layer),
        )

    named = "depthwise_kernel" if IS_2 and kind == "depthwise_conv" else "kernel"
    return convolution


def _transposed(layer: Any) -> Known:
    return Known(
        kind="conv_transpose",
        settings={
            "filters": layer.filters,
            "kernel_size": list(layer.kernel_size),
            "strides": list(layer.strides),
            "dilation_rate": list(layer.dilation_rate),
            "crop": _crops(layer),
            "use_bias": layer.use_bias,
        },
        weights=held(layer, kernel="kernel", bias="bias"),
        channels_first=layer.data_format == "channels_first",
        activation=activation_of(layer),
    )


def _crops(layer: Any) -> list[list[int]]:
    """Return what a transposed convolution cuts before and after each axis of all it makes, as measured.

    `same` cuts half before and an odd one after, so that a step of the input makes a stride of the output,
    or what half a window on either side and `output_padding` leave. A cut of less than nothing adds zeros.
    """
    rank = len(layer.kernel_size)
    added = layer.output_padding
    added = [None] * rank if added is None else [added] * rank if isinstance(added, int) else list(added)
    found = []
    for size, step, dilation, more in zip(
        layer.kernel_size, layer.strides, layer.dilation_rate, added, strict=True
    ):
        window = (size - 1) * dilation + 1
        if layer.padding == "valid":
            found.append([0, -max(step - window, 0) if more is None else -more])
            continue
        total = window - step if more is None else 2 * (window // 2) - more
        before = max(total, 0) // 2
        found.append([before, total - before])
    return found


def _batch_norm(layer: Any) -> Known:
    return Known(
        kind="batch_norm",
        settings={
            "epsilon": layer.epsilon,
            "momentum": layer.momentum,
            "affine": bool(layer.scale or layer.center),
        },
        weights=held(
            layer, gamma="gamma", beta="beta", moving_mean="moving_mean", moving_variance="moving_variance"
        ),
        channels_first=layer.axis in (1, [1]),
    )


def _layer_norm(layer: Any) -> Known:
    return Known(
        kind="layer_norm",
        settings={"epsilon": layer.epsilon},
        weights=held(layer, gamma="gamma", beta="beta"),
    )


def _group_norm(layer: Any) -> Known:
    return Known(
        kind="group_norm",
        settings={"groups": layer.groups, "epsilon": layer.epsilon},
        weights=held(layer, gamma="gamma", beta="beta"),
        channels_first=layer.axis in (1, [1]),
    )


def _embedding(layer: Any) -> Known:
    return Known(
        kind="embedding",
        settings={"input_dim": layer.input_dim, "output_dim": layer.output_dim},
        weights=held(layer, embeddings="embeddings" if IS_2 else "_embeddings"),
    )


def _recurrent(kind: str) -> Callable[[Any], Known]:
    def recurrent(layer: Any) -> Known:
        cell = layer.cell
        settings: dict[str, Any] = {"units": cell.units}
        weights = held(cell, kernel="kernel", recurrent_kernel="recurrent_kernel")
        if cell.use_bias and kind == "gru" and cell.reset_after:
            # One variable (2, 3 units), of which PyTorch has each row by itself.
            return Known(
                kind=kind,
                settings={**settings, "reset_after": True},
                weights={
                    **weights,
                    "bias": Held(variable=cell.bias, row=0),
                    "recurrent_bias": Held(variable=cell.bias, row=1),
                },
            )
        if kind == "gru":
            settings["reset_after"] = cell.reset_after
        for name, standard in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
            used = getattr(getattr(cell, name, None), "__name__", standard)
            if used != standard:
                settings[name] = used
        return Known(kind=kind, settings=settings, weights={**weights, **held(cell, bias="bias")})

    return recurrent


def _prelu(layer: Any) -> Known:
    return Known(kind="prelu", settings={}, weights=held(layer, alpha="alpha"))


def _pool(kind: str) -> Callable[[Any], Known]:
    def pool(layer: Any) -> Known:
        return Known(
            kind=kind,
            settings={
                "pool_size": as_json(layer.pool_size),
                "strides": as_json(layer.strides),
                "padding": 0 if layer.padding == "valid" else layer.padding,
            },
            weights={},
            channels_first=layer.data_format == "channels_first",
        )

    return pool


def _plainly(kind: str, **names: str) -> Callable[[Any], Known]:
    def made(layer: Any) -> Known:
        settings = {ours: as_json(getattr(layer, own)) for ours, own in names.items()}
        return Known(kind=kind, settings=settings, weights={})

    return made


def _relu(layer: Any) -> Known:
    limit = None if layer.max_value is None else float(layer.max_value)
    if layer.negative_slope == 0 and layer.threshold == 0 and limit in (None, 6.0):
        return Known(kind="relu" if limit is None else "relu6", settings={}, weights={})
    return Known(
        kind="relu",
        settings={"max_value": limit, "negative_slope": layer.negative_slope, "threshold": layer.threshold},
        weights={},
    )


def _zero_padding(layer: Any) -> Known:
    zeros = [layer.padding] if isinstance(layer, L.ZeroPadding1D) else layer.padding
    return Known(
        kind="zero_padding",
        settings={"zeros": [list(one) for one in zeros]},
        weights={},
        channels_first=getattr(layer, "data_format", None) == "channels_first",
    )


def _named_activation(layer: Any) -> Known:
    return Known(kind=activation_of(layer) or "linear", settings={}, weights={})


_TABLE: Mapping[type, Callable[[Any], Known | None]] = {
    L.Dense: _dense,
    L.EinsumDense: _einsum_dense,
    **dict.fromkeys((L.Conv1D, L.Conv2D, L.Conv3D), _convolution("conv")),
    **dict.fromkeys((L.DepthwiseConv1D, L.DepthwiseConv2D), _convolution("depthwise_conv")),
    **dict.fromkeys((L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose), _transposed),
    L.BatchNormalization: _batch_norm,
    L.LayerNormalization: _layer_norm,
    L.GroupNormalization: _group_norm,
    L.Embedding: _embedding,
    L.LSTM: _recurrent("lstm"),
    L.GRU: _recurrent("gru"),
    L.SimpleRNN: _recurrent("simple_rnn"),
    L.PReLU: _prelu,
    **dict.fromkeys((L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D), _pool("max_pool")),
    **dict.fromkeys((L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D), _pool("average_pool")),
    **dict.fromkeys((L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D), _plainly("dropout", rate="rate")),
    L.ReLU: _relu,
    L.LeakyReLU: _plainly("leaky_relu", negative_slope="alpha" if IS_2 else "negative_slope"),
    L.ELU: _plainly("elu", alpha="alpha"),
    L.Softmax: _plainly("softmax", axis="axis"),
    **dict.fromkeys((L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D), _zero_padding),
    L.Activation: _named_activation,
}
CHANGEABLE = ("epsilon", "momentum", "negative_slope", "alpha", "strides", "dilation_rate")
"""The settings of live layers that can be changed."""


def pad(layer: Any, zeros: Sequence[Sequence[int]] | None) -> bool:
    """Let a live convolution add these zeros before and after each spatial axis, or, without any, what it was
    made with; return whether it can.
    """
    if IS_2 or not isinstance(layer, (L.Conv1D, L.Conv2D, L.Conv3D, L.DepthwiseConv1D, L.DepthwiseConv2D)):
        return False
    if zeros is None:
        layer.__dict__.pop("call", None)
        layer.padding = layer.__dict__.pop("_made_with", layer.padding)
        return True
    layer.__dict__.setdefault("_made_with", layer.padding)
    spatial = [list(one) for one in zeros]
    around = (
        [[0, 0], *spatial, [0, 0]] if layer.data_format == "channels_last" else [[0, 0], [0, 0], *spatial]
    )
    own = type(layer).call

    def call(inputs: Any, *arguments: Any, **named: Any) -> Any:
        return own(layer, OPS.pad(inputs, around), *arguments, **named)

    layer.padding = "valid"
    layer.__dict__["call"] = call
    return True
