"""Where a training's time goes: one clock for the four phases of `shared.result.Timings`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np

from shared.result import Timings
from worker.training.state import State

Phase = Literal["build_s", "compile_s", "train_s", "predict_s"]


class Stopwatch:
    """Adds up seconds by phase. Adapters return only when the device has finished."""

    def __init__(self) -> None:
        self._seconds: dict[Phase, float] = {
            "build_s": 0.0,
            "compile_s": 0.0,
            "train_s": 0.0,
            "predict_s": 0.0,
        }

    @contextmanager
    def measure(self, phase: Phase) -> Iterator[None]:
        """Time what is inside; what raises is not counted."""
        begin = time.perf_counter()
        yield
        self._seconds[phase] += time.perf_counter() - begin

    def seconds(self, phase: Phase) -> float:
        """Those of one phase so far."""
        return self._seconds[phase]

    def timings(self, queue_s: float | None, *, members: int = 1) -> Timings:
        """The phases so far; each of several members has an equal share of them."""
        shares = {phase: seconds / members for phase, seconds in self._seconds.items()}
        return Timings(queue_s=queue_s, **shares)

    def state(self) -> State:
        """The phases so far."""
        return {phase: np.array(seconds) for phase, seconds in self._seconds.items()}

    def load_state(self, state: State) -> None:
        """Add what an earlier attempt spent on what it left: it was needed to come here."""
        for phase in self._seconds:
            self._seconds[phase] += float(state[phase])
