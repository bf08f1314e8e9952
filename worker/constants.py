"""The optimizers' constants in float64, worked out once so that every framework takes the same numbers.

Adapters round each once to the run's precision and use them in the order of operations that
`shared.spec.optimizer` gives; nothing here knows of weights or gradients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.spec.optimizer import Adam, AdamW, Optimizer, RmsProp, Sgd


def update_constants(
    optimizer: Optimizer, *, learning_rates: NDArray[np.float64], first_step: int
) -> dict[str, NDArray[np.float64]]:
    """What changes from update to update, by name, each float64 of shape (n,).

    `learning_rates` (n,) are those of n consecutive updates, `first_step` the updates done before them;
    t = first_step + 1 … first_step + n.

        sgd, rmsprop   learning_rate      η
        adam, adamw    step_size          η/(1 − β₁ᵗ)
                       root_correction    √(1 − β₂ᵗ)
        adamw          decay              η·λ
    """
    if isinstance(optimizer, Sgd | RmsProp):
        return {"learning_rate": learning_rates}
    t = np.arange(first_step + 1, first_step + len(learning_rates) + 1)
    constants = {
        "step_size": learning_rates / (1.0 - integer_power(optimizer.beta_1, t)),
        "root_correction": np.sqrt(1.0 - integer_power(optimizer.beta_2, t)),
    }
    if isinstance(optimizer, AdamW):
        constants["decay"] = learning_rates * optimizer.weight_decay
    return constants


def integer_power(base: float, exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """base to whole powers from 0 on, by squaring: a library's power differs between processors."""
    result = np.ones(len(exponents))
    square, left = base, exponents
    with np.errstate(over="ignore", under="ignore"):
        while left.any():
            result = np.where(left & 1, result * square, result)
            square, left = square * square, left >> 1
    return result


def fixed_constants(optimizer: Optimizer) -> dict[str, float]:
    """What stays the same, by name: the complements 1 − β are taken in float64, before any rounding.

    sgd            momentum μ
    adam, adamw    one_minus_beta_1, one_minus_beta_2, epsilon
    rmsprop        one_minus_rho, momentum μ, epsilon
    all but adamw  weight_decay λ, of the L2 penalty's gradient
    """
    constants: dict[str, float] = {}
    if isinstance(optimizer, Sgd | RmsProp):
        constants["momentum"] = optimizer.momentum
    if isinstance(optimizer, Adam | AdamW):
        constants["one_minus_beta_1"] = 1.0 - optimizer.beta_1
        constants["one_minus_beta_2"] = 1.0 - optimizer.beta_2
    if isinstance(optimizer, RmsProp):
        constants["one_minus_rho"] = 1.0 - optimizer.rho
    if isinstance(optimizer, Adam | AdamW | RmsProp):
        constants["epsilon"] = optimizer.epsilon
    if not isinstance(optimizer, AdamW):
        constants["weight_decay"] = optimizer.weight_decay
    return constants
