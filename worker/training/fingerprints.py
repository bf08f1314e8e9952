"""Fingerprints of tensors: a few numbers that are the same for the same values, wherever they are taken.

A fingerprint is float64 (NUMBERS,): PROJECTIONS sums Σ rᵢ·aᵢ with fixed pseudo-random factors r from
[−1, 1), the largest |a| and the number of elements. Sums are linear, so those of two tensors differ by the
sum of their difference: for a single element off by δ by up to |δ|, for many by about the length of
their difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.trace import NUMBERS, PROJECTIONS
from worker.training.draws import Draws, Purpose

_PERIOD = 2**16
"""Elements with factors of their own; longer tensors take each stretch of them times a factor."""


class Fingerprinter:
    """Takes fingerprints; holds the factors (2 MB)."""

    def __init__(self) -> None:
        self._draws = Draws(0, Purpose.FINGERPRINT)
        self._factors = self._signed(_PERIOD, item=0)

    def take(self, array: NDArray[Any] | float) -> NDArray[np.float64]:
        """The fingerprint; NaN and infinities give numbers that are not finite."""
        flat = np.asarray(array, dtype=np.float64).reshape(-1)
        found = np.zeros(NUMBERS)
        with np.errstate(all="ignore"):
            if flat.size <= _PERIOD:
                found[:PROJECTIONS] = self._factors[:, : flat.size] @ flat
            else:
                stretches = -(-flat.size // _PERIOD)
                padded = np.zeros(stretches * _PERIOD)
                padded[: flat.size] = flat
                sums = self._factors @ padded.reshape(stretches, _PERIOD).T
                found[:PROJECTIONS] = (sums * self._signed(stretches, item=1)).sum(axis=1)
            largest = np.max(np.abs(flat), initial=0.0)
        found[PROJECTIONS:] = (largest, flat.size)
        return found

    def _signed(self, count: int, *, item: int) -> NDArray[np.float64]:
        """Factors (PROJECTIONS, count) from [−1, 1)."""
        rows = [self._draws.uniforms(count, index=index, item=item) for index in range(PROJECTIONS)]
        return 2.0 * np.stack(rows) - 1.0
