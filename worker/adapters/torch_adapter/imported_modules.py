"""PyTorch's modules in the common language of `worker.port.contract`: kinds, settings, weights, layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from likewise.worker.adapters.torch_adapter.imported_weights import (
    Array,
    Held,
    Known,
    given,
    optional,
    plain,
    turned,
)
from likewise.worker.port.contract import OWN
from likewise.worker.port.plain import as_json


def known(module: nn.Module) -> Known | None:
    """Return what is known of a module; None for one without weights of its own that no table has."""
    for base in type(module).__mro__:
        if base in _TABLE:
            return _TABLE[base](module)
    if has_columns(module):
        return _of_columns(module)
    own = {name: tensor for name, tensor in own_tensors(module) if tensor.is_floating_point()}
    if not own:
        return None
    return Known(kind=OWN, settings={}, held={name: plain(name, tensor) for name, tensor in own.items()})


def own_tensors(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return the parameters and buffers of a module itself, by name."""
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _linear(module: nn.Linear) -> Known:
    return Known(
        kind="dense",
        settings={"units": module.out_features, "use_bias": module.bias is not None},
        held=given(
            kernel=turned("weight", module.weight, (1, 0), "transposed"),
            bias=optional("bias", module.bias),
        ),
    )


def is_conv1d(module: nn.Module) -> bool:
    """Return whether a module is called as transformers' dense layer is, whose weight is (inputs, units)."""
    return type(module).__name__ == "Conv1D"


def has_columns(module: nn.Module) -> bool:
    """Return whether a module is a dense layer whose weight is (inputs, units): transformers' `Conv1D`."""
    weight = getattr(module, "weight", None)
    return is_conv1d(module) and hasattr(module, "nf") and getattr(weight, "ndim", 0) == 2


def _of_columns(module: nn.Module) -> Known:
    return Known(
        kind="dense",
        settings={"units": module.weight.shape[1], "use_bias": True},
        held=given(kernel=plain("weight", module.weight), bias=plain("bias", module.bias)),
    )


