"""Where training starts: drawing a model's weights, or checking given ones.

A drawn tensor is addressed by (seed, layer index, tensor index), so adding a layer at the end
changes nothing before it. Names and layouts are those of `worker.adapters.base`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.job import Job
from shared.job.experiment import Precision
from shared.job.layers.base import Shape
from shared.job.weights import (
    Constant,
    FanScaled,
    FanScaledNormal,
    FrameworkWeights,
    GivenWeights,
    Normal,
    NpzWeights,
    Ones,
    Orthogonal,
    SharedWeights,
    Uniform,
    VarianceScaling,
    Zeros,
)
from shared.program import ProgramSpec, Weight, compile_job
from shared.program.fit import by, weight_misfits
from worker.adapters.base import FrameworkAdapter, Weights
from worker.training.draws import Draws, Purpose
from worker.training.failures import TrainingError
from worker.training.samples import RunData

_CUT_AT_TWO = 0.8796256610342398
"""The standard deviation of N(0, 1) between ±2: √(1 − 4·φ(2)/(2·Φ(2) − 1))."""


def starts(job: Job, *, data: RunData, adapter: FrameworkAdapter, seeds: Iterable[int]) -> dict[int, Weights]:
    """The weights that each seed starts from, by seed. Raises TrainingError (`bad_weights`)."""
    program, precision = compile_job(job, data.input_shape), job.precision
    seeds = list(dict.fromkeys(seeds))
    match job.initial_weights:
        case SharedWeights(seed=declared):
            if declared is not None:
                drawn = draw_weights(program, seed=declared, precision=precision)
                return dict.fromkeys(seeds, drawn)
            own = draw_starts(program, seeds=seeds, precision=precision)
            return dict(zip(seeds, own, strict=True))
        case FrameworkWeights():
            return {
                seed: check_weights(
                    adapter.default_weights(program, precision=precision, seed=seed),
                    program,
                    precision=precision,
                )
                for seed in seeds
            }
        case GivenWeights() | NpzWeights():
            given = check_weights(data.given_weights, program, precision=precision)
            return dict.fromkeys(seeds, given)


def draw_weights(program: ProgramSpec, *, seed: int, precision: Precision) -> Weights:
    """Draw every weight in float64 by its declared initializer, then round to the precision."""
    (weights,) = draw_starts(program, seeds=[seed], precision=precision)
    return weights


def draw_starts(program: ProgramSpec, *, seeds: Iterable[int], precision: Precision) -> Iterator[Weights]:
    """The weights of each seed in turn, as `draw_weights` has them; what all share is worked out once."""
    draws = Draws(0, Purpose.WEIGHTS)
    for seed in seeds:
        draws.turn_to(seed)
        yield {place.name: _draw(place, draws).astype(precision) for place in program.weights}


def check_weights(
    given: Mapping[str, NDArray[Any]], program: ProgramSpec, *, precision: Precision
) -> Weights:
    """Given arrays in the run's precision and the program's order.

    Raises TrainingError (`bad_weights`) listing what is expected.
    """
    expected = program.weight_shapes
    if problems := list(weight_misfits(given, program, precision)):
        wanted = ", ".join(f"{name} ({by(shape)})" for name, shape in expected.items()) or "no weights"
        told = "; ".join(map(str, problems))
        raise TrainingError(
            "bad_weights", f"The initial weights do not fit the model: {told}. Expected: {wanted}"
        )
    return {name: np.ascontiguousarray(given[name], dtype=precision) for name in expected}


def _draw(weight: Weight, draws: Draws) -> NDArray[np.float64]:
    count = weight.size
    address = {"index": weight.stage, "item": weight.item}
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
    shape: str, deviation: float, count: int, draws: Draws, address: Mapping[str, int]
) -> NDArray[np.float64]:
    """Numbers of mean 0 and this standard deviation; shapes as in VarianceScaling's `distribution`."""
    match shape:
        case "uniform":
            return deviation * sqrt(3.0) * (2.0 * draws.uniforms(count, **address) - 1.0)
        case "triangular":
            pairs = draws.uniforms(2 * count, **address).reshape(count, 2)
            return deviation * sqrt(6.0) * (pairs[:, 0] + pairs[:, 1] - 1.0)
        case "truncated_normal":
            return deviation / _CUT_AT_TWO * draws.normals(count, **address, limit=2.0)
        case _:
            return deviation * draws.normals(count, **address)


def _variance(kind: str, weight: Weight) -> float:
    scheme = kind.split("_", maxsplit=1)[0]
    if scheme == "glorot":
        return 2.0 / (weight.fan_in + weight.fan_out)
    return {"he": 2.0, "lecun": 1.0}[scheme] / weight.fan_in


def _matrix(shape: Shape) -> tuple[int, int]:
    """A tensor as a matrix: all axes but the last are its rows; a vector is one row."""
    return (prod(shape[:-1]), shape[-1])


def _orthogonal(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal rows, or columns where there are fewer of them, by Gram and Schmidt, each twice.

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
