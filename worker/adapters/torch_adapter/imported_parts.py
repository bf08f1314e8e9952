"""PyTorch's modules that are several of the common language, such as an LSTM of two layers or attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from likewise.worker.adapters.torch_adapter.imported_modules import (
    has_columns,
    known,
    own_tensors,
)
from likewise.worker.adapters.torch_adapter.imported_weights import (
    Array,
    Held,
    Known,
    Turn,
    given,
    optional,
    plain,
    turned,
)
from likewise.worker.port.contract import OWN, PROJECTIONS

_RECURRENT: Mapping[type, tuple[str, Sequence[int] | None]] = {
    nn.LSTM: ("lstm", None),
    nn.GRU: ("gru", (1, 0, 2)),
    nn.RNN: ("simple_rnn", None),
}
"""The kind of each recurrent module, and Keras's order of its gates where that is another."""


def parts(module: nn.Module, *, divided: bool = False) -> dict[str, Known]:
    """Return the modules that one is made of, by what their path ends in; `""` is the module itself.

    A dense layer that is `divided` is a query, a key and a value; of a module of the user's own each weight
    is a part.
    """
    if divided and (isinstance(module, nn.Linear) or has_columns(module)):
        return linear_parts(module)
    if divided and (own := known(module)) is not None and own.kind == OWN:
        return {f".{name}": Known(kind=OWN, settings={}, held={name: one}) for name, one in own.held.items()}
    if isinstance(module, nn.MultiheadAttention):
        return attention_parts(module)
    if isinstance(module, nn.RNNBase):
        return recurrent_parts(module)
    found = known(module)
    return {} if found is None else {"": found}


def recurrent_parts(module: nn.RNNBase) -> dict[str, Known]:
    """Return the layers and directions of a recurrent module, each with its weights; a lone one is itself."""
    if module.proj_size:
        return {
            "": Known(
                kind=OWN, settings={}, held={name: plain(name, one) for name, one in own_tensors(module)}
            )
        }
    found = {f".{end}": _recurrent(module, end) for end in ends_of(module)}
    return found if len(found) > 1 else {"": found[".l0"]}


def ends_of(module: nn.RNNBase) -> list[str]:
    """Return what PyTorch calls the layers and directions of a recurrent module, in the order of use."""
    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    return [f"l{layer}{suffix}" for layer in range(module.num_layers) for suffix in suffixes]


def _recurrent(module: nn.RNNBase, end: str) -> Known:
    kind, gates = next(what for base, what in _RECURRENT.items() if isinstance(module, base))
    turn = _in_order(gates)
    held: dict[str, Held] = {}
    for own, common in (("ih", "kernel"), ("hh", "recurrent_kernel")):
        held[common] = Held(
            tensors=((f"weight_{own}_{end}", getattr(module, f"weight_{own}_{end}")),),
            there=lambda arrays: turn(arrays[0].T),
            back=lambda array: turn(array).T,
            transform="transposed" if gates is None else "transposed, gates in Keras's order",
        )
    if module.bias:
        pair = tuple((f"bias_{own}_{end}", getattr(module, f"bias_{own}_{end}")) for own in ("ih", "hh"))
        if gates is None:
            held["bias"] = Held(
                tensors=pair, there=_sum_of, back=lambda array: array, transform="sum of both biases"
            )
        else:
            for (own, tensor), common in zip(pair, ("bias", "recurrent_bias"), strict=True):
                held[common] = Held(
                    tensors=((own, tensor),),
                    there=lambda arrays: turn(arrays[0]),
                    back=turn,
                    transform="gates in Keras's order",
                )
    layout: Turn = (lambda array: array) if module.batch_first else _swap
    return Known(kind=kind, settings={"units": module.hidden_size}, held=held, enters=layout, leaves=layout)


def linear_parts(module: nn.Module) -> dict[str, Known]:
    """Return the three projections that a dense layer has one behind the other."""
    columns = has_columns(module)
    width = module.weight.shape[1 if columns else 0] // len(PROJECTIONS)
    found = {}
    for place, name in enumerate(PROJECTIONS):
        rows = slice(place * width, (place + 1) * width)
        where = f"[{rows.start}:{rows.stop}]"
        bias = None if module.bias is None else plain(f"bias{where}", module.bias, rows=rows)
        if columns:
            kernel = plain(f"weight[:, {rows.start}:{rows.stop}]", module.weight, rows=(slice(None), rows))
        else:
            kernel = turned(f"weight{where}", module.weight, (1, 0), "rows, transposed", rows=rows)
        found[f".{name}"] = Known(
            kind="dense",
            settings={"units": width, "use_bias": bias is not None},
            held=given(
                kernel=kernel,
                bias=bias,
            ),
        )
    return found


def attention_parts(module: nn.MultiheadAttention) -> dict[str, Known]:
    """Return the four projections of an attention, which keeps three of them in one tensor.

    Of one that adds rows to keys and values the weights go as they are.
    """
    if module.bias_k is not None or module.bias_v is not None:
        own = {name: plain(name, tensor) for name, tensor in own_tensors(module)}
        return {"": Known(kind=OWN, settings={}, held=own)}
    width = module.embed_dim
    found = {}
    for place, name in enumerate(PROJECTIONS):
        rows = slice(place * width, (place + 1) * width)
        where = f"[{rows.start}:{rows.stop}]"
        if module.in_proj_weight is not None:
            kernel = turned(
                f"in_proj_weight{where}", module.in_proj_weight, (1, 0), "rows, transposed", rows=rows
            )
        else:
            apart = f"{name[0]}_proj_weight"
            kernel = turned(apart, getattr(module, apart), (1, 0), "transposed")
        bias = None
        if module.in_proj_bias is not None:
            bias = plain(f"in_proj_bias{where}", module.in_proj_bias, rows=rows)
        found[f".{name}"] = Known(
            kind="dense",
            settings={"units": width, "use_bias": bias is not None, "num_heads": module.num_heads},
            held=given(kernel=kernel, bias=bias),
            enters=_swap,
            leaves=_swap,
        )
    last = module.out_proj
    found[".output"] = Known(
        kind="dense",
        settings={"units": width, "use_bias": last.bias is not None},
        held=given(
            kernel=turned("out_proj.weight", last.weight, (1, 0), "transposed"),
            bias=optional("out_proj.bias", last.bias),
        ),
        enters=_swap,
        leaves=_swap,
    )
    return found


def _swap(array: Array) -> Array:
    """Return samples and steps exchanged, where there are both."""
    return np.swapaxes(array, 0, 1) if array.ndim > 2 else array


def _sum_of(arrays: Sequence[Array]) -> Array:
    """Return a lone array, or what two biases that stand beside each other come to."""
    return arrays[0] if len(arrays) == 1 else arrays[0] + arrays[1]


def _in_order(order: Sequence[int] | None) -> Turn:
    """Return what puts the gates, blocks of the last axis, in another order; (1, 0, 2) undoes itself."""

    def turn(array: Array) -> Array:
        if order is None:
            return array
        parts = np.split(array, len(order), axis=-1)
        return np.concatenate([parts[place] for place in order], axis=-1)

    return turn
