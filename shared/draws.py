"""Random numbers by address, and the initial weights that are drawn with them.

Everything random in a run comes from a Philox 4×64 generator (Salmon et al. 2011) addressed by
what it is for, never from a generator that is passed along:

    key      (seed, purpose)
    counter  (position, 0, index, item)       position runs within one draw

so any draw can be made alone, in any order. Only the generator's raw 64-bit words are used, which
NumPy keeps stable between versions (NEP 19). They become numbers by IEEE additions, multiplications,
divisions and square roots alone: a logarithm of the machine's library may differ in the last bit.

A weight is addressed by (layer index, tensor index), so adding a layer at the end changes nothing before it.
Activations by themselves are not counted in it, so that a model draws the same however they are written. A
side whose layers stand at other places draws at the first side's addresses (see `shared.program.addresses`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job.experiment import Precision
from likewise.shared.job.shape import Shape
from likewise.shared.job.weights import (
    Constant,
    FanScaled,
    FanScaledNormal,
    IdentityMatrix,
    Normal,
    Ones,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    Zeros,
)
from likewise.shared.program import ProgramSpec, Weight

Weights = dict[str, NDArray[Any]]
"""Weights by name, in Keras's layouts."""
_LN_2 = 0.6931471805599453


_SQRT_HALF = 0.7071067811865476


class DrawPurpose(IntEnum):
    """Says what a draw is for, with its (index, item). The numbers belong to the layout: never reuse one."""

    ORDER = 1
    """The order of the samples: (0, epoch)."""
    MASK = 2
    """A dropout mask: (layer index, step)."""
    WEIGHTS = 3
    """Initial weights: (layer index, tensor index)."""
    EVALUATION = 5
    """A dropout mask of an evaluation in training mode: (layer index, evaluation and batch)."""
    FINGERPRINT = 4
    """The factors of a trace's fingerprints: (projection, 0 for elements and 1 for stretches)."""


class Draws:
    """Draws the words of one seed and purpose. Not thread-safe: it moves one generator about."""

    def __init__(self, seed: int, purpose: DrawPurpose) -> None:
        self._bits: Any = np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))
        self._state = self._bits.state
        self._counter = self._state["state"]["counter"]

    def turn_to(self, seed: int) -> None:
        """Go on with another seed's; far quicker than a new generator."""
        self._state["state"]["key"][0] = seed

    def words(self, count: int, *, index: int = 0, item: int = 0) -> NDArray[np.uint64]:
        """Return the first `count` words of an address."""
        self._seek(index, item)
        return self._next(count)

    def uniforms(self, count: int, *, index: int = 0, item: int = 0) -> NDArray[np.float64]:
        """Draw numbers from [0, 1): each is the upper 53 bits of a word."""
        return _fractions(self.words(count, index=index, item=item))

    def normals(
        self, count: int, *, index: int = 0, item: int = 0, limits: tuple[float, float] | None = None
    ) -> NDArray[np.float64]:
        """Draw from N(0, 1), by Marsaglia's polar method: two numbers from each pair inside the unit circle.

        With `limits` those outside of them are passed over.
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
            if limits is not None:
                numbers = numbers[(numbers >= limits[0]) & (numbers <= limits[1])]
            found.append(numbers)
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
    """Return the natural logarithm of positive numbers, to a few units in the last place.

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


_CUT_AT_TWO = 0.8796256610342398
"""The standard deviation of N(0, 1) between ±2: √(1 − 4·φ(2)/(2·Φ(2) − 1))."""


def draw_weights(program: ProgramSpec, *, seed: int, precision: Precision) -> Weights:
    """Draw every weight in float64 by its declared initializer, then round to the precision."""
    (weights,) = draw_starts(program, seeds=[seed], precision=precision)
    return weights


def draw_starts(program: ProgramSpec, *, seeds: Iterable[int], precision: Precision) -> Iterator[Weights]:
    """Draw the weights of each seed in turn, as `draw_weights` does, with one generator."""
    draws = Draws(0, DrawPurpose.WEIGHTS)
    for seed in seeds:
        draws.turn_to(seed)
        yield {place.name: _draw(place, draws).astype(precision) for place in program.weights}


