"""The Trainer that records one update for each batch size and replays it (see `replay`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from worker.adapters.base import Block
from worker.adapters.torch_adapter.replay import recorded
from worker.adapters.torch_adapter.training import TorchTrainer, losses_of

Tensor = Any


class ReplayedTrainer(TorchTrainer):
    """The plain loop's numbers, bit for bit, in less time an update."""

    def __init__(self, *args: Any, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.execution = "replayed (a recorded update)"
        self._updates: dict[int, Callable[..., Tensor]] = {}

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        size = block.indices.shape[1]
        inputs = self.inputs(block)
        losses = [] if size in self._updates else [self._recorded(size, next(inputs))]
        with torch.no_grad():
            update = self._updates[size]
            losses += [update(*given) for given in inputs]
        return losses_of(losses)

    def _recorded(self, size: int, inputs: tuple[Tensor, ...]) -> Tensor:
        """One plain update's loss, the update being recorded for all that follow."""
        loss, replayed = recorded(self.update, inputs)
        if replayed is None:
            self.execution = "eager"
        self._updates[size] = replayed or self.update
        return loss
