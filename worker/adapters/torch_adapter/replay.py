"""An update recorded as the operations that it ran, and replayed without modules, autograd or Python.

Most of a small update's time goes into finding out what to compute: the modules' calls, the autograd graph,
the walk back through it. All of that is the same in every update. So one update is run as usual under
a recorder, which sees each operation as it reaches the kernels, forward, backward and the optimizer's.
`worker.adapters.torch_adapter.replay_graph` writes out what it saw as a loop for PyTorch's own interpreter.
A replay calls the same kernels in the same order on the same memory: its numbers are those of the plain
loop, bit for bit.

Weights, slots, buffers and samples must stay where they are (change in place), and everything that differs
from update to update must be a tensor among the update's inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from likewise.worker.adapters.torch_adapter.replay_graph import (
    NotReplayableError,
    Replay,
    ReplayedCall,
    replay_of,
)
from likewise.worker.adapters.torch_adapter.training import TorchTrainer, each

Tensor = Any


class OperationRecorder(TorchDispatchMode):  # type: ignore[misc]
    """Records every operation while it is entered, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[ReplayedCall] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and keep what it did."""
        options = kwargs or {}
        result = func(*args, **options)
        self.calls.append(ReplayedCall(func, args, options, result))
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch asks whether to keep its compiler out; True would first load it, which takes a second."""
        return False


class ReplayedUpdate:
    """An update for many steps: recorded in the first, replayed in the others, or run plainly.

    Calling it with columns, of which each update gets a row as its inputs, runs the updates.
    """

    def __init__(self, update: Callable[..., Tensor]) -> None:
        self.plain = False
        """Whether it turned out that it cannot be replayed."""
        self._update = update
        self._replay: Replay | None = None

    def __call__(self, columns: Sequence[Tensor]) -> Tensor:
        """Run n updates on the rows of the columns (n, ...); their results (n, ...)."""
        results = []
        if not (self.plain or self._replay):
            results.append(self._recorded([column[0] for column in columns]).unsqueeze(0))
            columns = [column[1:] for column in columns]
        if len(columns[0]):
            results.append((self._replay or self._each)(columns))
        return torch.cat(results)

    def _recorded(self, inputs: Sequence[Tensor]) -> Tensor:
        """Run one update and record it for all that follow; its result."""
        with OperationRecorder() as recorder:
            result = self._update(*inputs)
        try:
            self._replay = replay_of(recorder.calls, inputs=inputs, result=result)
        except NotReplayableError:
            self.plain = True
        return result

    def _each(self, columns: Sequence[Tensor]) -> Tensor:
        return each(self._update, columns)


class ReplayedTrainer(TorchTrainer):
    """The plain loop's numbers, bit for bit, in less time an update."""

    def __init__(self, *args: Any, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.execution = "replayed (a recorded update)"
        self._updates: dict[Any, ReplayedUpdate] = {}
        """The key is the update function and the shape of its first input, and so by the batch size."""

    def run(self, update: Callable[..., Tensor], columns: Sequence[Tensor]) -> Tensor:
        """Return the losses (n,) of n updates (see `TorchTrainer.run`)."""
        kind = update, columns[0].shape[1:]
        replayed = self._updates.setdefault(kind, ReplayedUpdate(update))
        losses = replayed(columns)
        if replayed.plain:
            self.execution = "eager"
        return losses