def _draw(weight: Weight, draws: Draws) -> NDArray[np.float64]:
    count = weight.size
    address: dict[str, Any] = {"index": weight.stage, "item": weight.item}
    match weight.initializer:
        case Zeros():
            flat = np.zeros(count)
        case Ones():
            flat = np.ones(count)
        case Constant(value=value):
            flat = np.full(count, value)
        case Uniform(minval=low, maxval=high):
            flat = low + (high - low) * draws.uniforms(count, **address)
        case Normal(mean=mean, stddev=stddev):
            flat = mean + stddev * draws.normals(count, **address)
        case TruncatedNormal(mean=mean, stddev=stddev, cut=limits):
            flat = mean + stddev * draws.normals(count, **address, limits=limits)
        case IdentityMatrix(gain=gain):
            flat = gain * _identity(weight.shape).reshape(-1)
        case FanScaled(type=kind):
            flat = _centred("uniform", sqrt(_variance(kind, weight)), count, draws, address)
        case FanScaledNormal(type=kind, truncated=truncated):
            shape = "truncated_normal" if truncated else "untruncated_normal"
            flat = _centred(shape, sqrt(_variance(kind, weight)), count, draws, address)
        case VarianceScaling(scale=scale, mode=mode, distribution=shape):
            fans = {"fan_in": weight.fan_in, "fan_out": weight.fan_out}
            n = fans.get(mode, (weight.fan_in + weight.fan_out) / 2.0)
            flat = _centred(shape, sqrt(scale / n), count, draws, address)
        case Orthogonal(gain=gain):
            flat = gain * _orthogonal(draws.normals(count, **address).reshape(_matrix(weight.shape)))
    if weight.ones is not None:
        flat[slice(*weight.ones)] = 1.0
    return flat.reshape(weight.shape)


def _centred(
    shape: str, deviation: float, count: int, draws: Draws, address: Mapping[str, Any]
) -> NDArray[np.float64]:
    """Draw numbers of mean 0 and this deviation; shapes are those of VarianceScaling's `distribution`."""
    match shape:
        case "uniform":
            return deviation * sqrt(3.0) * (2.0 * draws.uniforms(count, **address) - 1.0)
        case "triangular":
            pairs = draws.uniforms(2 * count, **address).reshape(count, 2)
            return deviation * sqrt(6.0) * (pairs[:, 0] + pairs[:, 1] - 1.0)
        case "truncated_normal":
            return deviation / _CUT_AT_TWO * draws.normals(count, **address, limits=(-2.0, 2.0))
        case _:
            return deviation * draws.normals(count, **address)


def _variance(kind: str, weight: Weight) -> float:
    scheme = kind.split("_", maxsplit=1)[0]
    if scheme == "glorot":
        return 2.0 / (weight.fan_in + weight.fan_out)
    return {"he": 2.0, "lecun": 1.0}[scheme] / weight.fan_in


def _matrix(shape: Shape) -> tuple[int, int]:
    """Return a tensor's shape as a matrix: all axes but the last are rows; a vector is one row."""
    return (prod(shape[:-1]), shape[-1])


def _identity(shape: Shape) -> NDArray[np.float64]:
    """Return ones on the diagonal of the last two axes, in the middle of a window; a vector is one row."""
    *window, rows, columns = (1, *shape) if len(shape) == 1 else shape
    kernel = np.zeros((*window, rows, columns))
    kernel[tuple(size // 2 for size in window)] = np.eye(rows, columns)
    return kernel


def _orthogonal(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make rows orthonormal, or columns where there are fewer, by Gram and Schmidt, each twice.

    A library's QR would be quicker, but its last bits depend on the processor.
    """
    wide = drawn if drawn.shape[0] <= drawn.shape[1] else drawn.T
    rows = np.array(wide)
    for row in range(len(rows)):
        for _ in range(2):
            overlaps = (rows[:row] * rows[row]).sum(axis=1)
            rows[row] -= (overlaps[:, None] * rows[:row]).sum(axis=0)
        rows[row] /= np.sqrt((rows[row] * rows[row]).sum())
    return rows if wide is drawn else rows.T
