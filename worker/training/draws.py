"""Random numbers that are the same on every machine and in every version of NumPy.

Everything random in a run comes from a Philox 4×64 generator (Salmon et al. 2011) addressed by
what it is for, never from a generator that is passed along:

    key      (seed, purpose)
    counter  (position, 0, index, item)       position runs within one draw

so any draw can be made alone, in any order. Only the generator's raw 64-bit words are used, which
NumPy keeps stable between versions (NEP 19). They become numbers by IEEE additions, multiplications,
divisions and square roots alone: a logarithm of the machine's library may differ in the last bit.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LN_2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476


class Purpose(IntEnum):
    """What a draw is for, with its (index, item). The numbers are part of the layout: never reuse one."""

    ORDER = 1
    """The order of the samples: (0, epoch)."""
    MASK = 2
    """A dropout mask: (layer index, step)."""
    WEIGHTS = 3
    """Initial weights: (layer index, tensor index)."""
    FINGERPRINT = 4
    """The factors of a trace's fingerprints: (projection, 0 for elements and 1 for stretches)."""


class Draws:
    """The words of one seed and purpose. Not thread-safe: it moves one generator about."""

    def __init__(self, seed: int, purpose: Purpose) -> None:
        self._bits: Any = np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))
        self._state = self._bits.state
        self._counter = self._state["state"]["counter"]

    def turn_to(self, seed: int) -> None:
        """Go on with another seed's; far quicker than a new generator."""
        self._state["state"]["key"][0] = seed

    def words(self, count: int, *, index: int = 0, item: int = 0) -> NDArray[np.uint64]:
        """The first `count` words of an address."""
        self._seek(index, item)
        return self._next(count)

    def uniforms(self, count: int, *, index: int = 0, item: int = 0) -> NDArray[np.float64]:
        """Draw numbers from [0, 1): each is the upper 53 bits of a word."""
        return _fractions(self.words(count, index=index, item=item))

    def normals(
        self, count: int, *, index: int = 0, item: int = 0, limit: float | None = None
    ) -> NDArray[np.float64]:
        """Draw from N(0, 1), by Marsaglia's polar method: two numbers from each pair inside the unit circle.

        With a `limit` those beyond ±limit are passed over.
        """
        self._seek(index, item)
        found = [np.empty(0)]
        missing = count
        while missing > 0:
            pairs = missing // 2 + missing // 4 + 8
            points = 2.0 * _fractions(self._next(2 * pairs)).reshape(-1, 2) - 1.0
            radius = points[:, 0] * points[:, 0] + points[:, 1] * points[:, 1]
            inside = (radius > 0.0) & (radius < 1.0)
            radius = radius[inside]
            factor = np.sqrt(-2.0 * log(radius) / radius)
            numbers = (points[inside] * factor[:, None]).reshape(-1)
            found.append(numbers if limit is None else numbers[np.abs(numbers) <= limit])
            missing -= found[-1].size
        return np.concatenate(found)[:count]

    def _seek(self, index: int, item: int) -> None:
        """Go to an address; setting the state is ten times quicker than making a generator."""
        self._counter[:] = (0, 0, index, item)
        self._bits.state = self._state

    def _next(self, count: int) -> NDArray[np.uint64]:
        words: NDArray[np.uint64] = self._bits.random_raw(count)
        return words


def _fractions(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    fractions: NDArray[np.float64] = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return fractions


def log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of positive numbers, to a few units in the last place.

    x = 2ᵉ·m with m between √½ and √2; log m = 2·artanh(s), s = (m − 1)/(m + 1), by its power series.
    """
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, 2.0 * mantissa, mantissa)
    exponent = exponent - small
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    series = np.zeros_like(s)
    for power in range(23, 0, -2):
        series = series * square + 1.0 / power
    result: NDArray[np.float64] = exponent * _LN_2 + 2.0 * s * series
    return result
