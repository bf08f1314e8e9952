"""A job's structure compiled: a loop of whole updates as one torch.compile program.

One update is traced to a graph of ATen operations, forward, backward and update; `while_loop` repeats it
as often as it is told at run time. So a block needs one call for up to `most` updates, and nothing but
shapes is compiled in. All numbers are arguments: weights, the optimizer's constants, batches, masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch
from torch._higher_order_ops.while_loop import while_loop
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from shared.job import Job
from shared.job.optimizer import structure
from worker.adapters.torch_adapter.compiling import compiled
from worker.adapters.torch_adapter.flat import Layout
from worker.adapters.torch_adapter.losses import loss_function
from worker.adapters.torch_adapter.model import Network
from worker.adapters.torch_adapter.optimizers import update

Tensor = Any
State = dict[str, Any]
"""`weights` (values,) in one tensor, `slots` of the optimizer, `buffers` of the layers, by name."""
Given = dict[str, Any]
"""What an update gets, by name: `samples` (x, y, their weights), `masks` and `changing` constants."""
Constants = Mapping[str, Tensor]

_MOST_STEPS = 256
_MOST_BYTES = 16 * 1024 * 1024
"""Of the batches and masks that one call takes."""


def pure_step(
    job: Job, *, network: Network, layout: Layout
) -> Callable[[State, Given, Constants], tuple[State, Tensor]]:
    """One update without side effects: (state, given, fixed constants) → (state after, loss before)."""
    loss_of = loss_function(job.loss)
    optimizer = structure(job.optimizer)
    names = [name for name, _ in network.named_parameters()]

    def step(state: State, given: Given, fixed: Constants) -> tuple[State, Tensor]:
        after = pytree.tree_map(torch.clone, state)
        leaves = [piece.detach().requires_grad_() for piece in layout.shaped(state["weights"])]
        x, *targets = given["samples"].values()
        with torch.enable_grad():
            weights = dict(zip(names, leaves, strict=True)) | after["buffers"]
            outputs = torch.func.functional_call(network, weights, (x, given["masks"]))
            loss = loss_of(outputs, *targets)
            gradients = torch.autograd.grad(loss, leaves) if leaves else ()
        if leaves:
            update(
                optimizer,
                weights=after["weights"],
                gradient=layout.flat(gradients),
                slots=after["slots"],
                constants={**fixed, **given["changing"]},
                pieces=layout.pieces,
            )
        return after, loss.detach()

    return step


class Program:
    """The compiled loop for batches of one size; it keeps no weights."""

    def __init__(self, job: Job, *, network: Network, layout: Layout, batch_bytes: int) -> None:
        """`batch_bytes` is the size of one batch with its masks."""
        self.most = max(1, min(_MOST_STEPS, _MOST_BYTES // max(1, batch_bytes)))
        self._step: Any = pure_step(job, network=network, layout=layout)
        self._loop: Any = None

    @property
    def ready(self) -> bool:
        """Whether it has been compiled."""
        return self._step is None

    def run(self, state: State, given: Given, fixed: Constants, *, steps: int) -> Tensor:
        """Change the state by `steps` updates, at most `most`; their losses (steps,).

        Each tensor of `given` has `most` as its first axis; what lies beyond `steps` is not read.
        """
        before = pytree.tree_leaves(state)
        table = pytree.tree_leaves(given)
        constants = list(fixed.values())
        with torch.no_grad():
            if self._loop is None:
                graph = self._traced(state, given, fixed)
                self._loop = compiled(_loop(graph, most=self.most))
            losses, after = self._loop(torch.tensor(steps), before, table, constants)
            if before:
                torch._foreach_copy_(before, after)
        self._step = None  # and with it the first job's network
        return losses[:steps]

    def _traced(self, state: State, given: Given, fixed: Constants) -> Any:
        """One update as a graph: (state, given, fixed, each flattened) → (state after, loss)."""
        first = pytree.tree_map(lambda values: values[0], given)
        values, form = pytree.tree_flatten((state, first, dict(fixed)))

        def update_of_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
            after, loss = self._step(*pytree.tree_unflatten(tensors, form))
            return (*pytree.tree_leaves(after), loss)

        # oneDNN's whole lstm of float32 cannot be compiled; PyTorch's own operations can
        with _onednn_off():
            graph = make_fx(update_of_tensors)(*values)
        graph.graph.eliminate_dead_code()
        graph.recompile()
        return graph


@contextmanager
def _onednn_off() -> Iterator[None]:
    """`torch.backends.mkldnn.flags` sets more than this, and warns of it."""
    before, torch.backends.mkldnn.enabled = torch.backends.mkldnn.enabled, False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before


def _loop(graph: Any, *, most: int) -> Callable[..., tuple[Tensor, Sequence[Tensor]]]:
    """(steps, state, given, fixed constants) → (losses (most,), state after so many updates)."""

    def loop(
        steps: Tensor, state: Sequence[Tensor], given: Sequence[Tensor], fixed: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        def more(i: Tensor, _: Tensor, *__: Tensor) -> Tensor:
            return i < steps

        def once(i: Tensor, losses: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            row = i.reshape(1)
            *after, loss = graph(*state, *(table.index_select(0, row).squeeze(0) for table in given), *fixed)
            losses = torch.where(torch.arange(most, device=losses.device) == i, loss, losses)
            return (i + 1, losses, *after)

        start = torch.zeros_like(steps), given[0].new_zeros(most), *state
        _, losses, *after = while_loop(more, once, start)
        return losses, after

    # torch.compile counts its compilations by code object and gives up at the eighth
    own = loop.__code__.replace(co_name=f"loop_{id(graph)}")
    return FunctionType(own, loop.__globals__, closure=loop.__closure__)
