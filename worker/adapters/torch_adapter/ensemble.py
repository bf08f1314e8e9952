"""The EnsembleTrainer: the forward pass of all members under torch.vmap, their updates side by side.

The optimizer's formulas go by element and take the members as a first axis (see `training.FlatUpdate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.optimizer import structure
from likewise.shared.job.training import BatchPlan
from likewise.shared.program import ProgramSpec
from likewise.shared.program.together import convolutions_obstacle, recurrent_numbers
from likewise.worker.adapters.common import check_inputs, check_samples, check_weights
from likewise.worker.adapters.constants import (
    AVERAGE,
    member_fixed_constants,
    member_slot_starts,
    member_update_constants,
)
from likewise.worker.adapters.torch_adapter.execution import REPLAYED_FROM_STEPS
from likewise.worker.adapters.torch_adapter.losses import total_loss
from likewise.worker.adapters.torch_adapter.model import Network, with_added
from likewise.worker.adapters.torch_adapter.recurrent import Recurrent
from likewise.worker.adapters.torch_adapter.replay import ReplayedUpdate
from likewise.worker.adapters.torch_adapter.training import (
    Around,
    FlatUpdate,
    cloned,
    constants_of_weights,
    copied,
    each,
    exchange,
    named,
    put_back,
    slots_beside,
)
from likewise.worker.adapters.torch_adapter.weights import Layout
from likewise.worker.adapters.trainer import Batch, EnsembleBlock, EnsembleTrainer, Floats, State, Weights

Tensor = Any

MOST_CONVOLVED = 25_000
"""The most numbers that one member's convolutions may output in a step. With up to 18,000, eight or sixteen
members take 0.3 to 0.9 of the time that they take in turn; with 33,000, 0.95 to 1.15."""
MOST_FUSED = 10_000
"""The most numbers that one member's lstm may output in a step. With up to 8,000, two members take 0.55 to
0.95 of the time that they take in turn and sixteen 0.25 to 0.9; with 16,000, 1.15 to 1.5; with 33,000,
1.5 to 2."""


def obstacle(job: Job, program: ProgramSpec, *, samples: int, members: int, cpu: bool) -> str | None:
    """Return why members of this job train better one after another, as the end of a sentence."""
    if not cpu:
        return None
    # in float32 oneDNN has a whole lstm in one operation; the other cells PyTorch starts step by step
    if job.precision == "float32" and any(cell.kind == "lstm" for cell in program.cells):
        numbers = recurrent_numbers(job, program, samples=samples)
        if numbers > MOST_FUSED:
            return (
                f"PyTorch's own lstm is quicker so on a CPU where it gives more than {MOST_FUSED:,} numbers "
                f"a step, and here it gives {numbers:,}"
            )
    return convolutions_obstacle(job, program, samples=samples, members=members, most=MOST_CONVOLVED)


class TorchEnsemble(EnsembleTrainer):
    """Weights, optimizer state and masks have the members as their first axis; samples are shared."""

    def __init__(
        self,
        job: Job,
        optimizers: Sequence[Optimizer],
        *,
        network: Network,
        weights: Weights,
        samples: Batch,
    ) -> None:
        check_samples(network.program, samples)
        for layer in network.layers:
            if isinstance(layer, Recurrent):
                layer.written_out = True
        self.members = len(optimizers)
        self.execution = "vectorised (torch.vmap)"
        self.compiles = False
        self._optimizers = optimizers
        steps = BatchPlan.of(job.training, len(samples.x)).steps
        self._replays = network.device == "cpu" and steps >= REPLAYED_FROM_STEPS
        self._updates: dict[int, ReplayedUpdate] = {}
        """The key is the batch size; indices are (n, b) or (members, n, b), alike in all blocks."""
        self._dtype = getattr(torch, job.precision)
        self._device = network.device
        self._network = network
        self._loss = total_loss(job.losses, network.program)
        self._samples = tuple(self._on_device(values) for values in samples.arrays)

        parameters = dict(network.named_parameters())
        layout = Layout.of([tuple(p.shape) for p in parameters.values()], self._dtype)
        self._flat = self._zeros(layout.size)
        pieces = layout.shaped(self._flat)
        self._parameters = {
            name: piece.detach().requires_grad_() for name, piece in zip(parameters, pieces, strict=True)
        }
        self._buffers = {name: self._zeros(*buffer.shape) for name, buffer in network.named_buffers()}
        self._load(weights)

        starts = member_slot_starts(optimizers)
        self._slots = {
            name: self._column(start).expand_as(self._flat).clone() for name, start in starts.items()
        } | slots_beside(job, self._flat)
        self._averaged = network.averaged(job.optimizer)
        self._slots |= {slot: self._buffers[name].clone() for name, slot in self._averaged.items()}
        fixed = member_fixed_constants(optimizers)
        self._flat_update = FlatUpdate(
            structure(optimizers[0]),
            layout=layout,
            weights=self._flat,
            slots=self._slots,
            fixed={name: self._column(values) for name, values in fixed.items()}
            | constants_of_weights(network, optimizers[0], layout=layout, like=self._flat),
            around=Around.of(job, network, layout, self._buffers),
        )

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(self.members, *shape, dtype=self._dtype, device=self._device)

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _column(self, values: NDArray[np.float64]) -> Tensor:
        """Return one number for each member, in a shape that broadcasts over its weights: (…, members, 1)."""
        return torch.tensor(values, dtype=self._dtype, device=self._device).unsqueeze(-1)

    def _places(self) -> dict[str, tuple[Tensor, Any]]:
        """Return, by weight name, the tensor with all members' values and how the weight is stored in it."""
        own = {id(tensor): name for name, tensor in self._network.named_parameters()}
        own |= {id(tensor): name for name, tensor in self._network.named_buffers()}
        stacked = self._parameters | self._buffers
        return {
            name: (stacked[own[id(place.parameter)]].detach(), place)
            for name, place in self._network.stored.items()
        }

    def _load(self, weights: Weights) -> None:
        shapes = self._network.program.weight_shapes
        check_weights({name: (self.members, *shape) for name, shape in shapes.items()}, weights)
        for name, (values, place) in self._places().items():
            values.copy_(torch.vmap(place.to_torch)(self._on_device(weights[name])))

    def train(self, block: EnsembleBlock) -> NDArray[np.float64]:
        """Run the block's updates (see `EnsembleTrainer.train`)."""
        columns, size = self._columns(block), block.indices.shape[-1]
        if self._replays:
            update_ = self._updates.setdefault(size, ReplayedUpdate(self._update))
            losses = update_(columns)
        else:
            losses = each(self._update, columns)
        return losses.T.to("cpu", torch.float64).numpy()  # type: ignore[no-any-return]

    def _columns(self, block: EnsembleBlock) -> list[Tensor]:
        """Return the inputs of each update, a column (n, ...) for each.

        An update gets the indices of its samples, (b,) or (members, b), the optimizer's constants, each
        (members, 1), and the masks, each (members, b, *layer input).
        """
        constants = member_update_constants(
            self._optimizers,
            learning_rates=block.learning_rates,
            first_step=block.first_step,
            accumulation=block.accumulation,
        )
        self._flat_update.expect(constants=constants, masks=block.masks)
        rows = self._on_device(block.indices)
        changing = [self._column(values.T) for values in constants.values()]
        masks = [self._on_device(mask).movedim(1, 0) for mask in block.masks.values()]
        return [rows if rows.ndim == 2 else rows.movedim(1, 0), *changing, *masks]

    def _update(self, rows: Tensor, *given: Tensor) -> Tensor:
        """One update of every member in place, from a row of each column; the losses before it (members,)."""
        return self._flat_update.run(partial(self._losses, rows), tuple(self._parameters.values()), given)

    def _losses(self, rows: Tensor, masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return each member's loss on its batch, and with what the layers' outputs add: each (members,)."""
        batched = None if rows.ndim == 1 else 0
        batch = tuple(values[rows] for values in self._samples)
        in_dims = (0, 0, batched, 0)
        losses = torch.vmap(self._member_losses, in_dims)
        found: tuple[Tensor, Tensor] = losses(self._parameters, self._buffers, batch, masks)
        return found

    def _member_losses(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        batch: Sequence[Tensor],
        masks: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        x, *targets = batch
        return with_added(self._called(parameters, buffers, x, masks), self._loss, targets)

    def _called(
        self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], x: Tensor, masks: Any = None
    ) -> tuple[Tensor, Tensor | None]:
        found: tuple[Tensor, Tensor | None]
        found = torch.func.functional_call(self._network, {**parameters, **buffers}, (x, masks))
        return found

    def _evaluated(self, *given: Any) -> tuple[Tensor, Tensor]:
        """Return a member's outputs and what is added to its loss, zeros for nothing."""
        outputs, added = self._called(*given)
        return outputs, outputs.new_zeros(2) if added is None else added

    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return every member's outputs of the same samples (see `EnsembleTrainer.outputs`)."""
        check_inputs(self._network.input_shape, x)
        return self._evaluations(x, masks)[0].cpu().numpy()  # type: ignore[no-any-return]

    def penalty(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return what the layers' outputs add to the losses (see `EnsembleTrainer.penalty`)."""
        return self._evaluations(x, masks)[1].cpu().numpy()  # type: ignore[no-any-return]

    def _evaluations(self, x: Floats, masks: Mapping[str, Floats] | None) -> tuple[Tensor, Tensor]:
        kept = {} if masks is None else cloned(self._buffers)
        with torch.no_grad():
            if masks is None:
                members = torch.vmap(self._evaluated, (0, 0, None))
                found = members(self._parameters, self._buffers, self._on_device(x))
            else:
                given = {path: self._on_device(mask) for path, mask in masks.items()}
                members = torch.vmap(self._evaluated, (0, 0, None, 0))
                found = members(self._parameters, self._buffers, self._on_device(x), given)
        if kept:
            put_back(self._buffers, kept)
        return found  # type: ignore[no-any-return]

    def swap_average(self) -> None:
        """Exchange every member's weights and their average."""
        exchange(self._flat, self._slots[AVERAGE])
        for name, slot in self._averaged.items():
            exchange(self._buffers[name], self._slots[slot])

    def weights(self) -> Weights:
        """Return a copy of the members' weights, stacked."""
        return {
            name: torch.vmap(place.to_keras)(values).contiguous().cpu().numpy().copy()
            for name, (values, place) in self._places().items()
        }

    def state(self) -> State:
        """Return a copy of what training has changed (see `Trainer.state`)."""
        return copied(self._changed())

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        put_back(self._changed(), state)

    def _changed(self) -> dict[str, Tensor]:
        return named(weights=self._flat, slots=self._slots, buffers=self._buffers.items())
