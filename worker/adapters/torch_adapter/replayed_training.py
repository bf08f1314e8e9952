"""The Trainer that records one update for each batch size and replays it (see `replay`)."""

from __future__ import annotations

from typing import Any

from worker.adapters.torch_adapter.replay import ReplayedUpdate
from worker.adapters.torch_adapter.training import TorchTrainer

Tensor = Any


class ReplayedTrainer(TorchTrainer):
    """The plain loop's numbers, bit for bit, in less time an update."""

    def __init__(self, *args: Any, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.execution = "replayed (a recorded update)"
        self._updates: dict[int, ReplayedUpdate] = {}

    def run(self, columns: list[Tensor]) -> Tensor:
        """The updates whose inputs are the columns' rows (see `TorchTrainer.run`)."""
        size = len(columns[0][0])
        update = self._updates.setdefault(size, ReplayedUpdate(self.update))
        losses = update(columns)
        if update.plain:
            self.execution = "eager"
        return losses
