"""Keras's variables as weights in the common language of `worker.port.contract`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.worker.port.contract import Slot

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Held:
    """One weight in the common layout: a variable, a row of one, or one whose axes are joined."""

    variable: Any
    row: int | None = None
    columns: slice | None = None
    """Which of the variable's last axis it is, where that holds several weights."""
    shape: tuple[int, ...] | None = None
    """The common shape, where the variable has its numbers in more axes."""
    transform: str = ""
    name: str = ""
    """What the user's program calls it, where the variable's own name does not say that."""

    def part(self, whole: Array) -> Array:
        """Return this weight of what its variable, or a gradient of it, is."""
        one: Array = whole[self._place]
        return one if self.shape is None else one.reshape(self.shape)

    def into(self, whole: Array, value: Array) -> None:
        """Lay a value of this weight into an array that is as large as the variable."""
        whole[self._place] = value.reshape(whole[self._place].shape)

    @property
    def _place(self) -> Any:
        if self.columns is not None:
            return (..., self.columns)
        return ... if self.row is None else self.row

    def read(self) -> Array:
        """Return the weight's numbers."""
        return self.part(np.array(self.variable))

    def write(self, value: Array) -> None:
        """Replace the weight's numbers."""
        whole = np.array(self.variable)
        self.into(whole, value)
        self.variable.assign(whole)

    @property
    def _told(self) -> str:
        if self.columns is not None:
            return f"[:, {self.columns.start}:{self.columns.stop}]"
        return "" if self.row is None else f"[{self.row}]"

    def slot(self) -> Slot:
        """Return how it is told."""
        return Slot(
            own=(self.name or self.variable.name) + self._told,
            transform=self.transform,
            shape=tuple(self.read().shape),
            trainable=bool(self.variable.trainable),
        )


def held(layer: Any, **names: str) -> dict[str, Held]:
    """Return the variables that a layer has, by their names in the common language and in Keras."""
    found = {common: getattr(layer, own, None) for common, own in names.items()}
    return {common: Held(variable=one) for common, one in found.items() if one is not None}
