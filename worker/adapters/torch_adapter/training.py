"""The Trainer: the leanest loop over a block's steps, and the update of one training or of many side by side.

All trainable weights lie in one tensor, as `weights` lays them out: (values,) for one training and
(members, values) for many. The optimizer's slots and the gradient have the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.optimizer import structure
from likewise.worker.adapters.common import check_inputs, check_samples
from likewise.worker.adapters.constants import (
    AVERAGE,
    GATHERED,
    constants_by_weight,
    fixed_constants,
    gathers,
    slot_starts,
    update_constants,
)
from likewise.worker.adapters.torch_adapter.constraints import Constrain, constrain_of
from likewise.worker.adapters.torch_adapter.losses import total_loss
from likewise.worker.adapters.torch_adapter.model import Network, with_added
from likewise.worker.adapters.torch_adapter.optimizers import follow_buffers, penalized, stepped
from likewise.worker.adapters.torch_adapter.weights import Layout
from likewise.worker.adapters.trainer import Batch, Block, Floats, Marks, State, Trainer, Weights

Tensor = Any


class TorchTrainer(Trainer):
    """A job's network, optimizer state and training samples on one device, trained eagerly.

    Nothing is read back during a block: the losses stay on the device until its end.
    """

    def __init__(self, job: Job, *, network: Network, samples: Batch) -> None:
        check_samples(network.program, samples)
        self.execution = "eager"
        self.network = network
        self.dtype = getattr(torch, job.precision)
        self.device = torch.device(network.device)
        self.samples = tuple(self.on_device(values) for values in samples.arrays)
        """x, y and, where there are any, the samples' weights."""
        self.layout = Layout.of([tuple(p.shape) for p in network.parameters()], self.dtype)
        self.flat = network.lay_out(self.layout)
        self.slots = {
            name: torch.full_like(self.flat, start) for name, start in slot_starts(job.optimizer).items()
        } | slots_beside(job, self.flat)
        buffers = dict(network.named_buffers())
        self._averaged = network.averaged(job.optimizer)
        self.slots |= {slot: buffers[name].clone() for name, slot in self._averaged.items()}
        self.fixed = {
            name: torch.tensor(value, dtype=self.dtype, device=self.device)
            for name, value in fixed_constants(job.optimizer).items()
        } | constants_of_weights(network, job.optimizer, layout=self.layout, like=self.flat)
        self._optimizer = job.optimizer
        self._loss = total_loss(job.losses, network.program)
        self._parameters = list(network.parameters())
        self._flat_update = FlatUpdate(
            structure(job.optimizer),
            layout=self.layout,
            weights=self.flat,
            slots=self.slots,
            fixed=self.fixed,
            around=Around.of(job, network, self.layout, buffers),
        )
        self._all_samples: Sequence[Tensor] = ()

    @property
    def compiles(self) -> bool:  # type: ignore[override]
        """Say that it never compiles, while it is eager."""
        return False

    def on_device(self, array: NDArray[Any]) -> Tensor:
        """Return the array as a tensor: a copy, or the same memory on the CPU."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def changing(self, block: Block) -> dict[str, Tensor]:
        """Return the optimizer's constants that change from update to update, by name: (n,)."""
        constants = update_constants(
            self._optimizer,
            learning_rates=block.learning_rates,
            first_step=block.first_step,
            accumulation=block.accumulation,
        )
        return {name: self.on_device(values).to(self.dtype) for name, values in constants.items()}

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        return read_back([self.run(*self._prepared(block))])

    def train_marked(self, block: Block, *, every: int) -> tuple[NDArray[np.float64], Marks]:
        """Run the block's updates, with snapshots on the way (see `Trainer.train_marked`)."""
        update, columns = self._prepared(block)
        snapshots, losses = [], []
        for begin in range(0, len(block.indices), every):
            snapshots.append(self.snapshot())
            losses.append(self.run(update, [column[begin : begin + every] for column in columns]))
        return read_back(losses), Marks(every=every, at=snapshots.__getitem__)

    def _prepared(self, block: Block) -> tuple[Callable[..., Tensor], list[Tensor]]:
        """Return the update for a block, and its inputs: a column (n, ...) for each, with a row an update."""
        changing, masks = self.changing(block), block.masks
        self._flat_update.expect(constants=changing, masks=masks)
        given = [*changing.values(), *map(self.on_device, masks.values())]
        if self._takes_all(block):
            return self.update_on_all, given
        return self.update, [self.on_device(block.indices), *given]

    def run(self, update: Callable[..., Tensor], columns: Sequence[Tensor]) -> Tensor:
        """Run n updates, each on its row of every column (n, ...); their losses (n,)."""
        return each(update, columns)

    def update(self, rows: Tensor, *given: Tensor) -> Tensor:
        """Do one update in place on the samples of these rows (b,); the loss before it, on the device.

        `given` is as in `FlatUpdate`.
        """
        return self._update([values.index_select(0, rows) for values in self.samples], given)

    def update_on_all(self, *given: Tensor) -> Tensor:
        """Do one update on all samples in their own order, which need not be gathered."""
        return self._update(self._all_samples, given)

    def _takes_all(self, block: Block) -> bool:
        """Return whether each update gets all samples in their order; if so, `_all_samples` has been made.

        That is a copy whose memory PyTorch aligns, as it does that of gathered batches. The samples
        themselves may lie in NumPy's memory, with any alignment, and some kernels then sum in another order.
        """
        samples, size = len(self.samples[0]), block.indices.shape[1]
        takes_all = size == samples and bool((block.indices == np.arange(samples)).all())
        if takes_all and not self._all_samples:
            self._all_samples = [values.clone() for values in self.samples]
        return takes_all

    def _update(self, batch: Sequence[Tensor], given: Sequence[Tensor]) -> Tensor:
        x, *targets = batch

        def losses(masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            return with_added(self.network(x, masks), self._loss, targets)

        return self._flat_update.run(losses, self._parameters, given)

    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the model's outputs (see `Trainer.outputs`)."""
        check_inputs(self.network.input_shape, x)
        result: Floats = self._evaluated(x, masks)[0].cpu().numpy()
        return result

    def penalty(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return what the layers' outputs add to the loss (see `Trainer.penalty`)."""
        added: Floats = self._evaluated(x, masks)[1].cpu().numpy()
        return added

    def _evaluated(self, x: Floats, masks: Mapping[str, Floats] | None) -> tuple[Tensor, Any]:
        given = None if masks is None else {path: self.on_device(mask) for path, mask in masks.items()}
        moving = dict(self.network.named_buffers())
        kept = {} if masks is None else cloned(moving)
        with torch.inference_mode():
            found: tuple[Tensor, Any] = self.network(self.on_device(x), given)
        if kept:
            put_back(moving, kept)
        return found

    def swap_average(self) -> None:
        """Exchange the trained weights and their average (see `Trainer.swap_average`)."""
        exchange(self.flat, self.slots[AVERAGE])
        buffers = dict(self.network.named_buffers())
        for name, slot in self._averaged.items():
            exchange(buffers[name], self.slots[slot])

    def weights(self) -> Weights:
        """Return a copy of the current weights."""
        return self.network.weights()

    def load_weights(self, weights: Weights) -> None:
        """Replace all weights by these."""
        self.network.load(weights)

    def state(self) -> State:
        """Return a copy of what training has changed (see `Trainer.state`)."""
        return copied(self._changed())

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        put_back(self._changed(), state)

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of what training has changed, which stays on the device."""
        return cloned(self._changed())

    def restore(self, snapshot: dict[str, Tensor]) -> None:
        """Go on from what `snapshot` gave."""
        put_back(self._changed(), snapshot)

    def _changed(self) -> dict[str, Tensor]:
        return named(weights=self.flat, slots=self.slots, buffers=self.network.named_buffers())


def slots_beside(job: Job, weights: Tensor) -> dict[str, Tensor]:
    """Return the slots beside the optimizer's own, as they start."""
    gathered = {GATHERED: torch.zeros_like(weights)} if gathers(job.training) else {}
    return gathered | ({AVERAGE: weights.clone()} if job.optimizer.use_ema else {})


def exchange(one: Tensor, other: Tensor) -> None:
    """Exchange the values of two tensors, which stay where they are."""
    kept = one.clone()
    one.copy_(other)
    other.copy_(kept)


def constants_of_weights(
    network: Network, optimizer: Optimizer, *, layout: Layout, like: Tensor
) -> dict[str, Tensor]:
    """Return the constants that differ from weight to weight, each as the weights lie: (values,)."""
    found = constants_by_weight(network.program, optimizer)
    return {
        name: layout.spread([numbers[weight] for weight in network.trained], like)
        for name, numbers in found.items()
    }


def each(update: Callable[..., Tensor], columns: Sequence[Tensor]) -> Tensor:
    """Run the update on each row of the columns (n, ...); the results (n, ...)."""
    return torch.stack([update(*inputs) for inputs in zip(*(c.unbind() for c in columns), strict=True)])


def read_back(losses: Sequence[Tensor]) -> NDArray[np.float64]:
    """Read parts of the losses of consecutive updates from the device in one go: float64 (n,)."""
    return torch.cat(list(losses)).to("cpu", torch.float64).numpy()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Around:
    """What stands around the optimizer's update."""

    constrain: Constrain
    """Keeps the weights (…, values) within their bounds, in place."""
    reports_penalty: bool
    """Whether the loss that is reported has the regularizers' penalty in it."""
    averaged: Mapping[str, str]
    """The slot that has the average of a buffer, by the buffer's name."""
    buffers: Mapping[str, Tensor]
    """The layers' buffers, by name."""

    @classmethod
    def of(cls, job: Job, network: Network, layout: Layout, buffers: Mapping[str, Tensor]) -> Around:
        """Return it for a job's network, whose weights lie as `layout` says, and its buffers."""
        averaged = network.averaged(job.optimizer)
        return cls(constrain_of(network, layout), job.training.report_penalty, averaged, buffers)


class FlatUpdate:
    """The weights, the optimizer's state, and the update that changes both.

    An update gets everything that differs from one update to the next as tensors, which is what a replay
    needs (see `replay`): first the optimizer's constants, then the dropout masks, in the order of `expect`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        layout: Layout,
        weights: Tensor,
        slots: Mapping[str, Tensor],
        fixed: Mapping[str, Tensor],
        around: Around,
    ) -> None:
        """`optimizer` gives the formula alone; `fixed` are its constants that never change."""
        self._optimizer = optimizer
        self._around = around
        self._layout = layout
        self._weights = weights
        self._slots = slots
        self._fixed = dict(fixed)
        self._gradient = torch.zeros_like(weights)
        self._gradients = layout.shaped(self._gradient)
        self._constants: tuple[str, ...] = ()
        self._masks: tuple[str, ...] = ()

    def expect(self, *, constants: Iterable[str], masks: Iterable[str]) -> None:
        """Say which constants and masks the next updates are given, by name."""
        self._constants, self._masks = tuple(constants), tuple(masks)

    def run(
        self,
        losses_of: Callable[[Mapping[str, Tensor]], tuple[Tensor, Tensor]],
        parameters: Sequence[Tensor],
        given: Sequence[Tensor],
    ) -> Tensor:
        """Change the weights and the slots by one update; the loss before it, or each member's (members,).

        `losses_of` computes that loss from the masks, with `parameters`, which are the layout's pieces: as
        the criterion has it, and with what the layers' outputs add, of which the gradient is taken.
        """
        count = len(self._constants)
        constants = dict(zip(self._constants, given[:count], strict=True))
        masks = dict(zip(self._masks, given[count:], strict=True))
        with torch.enable_grad():
            losses, whole = losses_of(masks)
            # members share no weight, so the gradient of the sum is each member's own
            total = whole.sum() if whole.ndim else whole
            gradients = torch.autograd.grad(total, parameters) if parameters else ()
        if gradients:
            torch._foreach_copy_(self._gradients, gradients)
            whole, gradient = penalized(whole.detach(), self._gradient, self._weights, self._fixed)
            stepped(
                self._optimizer,
                weights=self._weights,
                gradient=gradient,
                slots=self._slots,
                constants=self._fixed | constants,
                pieces=self._layout.pieces,
            )
            self._around.constrain(self._weights)
            follow_buffers(self._slots, self._around.buffers, self._around.averaged, self._fixed | constants)
        return (whole if self._around.reports_penalty else losses).detach()


def named(
    *, weights: Tensor, slots: Mapping[str, Tensor], buffers: Iterable[tuple[str, Tensor]]
) -> dict[str, Tensor]:
    """Name all that training changes: the parameters in one tensor, the slots, the layers' buffers."""
    return {
        "weights": weights,
        **{f"slots.{name}": slot for name, slot in slots.items()},
        **{f"buffers.{name}": buffer for name, buffer in buffers},
    }


def copied(tensors: Mapping[str, Tensor]) -> State:
    """Return their values as arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of them, on the same device."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def put_back(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write what `copied` or `cloned` gave into the same tensors: recorded and compiled programs use them."""
    with torch.no_grad():
        for name, tensor in tensors.items():
            value = values[name]
            tensor.copy_(value if torch.is_tensor(value) else torch.tensor(value))
