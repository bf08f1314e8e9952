"""The optimizers' constants of many members, stacked: what a vectorised program takes as values.

The numbers are those of `worker.training.constants`, member by member. Optimizers are of one
`shared.spec.optimizer.structure`, so that all have the same names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.spec import Optimizer
from worker.training.constants import fixed_constants, slot_starts, update_constants

Constants = dict[str, NDArray[np.float64]]


def member_update_constants(
    optimizers: Sequence[Optimizer], *, learning_rates: NDArray[np.float64], first_step: int
) -> Constants:
    """As `update_constants`; `learning_rates` and each result are float64 (members, n)."""
    if all(optimizer == optimizers[0] for optimizer in optimizers[1:]) and _alike(learning_rates):
        constants = update_constants(optimizers[0], learning_rates=learning_rates[0], first_step=first_step)
        return {name: np.broadcast_to(values, learning_rates.shape) for name, values in constants.items()}
    members = [
        update_constants(optimizer, learning_rates=rates, first_step=first_step)
        for optimizer, rates in zip(optimizers, learning_rates, strict=True)
    ]
    return {name: np.stack([member[name] for member in members]) for name in members[0]}


def member_fixed_constants(optimizers: Sequence[Optimizer]) -> Constants:
    """As `fixed_constants`, each float64 (members,)."""
    return _stacked([fixed_constants(optimizer) for optimizer in optimizers])


def member_slot_starts(optimizers: Sequence[Optimizer]) -> Constants:
    """As `slot_starts`, each float64 (members,)."""
    return _stacked([slot_starts(optimizer) for optimizer in optimizers])


def _stacked(members: Sequence[dict[str, float]]) -> Constants:
    return {name: np.array([member[name] for member in members]) for name in members[0]}


def _alike(rates: NDArray[np.float64]) -> bool:
    return bool((rates == rates[0]).all())