def _last(array: Array) -> Array:
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def _first(array: Array) -> Array:
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def _padding(module: Any) -> Any:
    """Return the zeros before and after each axis: `same` in PyTorch's sense in numbers, where they
    are whole.
    """
    if isinstance(module.padding, str):
        if module.padding == "valid":
            return [[0, 0] for _ in module.kernel_size]
        total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        return [[one // 2, one - one // 2] for one in total]
    return [[one, one] for one in module.padding]


def _convolution(module: Any) -> Known:
    rank = len(module.kernel_size)
    inputs, outputs, groups = module.in_channels, module.out_channels, module.groups
    settings = {
        "filters": outputs,
        "kernel_size": list(module.kernel_size),
        "strides": list(module.stride),
        "padding": _padding(module),
        "dilation_rate": list(module.dilation),
        "groups": groups,
        "use_bias": module.bias is not None,
    }
    if module.padding_mode != "zeros":
        settings["padding_mode"] = module.padding_mode
    spatial = tuple(range(2, 2 + rank))
    if groups == inputs and inputs > 1:
        shape = tuple(module.kernel_size)
        kernel = Held(
            tensors=(("weight", module.weight),),
            there=lambda arrays: arrays[0].reshape(inputs, -1, *shape).transpose(*spatial, 0, 1),
            back=lambda array: array.transpose(rank, rank + 1, *range(rank)).reshape(outputs, 1, *shape),
            transform="channels last, one kernel a channel",
        )
        settings.pop("groups")
        settings["depth_multiplier"] = outputs // inputs
        return Known(
            kind="depthwise_conv",
            settings=settings,
            held=given(kernel=kernel, bias=optional("bias", module.bias)),
            enters=_last,
            leaves=_first,
        )
    kernel = turned("weight", module.weight, (*spatial, 1, 0), "axes in Keras's order")
    return Known(
        kind="conv",
        settings=settings,
        held=given(kernel=kernel, bias=optional("bias", module.bias)),
        enters=_last,
        leaves=_first,
    )


def _transposed(module: Any) -> Known:
    spatial = tuple(range(2, 2 + len(module.kernel_size)))
    return Known(
        kind="conv_transpose",
        settings={
            "filters": module.out_channels,
            "kernel_size": list(module.kernel_size),
            "strides": list(module.stride),
            "dilation_rate": list(module.dilation),
            "crop": [
                [cut, cut - more] for cut, more in zip(module.padding, module.output_padding, strict=True)
            ],
            "use_bias": module.bias is not None,
        },
        held=given(
            kernel=turned("weight", module.weight, (*spatial, 1, 0), "axes in Keras's order"),
            bias=optional("bias", module.bias),
        ),
        enters=_last,
        leaves=_first,
    )


def _batch_norm(module: Any) -> Known:
    settings = {
        "epsilon": module.eps,
        "momentum": None if module.momentum is None else 1 - module.momentum,
        "affine": bool(module.affine),
    }
    return Known(
        kind="batch_norm",
        settings=settings,
        held=given(
            gamma=optional("weight", module.weight),
            beta=optional("bias", module.bias),
            moving_mean=optional("running_mean", module.running_mean),
            moving_variance=optional("running_var", module.running_var),
        ),
        enters=_last,
        leaves=_first,
    )


def _layer_norm(module: nn.LayerNorm) -> Known:
    return Known(
        kind="layer_norm",
        settings={"epsilon": module.eps},
        held=given(gamma=optional("weight", module.weight), beta=optional("bias", module.bias)),
    )


def _group_norm(module: nn.GroupNorm) -> Known:
    return Known(
        kind="group_norm",
        settings={"groups": module.num_groups, "epsilon": module.eps},
        held=given(gamma=optional("weight", module.weight), beta=optional("bias", module.bias)),
        enters=_last,
        leaves=_first,
    )


def _embedding(module: nn.Embedding) -> Known:
    settings: dict[str, Any] = {"input_dim": module.num_embeddings, "output_dim": module.embedding_dim}
    if module.padding_idx is not None:
        settings["padding_idx"] = module.padding_idx
    return Known(kind="embedding", settings=settings, held=given(embeddings=plain("weight", module.weight)))


def _prelu(module: nn.PReLU) -> Known:
    return Known(kind="prelu", settings={}, held=given(alpha=plain("weight", module.weight)))


def _pool(kind: str) -> Callable[[Any], Known]:
    def pool(module: Any) -> Known:
        settings = {
            "pool_size": as_json(module.kernel_size),
            "strides": as_json(module.stride),
            "padding": as_json(module.padding),
        }
        if module.ceil_mode:
            settings["ceil_mode"] = True
        if kind == "average_pool" and as_json(module.padding) not in (0, [0, 0], [0]):
            settings["counts_padding"] = module.count_include_pad
        return Known(kind=kind, settings=settings, enters=_last, leaves=_first)

    return pool


def _zero_padding(module: nn.ZeroPad2d) -> Known:
    left, right, top, bottom = module.padding
    return Known(
        kind="zero_padding", settings={"zeros": [[top, bottom], [left, right]]}, enters=_last, leaves=_first
    )


def _plainly(kind: str, **names: str) -> Callable[[Any], Known]:
    def made(module: Any) -> Known:
        return Known(kind=kind, settings={ours: as_json(getattr(module, own)) for ours, own in names.items()})

    return made


_TABLE: Mapping[type, Callable[[Any], Known]] = {
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _transposed),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
    nn.PReLU: _prelu,
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _pool("max_pool")),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _pool("average_pool")),
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d), _plainly("dropout", rate="p")),
    nn.ReLU: _plainly("relu"),
    nn.ReLU6: _plainly("relu6"),
    nn.LeakyReLU: _plainly("leaky_relu", negative_slope="negative_slope"),
    nn.ELU: _plainly("elu", alpha="alpha"),
    nn.GELU: _plainly("gelu", approximate="approximate"),
    nn.SiLU: _plainly("silu"),
    nn.Sigmoid: _plainly("sigmoid"),
    nn.Tanh: _plainly("tanh"),
    nn.Softmax: _plainly("softmax", axis="dim"),
    nn.ZeroPad2d: _zero_padding,
}
CHANGEABLE = {
    "epsilon": ("eps", lambda value: value),
    "momentum": ("momentum", lambda value: 1 - value),
    "negative_slope": ("negative_slope", lambda value: value),
    "alpha": ("alpha", lambda value: value),
    "approximate": ("approximate", lambda value: value),
    "strides": ("stride", tuple),
    "dilation_rate": ("dilation", tuple),
}
"""The settings of live modules that can be changed: PyTorch's name, and the value as PyTorch has it."""


def pad(module: nn.Module, zeros: Sequence[Sequence[int]] | None) -> bool:
    """Let a live convolution add these zeros before and after each spatial axis, or, without any, what it was
    made with; return whether it can.
    """
    if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) or module.padding_mode != "zeros":
        return False
    if zeros is None:
        module.__dict__.pop("forward", None)
        module.padding = module.__dict__.pop("_made_with", module.padding)
        return True
    module.__dict__.setdefault("_made_with", module.padding)
    around = [number for pair in reversed(zeros) for number in pair]
    own = type(module).forward

    def forward(entered: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = own(module, nn.functional.pad(entered, around))
        return output

    module.padding = (0,) * len(zeros)
    module.__dict__["forward"] = forward
    return True
