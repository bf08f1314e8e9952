"""Keras's layers that are several of the common language, such as a separable convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from likewise.worker.adapters.tensorflow_adapter.imported_keras import IS_2, OPS, L
from likewise.worker.adapters.tensorflow_adapter.imported_modules import (
    Known,
    activation_of,
    known,
    zeros_of,
)
from likewise.worker.adapters.tensorflow_adapter.imported_plain_layers import Variables
from likewise.worker.adapters.tensorflow_adapter.imported_weights import Held, held
from likewise.worker.port.contract import OWN, PROJECTIONS

_SEPARABLE = () if IS_2 else (L.SeparableConv1D, L.SeparableConv2D)


def parts(layer: Any, *, divided: bool = False) -> dict[str, Known]:
    """Return the layers that one is made of, by what their path ends in; `""` is the layer itself.

    A separable convolution is two: PyTorch has no such module. A dense layer that is `divided` is a query, a
    key and a value; of a layer of the user's own each weight is a part.
    """
    if isinstance(layer, Variables):
        return _of_variables(layer, divided=divided)
    if divided and (own := known(layer)) is not None and own.kind == OWN:
        return {
            f".{name}": Known(kind=OWN, settings={}, weights={name: one}) for name, one in own.weights.items()
        }
    if divided and known(layer) is not None:
        return {f".{name}": _third(layer, place) for place, name in enumerate(PROJECTIONS)}
    if isinstance(layer, _SEPARABLE):
        return {".depthwise": _depthwise_part(layer), ".pointwise": _pointwise_part(layer)}
    found = known(layer)
    return {} if found is None else {"": found}


def _of_variables(group: Variables, *, divided: bool) -> dict[str, Known]:
    whole = group.known()
    if not divided or whole.kind != OWN:
        return {"": whole}
    return {f".{name}": replace(whole, weights={name: one}) for name, one in whole.weights.items()}


def third_of(layer: Any, place: int) -> slice:
    """Return which of a dense layer's outputs are those of its query, its key or its value."""
    width = int(layer.kernel.shape[-1]) // len(PROJECTIONS)
    return slice(place * width, (place + 1) * width)


def _third(layer: Any, place: int) -> Known:
    whole = known(layer)
    weights = {} if whole is None else whole.weights
    columns = third_of(layer, place)
    return Known(
        kind="dense",
        settings={"units": columns.stop - columns.start, "use_bias": "bias" in weights},
        weights={name: Held(variable=one.variable, columns=columns) for name, one in weights.items()},
    )


def _depthwise_part(layer: Any) -> Known:
    return Known(
        kind="depthwise_conv",
        settings={
            "kernel_size": list(layer.kernel_size),
            "strides": list(layer.strides),
            "padding": zeros_of(layer),
            "dilation_rate": list(layer.dilation_rate),
            "use_bias": False,
            "depth_multiplier": layer.depth_multiplier,
        },
        weights=held(layer, kernel="depthwise_kernel"),
        channels_first=layer.data_format == "channels_first",
    )


def _pointwise_part(layer: Any) -> Known:
    ones = [1] * layer.rank
    return Known(
        kind="conv",
        settings={
            "filters": layer.filters,
            "kernel_size": ones,
            "strides": ones,
            "padding": [[0, 0] for _ in ones],
            "dilation_rate": ones,
            "use_bias": layer.use_bias,
            "groups": 1,
        },
        weights=held(layer, kernel="pointwise_kernel", bias="bias"),
        channels_first=layer.data_format == "channels_first",
        activation=activation_of(layer),
    )


def apply_depthwise(layer: Any, inputs: Any) -> Any:
    """Apply a separable convolution's first part."""
    return OPS.depthwise_conv(
        inputs,
        layer.depthwise_kernel,
        strides=layer.strides,
        padding=layer.padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
    )


def apply_pointwise(layer: Any, inputs: Any) -> Any:
    """Apply a separable convolution's second part, before its activation."""
    outputs = OPS.conv(inputs, layer.pointwise_kernel, data_format=layer.data_format)
    if not layer.use_bias:
        return outputs
    axis = 1 if layer.data_format == "channels_first" else -1
    shape = [1] * (layer.rank + 2)
    shape[axis] = layer.filters
    return outputs + OPS.reshape(layer.bias, shape)
