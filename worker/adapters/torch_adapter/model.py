"""The model in torch.nn modules, trained or looked into; weights change their layout where they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.regularizers import ActivityRegularizer, strengths
from likewise.shared.program import ProgramSpec, Stage
from likewise.shared.program.penalties import penalized_outputs
from likewise.worker.adapters.base import BadShapeError
from likewise.worker.adapters.common import check_weights, with_penalty
from likewise.worker.adapters.constants import averaged_buffers
from likewise.worker.adapters.torch_adapter.layers import torch_layer
from likewise.worker.adapters.torch_adapter.losses import loss_terms
from likewise.worker.adapters.torch_adapter.normalization import BatchNormalization
from likewise.worker.adapters.torch_adapter.weights import Layout, Stored
from likewise.worker.adapters.trainer import Batch, Floats, Observed, Observer, Weights

Tensor = Any


class Network(nn.Module):  # type: ignore[misc]
    """The model's layers, applied one after another."""

    def __init__(self, program: ProgramSpec, *, dtype: Any, device: str, initializers: bool) -> None:
        """Build every layer; `initializers` false leaves the weights as they lie, to be loaded."""
        super().__init__()
        self._dtype, self.device = dtype, device
        self._dropped: dict[int, str] = {}
        self.stored: dict[str, Stored] = {}
        modules: list[Any] = []
        self.sources = [stage.reads for stage in program.stages]
        self.paths = [stage.path for stage in program.stages]
        for index, stage in enumerate(program.stages):
            module = torch_layer(stage, initializers=initializers, dtype=dtype, device=device)
            for name, place in getattr(module, "stored", {}).items():
                self.stored[f"{stage.path}.{name}"] = place
            if stage.mask is not None:
                self._dropped[index] = stage.path
            modules.append(module)
        self.layers = nn.ModuleList(modules)
        self._penalized = penalized_outputs(program)
        self._freeze({id(self.stored[name].parameter) for name in program.state})
        self.program = program
        self.input_shape, self.output_shape = program.input_shape, program.output_shape
        self._mean, self._scale = (
            None if values is None else torch.tensor(values, dtype=dtype, device=device)
            for values in (program.rescale.mean, program.rescale.scale)
        )

    def _freeze(self, frozen: set[int]) -> None:
        """Make buffers of the parameters with these ids: no gradient changes them."""
        for module in self.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if id(parameter) in frozen:
                    delattr(module, name)
                    module.register_buffer(name, parameter.requires_grad_(False))

    def forward(self, x: Tensor, masks: Mapping[str, Tensor] | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the outputs for x (b, *input_shape), and what the layers' outputs add to its loss.

        In training with a mask for each dropout layer. None is added where no layer's output is penalized.
        """
        outputs = [self.received(x)]
        for index, sources in enumerate(self.sources):
            outputs.append(self.apply_layer(index, [outputs[place] for place in sources], masks))
        return outputs[-1], self.penalty(outputs)

    def penalty(self, outputs: Sequence[Tensor]) -> Tensor | None:
        """Return what the outputs (b, …) of x and of every layer add to a batch's loss; None for nothing.

        Those are two numbers (2,): the samples' means, and their sums (see `shared.job.regularizers`).
        """
        found = [_penalty(one, outputs[place + 1]) for place, one in self._penalized.items()]
        return reduce(add, found) if found else None

    def received(self, x: Tensor) -> Tensor:
        """Return samples, stored in any dtype, as the first layer takes them: see `Rescale`."""
        x = x.to(self._dtype)
        if self._mean is not None:
            x = x - self._mean
        return x if self._scale is None else x / self._scale

    def apply_layer(self, index: int, inputs: Sequence[Tensor], masks: Mapping[str, Tensor] | None) -> Tensor:
        """Apply one layer to what it reads; `sources` says where that comes from, 0 being x."""
        layer, stage = self.layers[index], self.program.stages[index]
        inputs, told = inputs[: len(stage.sources)], inputs[len(stage.sources) :]
        padded = {"counted": _counted(stage, told)} if stage.padding else {}
        if isinstance(layer, BatchNormalization):
            return layer(inputs[0], training=masks is not None, **padded)
        if index not in self._dropped:
            return layer(*inputs, **padded)
        return inputs[0] if masks is None else _dropped(inputs[0], masks[self._dropped[index]])

    def gradients(self, of: Mapping[Tensor, Tensor]) -> Weights:
        """Return gradients by parameter as NumPy arrays, in names and layouts as `weights` has them."""
        return {
            name: place.to_keras(of[place.parameter]).contiguous().cpu().numpy()
            for name, place in self.stored.items()
            if place.parameter in of
        }

    def averaged(self, optimizer: Optimizer) -> dict[str, str]:
        """Return the slot that has the average of each buffer that is averaged, by the buffer's name."""
        own = {id(buffer): name for name, buffer in self.named_buffers()}
        slots = averaged_buffers(self.program, optimizer)
        return {own[id(self.stored[name].parameter)]: slot for name, slot in slots.items()}

    @property
    def trained(self) -> list[str]:
        """Return the names of the weights that the parameters are, in the parameters' order."""
        names = {id(place.parameter): name for name, place in self.stored.items()}
        return [names[id(parameter)] for parameter in self.parameters()]

    def lay_out(self, layout: Layout) -> Tensor:
        """Move the parameters side by side into one tensor, and return it; a change there changes them."""
        flat = torch.zeros(layout.size, dtype=self._dtype, device=self.device)
        for parameter, place in zip(self.parameters(), layout.shaped(flat), strict=True):
            place.copy_(parameter.detach())
            parameter.data = place
        return flat

    def weights(self) -> Weights:
        """Return a copy of the weights, by name and in layouts of `worker.adapters.trainer`."""
        return {name: place.read().contiguous().cpu().numpy().copy() for name, place in self.stored.items()}

    def load(self, weights: Weights) -> None:
        """Replace the weights; raises BadShapeError where they do not fit."""
        check_weights(self.program.weight_shapes, weights)
        for name, place in self.stored.items():
            place.write(weights[name])


def with_added(
    given: tuple[Tensor, Tensor | None], loss: Callable[..., Tensor], targets: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the loss of what a network gave as its criterion has it, and with what the network adds."""
    outputs, added = given
    alone = loss(outputs, *targets)
    return alone, alone if added is None else alone + added.sum()


def _penalty(regularizer: ActivityRegularizer, output: Tensor) -> Tensor:
    """Return what an output (b, …) adds to its batch's loss as a mean, and as a sum: (2,)."""
    l1, l2 = strengths(regularizer)
    total = l1 * output.abs().sum() + l2 * output.square().sum()
    if regularizer.reduction == "sum":
        return torch.stack([torch.zeros_like(total), total])
    return torch.stack([total / len(output), torch.zeros_like(total)])


def _counted(stage: Stage, told: Sequence[Tensor]) -> Tensor:
    """Return which steps count (b, steps), from the numbers that say which are padding."""
    counted = None
    for padding, numbers in zip(stage.padding, told, strict=True):
        here = numbers != padding.value
        here = here.any(dim=-1) if here.ndim > 2 else here
        counted = here if counted is None else counted | here
    return counted


def _dropped(x: Tensor, mask: Tensor) -> Tensor:
    if mask.shape != x.shape:
        raise BadShapeError(f"a dropout mask of shape {tuple(mask.shape)} for values of {tuple(x.shape)}")
    return x * mask


def default_weights(program: ProgramSpec, *, dtype: Any, seed: int) -> Weights:
    """Return what `torch.manual_seed(seed)` and torch.nn's initializers give; the generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(program, dtype=dtype, device="cpu", initializers=True)
    return network.weights()


class TorchObserver(Observer):
    """Looks into a step in PyTorch, on a network of its own that is given the weights each time."""

    def __init__(self, program: ProgramSpec, job: Job, *, device: str) -> None:
        self._device = torch.device(device)
        dtype = getattr(torch, job.precision)
        self._network = Network(program, dtype=dtype, device=device, initializers=False)
        self._terms = loss_terms(job.losses, program)

    def observe(self, weights: Weights, batch: Batch, *, masks: Mapping[str, Floats]) -> Observed:
        """Compute outputs, loss and gradients of one step (see `Observer.observe`)."""
        self._network.load(weights)
        dropping = self._masks(masks)
        x, *targets = map(self._on_device, batch.arrays)
        outputs = [self._network.received(x)]
        for index, sources in enumerate(self._network.sources):
            inputs = [outputs[place] for place in sources]
            outputs.append(self._network.apply_layer(index, inputs, dropping))
        terms = self._terms(outputs[-1], *targets)
        added = self._network.penalty(outputs)
        loss = reduce(add, [*terms.values(), *([] if added is None else [added.sum()])])
        parameters = list(self._network.parameters())
        gradients = torch.autograd.grad(loss, parameters) if parameters else ()
        observed = Observed(
            layers={
                path: _array(output) for path, output in zip(self._network.paths, outputs[1:], strict=True)
            },
            loss=float(loss.detach()),
            terms={name: float(term.detach()) for name, term in terms.items()},
            gradients=self._network.gradients(dict(zip(parameters, gradients, strict=True))),
        )
        return with_penalty(observed, self._network.program, weights)

    def refed(
        self,
        weights: Weights,
        inputs: Mapping[str, Sequence[Floats]],
        *,
        masks: Mapping[str, Floats],
    ) -> dict[str, Floats]:
        """Compute single layers again (see `Observer.refed`)."""
        self._network.load(weights)
        dropping = self._masks(masks)
        return {
            path: _array(
                self._network.apply_layer(index, [self._on_device(one) for one in inputs[path]], dropping)
            )
            for index, path in enumerate(self._network.paths)
            if path in inputs
        }

    def _masks(self, masks: Mapping[str, Floats]) -> dict[str, Tensor]:
        return {path: self._on_device(mask) for path, mask in masks.items()}

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().cpu().numpy().copy()
    return array
