"""The Observer: one step with all its tensors, on its own network, which gets the weights each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.job import Job
from shared.program import ProgramSpec
from worker.adapters.base import Batch, Floats, Observed, Observer, Weights
from worker.adapters.torch_adapter.losses import loss_function
from worker.adapters.torch_adapter.model import Network

Tensor = Any


class TorchObserver(Observer):
    """See `worker.adapters.base`."""

    def __init__(self, program: ProgramSpec, job: Job, *, device: str) -> None:
        self._device = torch.device(device)
        dtype = getattr(torch, job.precision)
        self._network = Network(program, dtype=dtype, device=device, initializers=False)
        self._loss = loss_function(job.loss)

    def observe(self, weights: Weights, batch: Batch, *, masks: Mapping[str, Floats]) -> Observed:
        """See `Observer.observe`."""
        self._network.load(weights)
        dropping = self._masks(masks)
        x, *targets = map(self._on_device, batch.arrays)
        outputs = [x]
        for index, sources in enumerate(self._network.sources):
            inputs = [outputs[place] for place in sources]
            outputs.append(self._network.apply_layer(index, inputs, dropping))
        loss = self._loss(outputs[-1], *targets)
        parameters = list(self._network.parameters())
        gradients = torch.autograd.grad(loss, parameters) if parameters else ()
        return Observed(
            layers={
                path: _array(output) for path, output in zip(self._network.paths, outputs[1:], strict=True)
            },
            loss=float(loss.detach()),
            gradients=self._network.gradients(dict(zip(parameters, gradients, strict=True))),
        )

    def refed(
        self,
        weights: Weights,
        inputs: Mapping[str, Sequence[Floats]],
        *,
        masks: Mapping[str, Floats],
    ) -> dict[str, Floats]:
        """See `Observer.refed`."""
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
