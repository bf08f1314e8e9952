"""`nn.MultiheadAttention` as its four projections, so that it pairs with a program that has them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from likewise.worker.port.contract import PROJECTIONS

Part = Callable[[str, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor]
"""Records and forces what enters and leaves a part: its name, what enters, and what is done with it."""


@contextmanager
def slowly() -> Iterator[None]:
    """Let attention run by its projections while it is entered, where PyTorch may fuse them in evaluation."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def watch_attention(stack: ExitStack, module: nn.MultiheadAttention, part: Part) -> None:
    """Let `part` see each of the module's projections, until the stack is closed."""
    original = functional.linear

    def before(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        query = arguments[0] if arguments else named["query"]
        samples = 1 if query.dim() == 2 else query.shape[0 if module.batch_first else 1]
        functional.linear = linear(samples)

    def after(*_: Any) -> None:
        functional.linear = original

    def linear(samples: int) -> Callable[..., torch.Tensor]:
        """Return what stands for `linear` within one call of the module."""

        def applied(
            entered: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
        ) -> torch.Tensor:
            if weight is module.out_proj.weight:  # its steps and samples are one axis, steps first
                steps = entered.reshape(-1, samples, entered.shape[-1])
                left = part("output", steps, lambda given: original(given, weight, bias))
                return left.reshape(*entered.shape[:-1], left.shape[-1])
            pieces = weight.split(module.embed_dim)
            biases = [None] * len(pieces) if bias is None else bias.split(module.embed_dim)
            first = _place(module, weight)
            return torch.cat(
                [
                    part(PROJECTIONS[first + place], entered, _projected(original, piece, added))
                    for place, (piece, added) in enumerate(zip(pieces, biases, strict=True))
                ],
                dim=-1,
            )

        return applied

    stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(after, always_call=True).remove)


def watch_thirds(stack: ExitStack, module: nn.Linear, part: Part) -> None:
    """Let `part` see the query, the key and the value of one dense layer, until the stack is closed."""
    original = functional.linear

    def applied(
        entered: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        pieces = weight.chunk(len(PROJECTIONS))
        biases = [None] * len(pieces) if bias is None else bias.chunk(len(PROJECTIONS))
        return torch.cat(
            [
                part(name, entered, _projected(original, piece, added))
                for name, piece, added in zip(PROJECTIONS, pieces, biases, strict=True)
            ],
            dim=-1,
        )

    def before(*_: Any) -> None:
        functional.linear = applied

    def after(*_: Any) -> None:
        functional.linear = original

    stack.callback(module.register_forward_pre_hook(before).remove)
    stack.callback(module.register_forward_hook(after, always_call=True).remove)


def watch_columns(stack: ExitStack, module: nn.Module, part: Part) -> None:
    """Let `part` see the query, the key and the value of one dense layer whose weight is (inputs, units)."""

    def forward(entered: torch.Tensor) -> torch.Tensor:
        pieces = module.weight.T.chunk(len(PROJECTIONS))
        biases = module.bias.chunk(len(PROJECTIONS))
        return torch.cat(
            [
                part(name, entered, _projected(functional.linear, piece, added))
                for name, piece, added in zip(PROJECTIONS, pieces, biases, strict=True)
            ],
            dim=-1,
        )

    module.__dict__["forward"] = forward
    stack.callback(module.__dict__.pop, "forward")


def _projected(
    linear: Callable[..., torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda given: linear(given, weight, bias)


def _place(module: nn.MultiheadAttention, weight: torch.Tensor) -> int:
    """Return which projection a weight, or the first of its rows, belongs to."""
    if module.in_proj_weight is None:
        own = [getattr(module, f"{name[0]}_proj_weight") for name in PROJECTIONS]
        return next(place for place, one in enumerate(own) if one is weight)
    before = weight.storage_offset() - module.in_proj_weight.storage_offset()
    return int(before // module.embed_dim**2)
