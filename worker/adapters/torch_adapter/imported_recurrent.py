"""A recurrent module of several layers or directions, run one by one, so that each pairs with a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from likewise.worker.adapters.torch_adapter.imported_parts import ends_of

FUNCTIONS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""The functions behind recurrent modules."""
Part = Callable[[str, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor]
"""Records and forces what enters and leaves a part: its name, what enters, and what is done with it."""


def one_by_one(module: nn.RNNBase, func: Callable[..., Any], args: Sequence[Any], part: Part) -> Any:
    """Return what `func` gives, with each layer and direction seen by `part`.

    A direction that runs backwards leaves its steps in the order in which it takes them, as Keras's does. Of
    packed sequences the function is run as it is.
    """
    if not args[1:] or (isinstance(args[1], torch.Tensor) and not args[1].is_floating_point()):
        return func(*args)
    values, hx, flat, bias, layers, rate, training, both_ways, batch_first = args
    states = hx if isinstance(hx, tuple | list) else (hx,)
    directions, time = 2 if both_ways else 1, 1 if batch_first else 0
    a_part = len(flat) // (layers * directions)
    last_states: list[list[torch.Tensor]] = []
    for place, end in enumerate(ends_of(module)):
        backwards = end.endswith("_reverse")
        if not backwards:
            entering, sides = values, []
        own = tuple(one[place : place + 1] for one in states)
        state = own if isinstance(hx, tuple | list) else own[0]
        settings = (flat[place * a_part : (place + 1) * a_part], bias, 1, 0.0, training, False, batch_first)
        rest: list[torch.Tensor] = []

        run = partial(_run, func, state, settings, rest, time if backwards else None)
        left = part(end, entering, run)
        last_states.append([left.select(time, -1).unsqueeze(0), *rest])
        sides.append(left.flip(time) if backwards else left)
        if len(sides) == directions:
            values = torch.cat(sides, dim=-1)
            if rate and training and place < layers * directions - 1:
                values = functional.dropout(values, rate, training=True)
    return (values, *(torch.cat(several) for several in zip(*last_states, strict=True)))


def _run(
    func: Callable[..., Any],
    state: Any,
    settings: tuple[Any, ...],
    rest: list[torch.Tensor],
    turned: int | None,
    given: torch.Tensor,
) -> torch.Tensor:
    """Run one direction of one layer, with its steps turned round along an axis; keep the states but for the
    last output.
    """
    left, *last = func(given if turned is None else given.flip(turned), state, *settings)
    rest.extend(last[1:])
    return torch.as_tensor(left)
