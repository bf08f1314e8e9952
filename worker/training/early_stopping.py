"""Whether the watched loss has stopped falling, for early stopping and for reduce_on_plateau."""

from __future__ import annotations

from math import inf

import numpy as np

from shared.spec import EarlyStopping
from shared.spec.schedule import ReduceOnPlateauSchedule
from worker.training.state import State


class Patience:
    """Counts epochs without an improvement; an improvement is a fall by more than `min_delta`."""

    def __init__(self, rule: EarlyStopping | ReduceOnPlateauSchedule) -> None:
        self._enough = rule.patience
        self._min_delta = rule.min_delta
        self._relative = False
        self.restores = isinstance(rule, EarlyStopping) and rule.restore_best_weights
        """Whether the weights after the best epoch are wanted back."""
        if isinstance(rule, ReduceOnPlateauSchedule):
            self._enough += rule.patience_rule == "exceeded"
            self._relative = rule.min_delta_kind == "relative"
        self._best = inf
        self._waited = 0

    def improved(self, value: float) -> bool:
        """Take an epoch's value; True when it is the best so far."""
        if value < self._to_beat():
            self._best = value
            self._waited = 0
            return True
        self._waited += 1
        return False

    def _to_beat(self) -> float:
        """The first value always does, since it meets infinity."""
        if self._relative and self._best < inf:
            return self._best * (1.0 - self._min_delta)
        return self._best - self._min_delta

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self._waited >= self._enough

    def begin_anew(self) -> None:
        """Wait as long again; the best stays the best."""
        self._waited = 0

    def state(self) -> State:
        """The best so far, and how long it has waited."""
        return {"best": np.array(self._best), "waited": np.array(self._waited)}

    def load_state(self, state: State) -> None:
        """Go on from there."""
        self._best, self._waited = float(state["best"]), int(state["waited"])
