"""Whether the watched loss has stopped falling, for early stopping and for reduce_on_plateau."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from shared.spec import EarlyStopping
from shared.spec.schedule import ReduceOnPlateauSchedule
from worker.training.state import State


class Patience:
    """Counts epochs without an improvement; an improvement is a fall of the loss by more than `min_delta`."""

    def __init__(self, rule: EarlyStopping | ReduceOnPlateauSchedule) -> None:
        self._enough = rule.patience
        self._factor, self._fall = 1.0, rule.min_delta
        self.restores = isinstance(rule, EarlyStopping) and rule.restore_best_weights
        """Whether the weights after the best epoch are wanted back."""
        if isinstance(rule, ReduceOnPlateauSchedule):
            self._enough += rule.patience_rule == "exceeded"
            if rule.min_delta_kind == "relative":
                self._factor, self._fall = 1.0 - rule.min_delta, 0.0
        self._best = inf
        self._waited = 0

    def take(self, values: Sequence[float]) -> tuple[int | None, int]:
        """Take the values of consecutive epochs until patience runs out.

        Returns the place of the best of them, or None if none is better than all before, and how many were
        taken.
        """
        place, taken = None, 0
        best, waited, to_beat = self._best, self._waited, self._to_beat(self._best)
        for taken, value in enumerate(values, start=1):
            if value < to_beat:
                best, waited, to_beat = value, 0, value * self._factor - self._fall
                place = taken - 1
            else:
                waited += 1
                if waited >= self._enough:
                    break
        self._best, self._waited = best, waited
        return place, taken

    def improved(self, value: float) -> bool:
        """Take one epoch's value; True when it is the best so far."""
        return self.take([value])[0] is not None

    def _to_beat(self, best: float) -> float:
        """What a value must be below to improve on `best`; infinity while there is none."""
        return best * self._factor - self._fall if best < inf else inf

    @property
    def left(self) -> int:
        """After how many more epochs without an improvement patience runs out."""
        return self._enough - self._waited

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self._waited >= self._enough

    def begin_anew(self) -> None:
        """Count the epochs from 0 again; the best value stays."""
        self._waited = 0

    def state(self) -> State:
        """The best so far, and how long it has waited."""
        return {"best": np.array(self._best), "waited": np.array(self._waited)}

    def load_state(self, state: State) -> None:
        """Go on from there."""
        self._best, self._waited = float(state["best"]), int(state["waited"])
