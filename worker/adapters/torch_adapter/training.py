"""The Trainer: a plain loop over a block's steps."""

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
from worker.adapters.torch_adapter.losses import loss_function
from worker.adapters.torch_adapter.model import Network
from worker.adapters.torch_adapter.optimizers import Updater
from worker.constants import update_constants

Tensor = Any


class TorchTrainer(Trainer):
    """A job's network, optimizer state and training samples on one device.

    Nothing is read back during a block: the losses stay on the device until its end.
    """

    def __init__(self, job: Job, *, network: Network, x: Floats, y: NDArray[Any], device: str) -> None:
        check_inputs(network.input_shape, x)
        check_targets(network.output_shape, y)
        self._job = job
        self._device = torch.device(device)
        self._x = self._on_device(x)
        self._y = self._on_device(y)
        self._network = network
        self._parameters = list(network.parameters())
        self._updater = Updater(job.optimizer, self._parameters)
        self._loss = loss_function(job.loss)
        self.compiles = job.execution == "compiled"
        self.execution = "compiled (torch.compile)" if self.compiles else "eager"
        self._forward: Any = compiled(self._batch_loss) if self.compiles else self._batch_loss

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _batch_loss(self, x: Tensor, y: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        return self._loss(self._network(x, masks), y)

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        constants = update_constants(
            self._job.optimizer, learning_rates=block.learning_rates, first_step=block.first_step
        )
        columns = {
            name: self._on_device(values.astype(self._job.precision)).unbind()
            for name, values in constants.items()
        }
        masks = {path: self._on_device(mask).unbind() for path, mask in block.masks.items()}
        losses = []
        for i, rows in enumerate(self._on_device(block.indices).unbind()):
            loss = self._forward(
                self._x.index_select(0, rows),
                self._y.index_select(0, rows),
                {path: steps[i] for path, steps in masks.items()},
            )
            gradients = torch.autograd.grad(loss, self._parameters) if self._parameters else ()
            self._updater.apply(gradients, {name: steps[i] for name, steps in columns.items()})
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
