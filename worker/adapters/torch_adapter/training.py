"""The Trainer: the leanest loop over a block's steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.spec import Job
from worker.adapters.base import Block, Floats, Trainer, Weights
from worker.adapters.shapes import check_inputs, check_targets
from worker.adapters.torch_adapter.compiling import compiled
from worker.adapters.torch_adapter.flat import Layout
from worker.adapters.torch_adapter.losses import loss_function
from worker.adapters.torch_adapter.model import Network
from worker.adapters.torch_adapter.optimizers import update
from worker.constants import fixed_constants, slot_starts, structure, update_constants

Tensor = Any


class TorchTrainer(Trainer):
    """A job's network, optimizer state and training samples on one device.

    Nothing is read back during a block: the losses stay on the device until its end.
    """

    def __init__(self, job: Job, *, network: Network, x: Floats, y: NDArray[Any], device: str) -> None:
        check_inputs(network.input_shape, x)
        check_targets(network.output_shape, y)
        self._optimizer = job.optimizer
        self._structure = structure(job.optimizer)
        self._dtype = getattr(torch, job.precision)
        self._device = torch.device(device)
        self._x = self._on_device(x)
        self._y = self._on_device(y)
        self._network = network
        self._parameters = list(network.parameters())
        self._layout = Layout.of([tuple(p.shape) for p in self._parameters], self._dtype)
        self._flat = network.lay_out(self._layout)
        self._gradient = torch.zeros_like(self._flat)
        self._gradients = self._layout.shaped(self._gradient)
        self._slots = {
            name: torch.full_like(self._flat, start) for name, start in slot_starts(job.optimizer).items()
        }
        self._fixed = {name: self._scalar(value) for name, value in fixed_constants(job.optimizer).items()}
        self._loss = loss_function(job.loss)
        self.compiles = job.execution == "compiled"
        self.execution = "compiled (torch.compile)" if self.compiles else "eager"
        self._forward: Any = compiled(self._batch_loss) if self.compiles else self._batch_loss

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=self._dtype, device=self._device)

    def _batch_loss(self, x: Tensor, y: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        return self._loss(self._network(x, masks), y)

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        constants = update_constants(
            self._optimizer, learning_rates=block.learning_rates, first_step=block.first_step
        )
        changing = {
            name: self._on_device(values).to(self._dtype).unbind() for name, values in constants.items()
        }
        masks = {path: self._on_device(mask).unbind() for path, mask in block.masks.items()}
        losses = []
        for i, rows in enumerate(self._on_device(block.indices).unbind()):
            loss = self._forward(
                self._x.index_select(0, rows),
                self._y.index_select(0, rows),
                {path: steps[i] for path, steps in masks.items()},
            )
            if self._parameters:
                gradients = torch.autograd.grad(loss, self._parameters)
                torch._foreach_copy_(self._gradients, gradients)
                update(
                    self._structure,
                    weights=self._flat,
                    gradient=self._gradient,
                    slots=self._slots,
                    constants=self._fixed | {name: steps[i] for name, steps in changing.items()},
                    pieces=self._layout.pieces,
                )
            losses.append(loss.detach())
        return torch.stack(losses).to("cpu", torch.float64).numpy()  # type: ignore[no-any-return]

    def outputs(self, x: Floats) -> Floats:
        """The model's outputs in inference mode."""
        check_inputs(self._network.input_shape, x)
        with torch.inference_mode():
            result: Floats = self._network(self._on_device(x)).cpu().numpy()
        return result

    def weights(self) -> Weights:
        """A copy of the current weights."""
        return self._network.weights()

    def load_weights(self, weights: Weights) -> None:
        """Replace the weights."""
        self._network.load(weights)
