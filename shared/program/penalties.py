"""What regularizers add to a program's loss, in NumPy, by the formulas of `shared.job.regularizers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job.regularizers import ActivityRegularizer, strengths
from likewise.shared.program.spec import ProgramSpec

Floats = NDArray[np.floating[Any]]


def penalized(program: ProgramSpec) -> dict[str, tuple[float, float]]:
    """Return l1 and l2 of each weight that adds to the loss, by name."""
    found = {weight.name: strengths(weight.regularizer) for weight in program.weights}
    return {name: numbers for name, numbers in found.items() if any(numbers)}


def penalized_outputs(program: ProgramSpec) -> dict[int, ActivityRegularizer]:
    """Return what each stage's output adds to the loss, by the stage's place, where it adds anything."""
    declared = {place: stage.activity for place, stage in enumerate(program.stages)}
    return {place: one for place, one in declared.items() if one is not None and any(strengths(one))}


def has_penalty(program: ProgramSpec) -> bool:
    """Return whether the loss has anything added."""
    return bool(penalized(program) or penalized_outputs(program))


def penalties(program: ProgramSpec, weights: Mapping[str, Floats]) -> NDArray[np.float64]:
    """Return what each member's weights (members, *shape) add to its loss, in float64: (members,)."""
    total = np.zeros(len(next(iter(weights.values()), ())))
    for name, (l1, l2) in penalized(program).items():
        w = weights[name].astype(np.float64).reshape(len(total), -1)
        total = total + l1 * np.abs(w).sum(axis=1) + l2 * np.square(w).sum(axis=1)
    return total


def penalty_gradients(program: ProgramSpec, weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the penalty's gradient by each weight (*shape) that has one, in the weights' own precision."""
    return {
        name: l1 * np.sign(weights[name]) + 2.0 * (l2 * weights[name])
        for name, (l1, l2) in penalized(program).items()
    }
