"""What a run's trainings start from: weights that are drawn, given, or the framework's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.draws import draw_starts, draw_weights
from likewise.shared.job import Job
from likewise.shared.job.experiment import Precision
from likewise.shared.job.shape import by
from likewise.shared.job.weights import (
    FrameworkWeights,
    GivenWeights,
    InitializerWeights,
    NpzWeights,
    SharedWeights,
)
from likewise.shared.program import ProgramSpec
from likewise.shared.program.fit import weight_misfits
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.adapters.trainer import Weights
from likewise.worker.training.failures import TrainingError
from likewise.worker.training.samples import RunData


def starts(job: Job, *, data: RunData, adapter: FrameworkAdapter, seeds: Iterable[int]) -> dict[int, Weights]:
    """Return the weights that each seed starts from, by seed. Raises TrainingError (`bad_weights`)."""
    program, precision = data.program, job.precision
    seeds = list(dict.fromkeys(seeds))
    match job.initial_weights:
        case SharedWeights(seed=declared) | InitializerWeights(seed=declared):
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


def perturbed(weights: Weights) -> Weights:
    """Return the weights moved by one unit in the last place, every other one up; a weight of 0 stays."""
    moved = {}
    for name, array in weights.items():
        towards = np.where(np.arange(array.size) % 2, -np.inf, np.inf).reshape(array.shape)
        moved[name] = np.where(array == 0, array, np.nextafter(array, towards.astype(array.dtype)))
    return moved


def check_weights(
    given: Mapping[str, NDArray[Any]], program: ProgramSpec, *, precision: Precision
) -> Weights:
    """Return the given arrays in the run's precision and the program's order.

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
