"""Trains the plain PyTorch program of a job by its own loop, as `likewise code` prints it.

In a comparison its loader takes the samples in the given order and its dropouts the given masks; where it is
timed nothing of it is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch

from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec
from likewise.worker.adapters.base import Start
from likewise.worker.adapters.placement import Placement
from likewise.worker.adapters.trainer import Floats, StockTrainer, Watch, Weights


class TorchStock(StockTrainer):
    """A module of `torch.nn` with its optimizer, its loader and its loop."""

    def __init__(self, names: dict[str, Any], program: ProgramSpec, job: Job, *, start: Start) -> None:
        """Make the model with the weights that all sides start from."""
        self.execution = "stock (a loop)"
        self._names, self._rescale = names, program.rescale
        self._precision, self._shapes = job.precision, program.weight_shapes
        self._dtype = getattr(torch, job.precision)
        with self._defaults():
            torch.manual_seed(start.seed)
            self._model = self._made(start.weights)
            self._optimizer = names["optimizer"](self._model)
            x = self._rescaled(start.samples.x)
            self._samples = names["tensors"](x, *start.samples.arrays[1:])

    def train_whole(self, watch: Watch) -> None:
        """Run the program's loop."""
        self._names["after_epoch"] = watch.after_epoch
        with self._defaults(), _drawn_by(watch, self._names["dropouts"]):
            self._names["train"](self._model, self._optimizer, *self._samples)

    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the outputs in evaluation mode."""
        if masks is not None:
            raise NotImplementedError("a stock program is given no masks in evaluations")
        training = self._model.training
        self._model.eval()
        with self._defaults(), torch.inference_mode():
            outputs: Floats = self._model(torch.tensor(self._rescaled(x), dtype=self._dtype)).numpy()
        self._model.train(training)
        return outputs

    def weights(self) -> Weights:
        """Return the weights in Keras's layouts."""
        with self._defaults():
            return self._placement.read(_arrays(self._model))

    @cached_property
    def _placement(self) -> Placement:
        dropouts = dict(self._names["dropouts"])
        found = Placement(self._shapes, lambda weights: _arrays(self._made(weights)))
        self._names["dropouts"].update(dropouts)  # those of the model that trains
        return found

    def _made(self, weights: Weights) -> torch.nn.Module:
        self._names["weights"] = weights
        model: torch.nn.Module = self._names["model"]()
        return model

    def _rescaled(self, x: Any) -> Floats:
        return x if self._rescale is None else self._rescale.apply(x, self._precision)

    @contextmanager
    def _defaults(self) -> Iterator[None]:
        """Have PyTorch as a program finds it, in the job's precision; afterwards as a worker needs it."""
        dtype, mode = torch.get_default_dtype(), torch.get_deterministic_debug_mode()
        torch.set_default_dtype(self._dtype)
        torch.set_deterministic_debug_mode("default")
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_deterministic_debug_mode(mode)


def _arrays(model: torch.nn.Module) -> list[Floats]:
    return [one.detach().numpy().copy() for one in model.state_dict().values()]


@contextmanager
def _drawn_by(watch: Watch, dropouts: Mapping[str, tuple[torch.nn.Module, bool]]) -> Iterator[None]:
    """Put the given order in the place of a sampler's, and given masks in that of a dropout's."""
    if watch.order is None:
        yield
        return
    order, epochs = watch.order, iter(range(2**62))
    sampler: Any = torch.utils.data.RandomSampler
    own = sampler.__iter__
    sampler.__iter__ = lambda _: iter(order(next(epochs)).tolist())
    for path, (module, first) in dropouts.items():
        module.forward = _masked(watch, path, module, first=first)
    try:
        yield
    finally:
        sampler.__iter__ = own
        for module, _ in dropouts.values():
            del module.forward


def _masked(watch: Watch, path: str, module: torch.nn.Module, *, first: bool) -> Any:
    steps = iter(range(2**62))

    def forward(x: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return x
        mask = torch.from_numpy(np.ascontiguousarray(watch.masks(path, next(steps))))
        return x * (mask.movedim(-1, 1) if first else mask)

    return forward
