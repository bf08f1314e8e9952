"""Whether the watched loss has stopped falling, for early stopping and for reduce_on_plateau."""

from __future__ import annotations

from math import inf

from shared.spec import EarlyStopping
from shared.spec.schedule import ReduceOnPlateauSchedule


class Patience:
    """Counts epochs without an improvement; an improvement is a fall by more than `min_delta`."""

    def __init__(self, rule: EarlyStopping | ReduceOnPlateauSchedule) -> None:
        self._rule = rule
        self._best = inf
        self._waited = 0

    def improved(self, value: float) -> bool:
        """Take an epoch's value; True when it is the best so far."""
        if value < self._best - self._rule.min_delta:
            self._best = value
            self._waited = 0
            return True
        self._waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self._waited >= self._rule.patience

    def begin_anew(self) -> None:
        """Wait as long again; the best stays the best."""
        self._waited = 0
