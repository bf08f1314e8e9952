"""The Trainer that records one update of each kind and replays it (see `replay`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from worker.adapters.torch_adapter.replay import ReplayedUpdate
from worker.adapters.torch_adapter.training import TorchTrainer

Tensor = Any


class ReplayedTrainer(TorchTrainer):
    """The plain loop's numbers, bit for bit, in less time an update."""

    def __init__(self, *args: Any, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.execution = "replayed (a recorded update)"
        self._updates: dict[Any, ReplayedUpdate] = {}
        """The key is the update function and the shape of its first input, and so by the batch size."""

    def run(self, update: Callable[..., Tensor], columns: Sequence[Tensor]) -> Tensor:
        """The losses (n,) of n updates (see `TorchTrainer.run`)."""
        kind = update, columns[0].shape[1:]
        replayed = self._updates.setdefault(kind, ReplayedUpdate(update))
        losses = replayed(columns)
        if replayed.plain:
            self.execution = "eager"
        return losses
