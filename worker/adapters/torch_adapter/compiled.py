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

import numpy as np
import torch
from numpy.typing import NDArray
from torch._higher_order_ops.while_loop import while_loop
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from likewise.shared.job import Job
from likewise.shared.job.optimizer import structure
from likewise.shared.job.training import BatchPlan
from likewise.worker.adapters.common import Programs, bytes_per_sample
from likewise.worker.adapters.constants import gathers
from likewise.worker.adapters.torch_adapter.execution import compiled
from likewise.worker.adapters.torch_adapter.losses import total_loss
from likewise.worker.adapters.torch_adapter.model import Network, with_added
from likewise.worker.adapters.torch_adapter.optimizers import follow_buffers, penalized, stepped
from likewise.worker.adapters.torch_adapter.training import Around, TorchTrainer, read_back
from likewise.worker.adapters.torch_adapter.weights import Layout
from likewise.worker.adapters.trainer import Batch, Block, Marks, Trainer

Tensor = Any
LoopState = dict[str, Any]
"""`weights` (values,) in one tensor, `slots` of the optimizer, `buffers` of the layers, by name."""
Given = dict[str, Any]
"""What an update gets, by name: `samples` (x, y, their weights), `masks` and `changing` constants."""
Constants = Mapping[str, Tensor]

_MOST_STEPS = 256
_MOST_BYTES = 16 * 1024 * 1024
"""The batches and masks that one call takes are no larger."""


def pure_step(
    job: Job, *, network: Network, layout: Layout
) -> Callable[[LoopState, Given, Constants], tuple[LoopState, Tensor]]:
    """Return an update without side effects: (state, given, fixed) → (state after, loss before)."""
    loss_of = total_loss(job.losses, network.program)
    optimizer = structure(job.optimizer)
    around = Around.of(job, network, layout, {})
    names = [name for name, _ in network.named_parameters()]

    def step(state: LoopState, given: Given, fixed: Constants) -> tuple[LoopState, Tensor]:
        after = pytree.tree_map(torch.clone, state)
        leaves = [piece.detach().requires_grad_() for piece in layout.shaped(state["weights"])]
        x, *targets = given["samples"].values()
        with torch.enable_grad():
            weights = dict(zip(names, leaves, strict=True)) | after["buffers"]
            computed = torch.func.functional_call(network, weights, (x, given["masks"]))
            loss, whole = with_added(computed, loss_of, targets)
            gradients = torch.autograd.grad(whole, leaves) if leaves else ()
        if leaves:
            whole, gradient = penalized(whole.detach(), layout.flat(gradients), state["weights"], fixed)
            stepped(
                optimizer,
                weights=after["weights"],
                gradient=gradient,
                slots=after["slots"],
                constants={**fixed, **given["changing"]},
                pieces=layout.pieces,
            )
            around.constrain(after["weights"])
            constants = {**fixed, **given["changing"]}
            follow_buffers(after["slots"], after["buffers"], around.averaged, constants)
        return after, (whole if around.reports_penalty else loss).detach()

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

    def run(self, state: LoopState, given: Given, fixed: Constants, *, steps: int) -> Tensor:
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

    def _traced(self, state: LoopState, given: Given, fixed: Constants) -> Any:
        """Trace one update to a graph: (state, given, fixed, each flattened) → (state after, loss)."""
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

        start = torch.zeros_like(steps), state[0].new_zeros(most), *state
        _, losses, *after = while_loop(more, once, start)
        return losses, after

    # torch.compile counts its compilations by code object and gives up at the eighth
    own = loop.__code__.replace(co_name=f"loop_{id(graph)}")
    return FunctionType(own, loop.__globals__, closure=loop.__closure__)


class CompiledTrainer(TorchTrainer):
    """Hands its state, and each block in portions, to the program for the block's batch size."""

    def __init__(self, job: Job, *, network: Network, samples: Batch, programs: Programs) -> None:
        super().__init__(job, network=network, samples=samples)
        self.execution = "compiled (torch.compile)"
        self._job = job
        self._programs = programs
        self._plan = BatchPlan.of(job.training, len(samples.x))
        self._programs_of: dict[int, Program] = {}
        self._tables: dict[tuple[int, str], Tensor] = {}

    @property
    def compiles(self) -> bool:  # type: ignore[override]
        """Whether a batch size of this training has no compiled program yet."""
        plan = self._plan
        sizes = [size for size in (plan.full and plan.batch_size, plan.remainder) if size]
        return not all(self._program(size).ready for size in sizes)

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        steps, size = block.indices.shape
        program = self._program(size)
        indices, changing = self.on_device(block.indices), self.changing(block)
        state = {"weights": self.flat, "slots": self.slots, "buffers": dict(self.network.named_buffers())}
        losses = []
        for begin in range(0, steps, program.most):
            part = slice(begin, begin + program.most)
            rows = indices[part]
            given = {
                "samples": {
                    str(place): values.index_select(0, rows.flatten()).unflatten(0, rows.shape)
                    for place, values in enumerate(self.samples)
                },
                "masks": {path: self.on_device(mask[part]) for path, mask in block.masks.items()},
                "changing": {name: values[part] for name, values in changing.items()},
            }
            losses.append(
                program.run(state, self._tabled(given, size, program.most), self.fixed, steps=len(rows))
            )
        return read_back(losses)

    def train_marked(self, block: Block, *, every: int) -> tuple[NDArray[np.float64], Marks]:
        """Run the block's updates, in a call of its own from each mark to the next."""
        return Trainer.train_marked(self, block, every=every)

    def _program(self, batch_size: int) -> Program:
        if batch_size not in self._programs_of:
            self._programs_of[batch_size] = self._find_program(batch_size)
        return self._programs_of[batch_size]

    def _find_program(self, batch_size: int) -> Program:
        sample_bytes = sum(values[0].nbytes for values in self.samples)
        sample_bytes += bytes_per_sample(self.network.program.masks, self._job.precision)
        key = (
            self.network.program,
            self._job.loss,
            structure(self._job.optimizer),
            gathers(self._job.training),
            self._job.training.report_penalty,
            batch_size,
            torch.get_num_threads(),  # compiled into the loops
            *((values.dtype, tuple(values.shape[1:])) for values in self.samples),
        )
        return self._programs.get(
            key,
            lambda: Program(
                self._job,
                network=self.network,
                layout=self.layout,
                batch_bytes=batch_size * sample_bytes,
            ),
        )

    def _tabled(self, given: dict[str, dict[str, Tensor]], size: int, most: int) -> Given:
        """Return what is given in tensors with room for `most` updates; what lies beyond may be anything."""
        return {
            kind: {name: self._table(f"{kind}.{name}", size, values, most) for name, values in parts.items()}
            for kind, parts in given.items()
        }

    def _table(self, name: str, size: int, values: Tensor, most: int) -> Tensor:
        table = self._tables.get((size, name))
        if table is None:
            table = self._tables[size, name] = values.new_zeros((most, *values.shape[1:]))
        table[: len(values)] = values
        return table
