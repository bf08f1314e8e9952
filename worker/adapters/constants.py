"""The optimizers' constants in float64, worked out once so that every framework takes the same numbers.

Adapters round each once to the run's precision and use them in the order of operations that
`shared.job.optimizer` gives; nothing here knows of weights or gradients.

The constants of many members are stacked, member by member: what a vectorised program takes as values.
Their optimizers are of one `shared.job.optimizer.structure`, so that all have the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job.optimizer import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    Optimizer,
    RmsProp,
    Sgd,
    is_decoupled,
)
from likewise.shared.job.training import Accumulation, Training
from likewise.shared.learning_rates import integer_power
from likewise.shared.program import ProgramSpec
from likewise.shared.program.groups import decaying
from likewise.shared.program.penalties import penalized


def update_constants(
    optimizer: Optimizer,
    *,
    learning_rates: NDArray[np.float64],
    first_step: int,
    accumulation: Accumulation | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return what changes from update to update, by name, each float64 of shape (n,).

    `learning_rates` (n,) are those of n consecutive updates, `first_step` the updates done before them;
    t = first_step + 1 … first_step + n, or what `accumulation` says of batches that make updates together.

        sgd, rmsprop, adagrad, adadelta   learning_rate     η
        adam, adamw, adamax               step_size         η/(1 − β₁ᵗ)
        nadam                             moment_size       η·μₜ₊₁/(1 − Πₜ₊₁)
                                          gradient_size     η·(1 − μₜ)/(1 − Πₜ)
        adam, adamw, nadam                root_correction   √(1 − β₂ᵗ); with `hat` the others are times it
        without bias correction           1 stands for 1 − β₁ᵗ and 1 − Πₜ, and there is no root_correction
        where decoupled                   decay             η·λ
        with use_ema                      ema_share         1 − μ, the weights' part in the average; 1 at the
                                                            first update, or (1 − μ)/(1 − μᵗ)
        with accumulation                 keeps, shares, divisors, applies
    """
    t = np.arange(first_step + 1, first_step + len(learning_rates) + 1)
    if accumulation is not None:
        t = accumulation.updates + 1
    constants = _step_constants(optimizer, learning_rates, t)
    if is_decoupled(optimizer):
        constants["decay"] = learning_rates * optimizer.weight_decay
    if optimizer.use_ema:
        constants["ema_share"] = _ema_share(optimizer, t)
    if accumulation is not None:
        names = ("keeps", "shares", "divisors", "applies")
        constants |= {name: getattr(accumulation, name) for name in names}
    return constants


def _ema_share(optimizer: Optimizer, t: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights' part in their average after the updates t."""
    momentum = optimizer.ema_momentum
    if optimizer.ema_start == "corrected":
        return (1.0 - momentum) / (1.0 - integer_power(momentum, t))
    first = (t == 1) & (optimizer.ema_start == "first_update")
    return np.where(first, 1.0, 1.0 - momentum)


def _step_constants(
    optimizer: Optimizer, learning_rates: NDArray[np.float64], t: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    if isinstance(optimizer, Sgd | RmsProp | Adagrad | Adadelta):
        return {"learning_rate": learning_rates}
    if isinstance(optimizer, Nadam):
        momentum, product = _warming_momentum(optimizer, t)
        following, next_product = _warming_momentum(optimizer, t + 1)
        if not optimizer.bias_correction:
            product = next_product = np.zeros(len(t))
        constants = {
            "moment_size": learning_rates * following / (1.0 - next_product),
            "gradient_size": learning_rates * (1.0 - momentum) / (1.0 - product),
        }
    elif optimizer.bias_correction:
        constants = {"step_size": learning_rates / (1.0 - integer_power(optimizer.beta_1, t))}
    else:
        constants = {"step_size": learning_rates}
    if isinstance(optimizer, Adamax) or not optimizer.bias_correction:
        return constants
    root_correction = np.sqrt(1.0 - integer_power(optimizer.beta_2, t))
    if optimizer.epsilon_placement == "hat":
        return {name: values * root_correction for name, values in constants.items()}
    return constants | {"root_correction": root_correction}


def _warming_momentum(
    optimizer: Nadam, t: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nadam's μₜ and Πₜ at consecutive counts t from 1 on."""
    # Πₜ ≤ β₁ᵗ, and below 2⁻⁶⁰ it leaves 1 − Πₜ at 1: later factors need no multiplying
    enough = ceil(60 * log(2) / -log(max(optimizer.beta_1, 0.1)))
    early = np.arange(1, min(int(t[-1]), enough) + 1)
    products = np.cumprod(_momentum(optimizer, early))
    return _momentum(optimizer, t), products[np.minimum(t, len(early)) - 1]


def _momentum(optimizer: Nadam, t: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Nadam's μₜ at the counts t."""
    return optimizer.beta_1 * (1.0 - 0.5 * integer_power(0.96**optimizer.momentum_decay, t))


def fixed_constants(optimizer: Optimizer) -> dict[str, float]:
    """Return what stays the same, by name: the complements 1 − β are taken in float64, before any rounding.

    sgd, rmsprop                momentum μ
    adam, adamw, adamax, nadam  one_minus_beta_1
    adam, adamw, nadam          one_minus_beta_2
    adamax                      beta_2
    rmsprop, adadelta           one_minus_rho
    rmsprop                     rho
    all but sgd                 epsilon
    where coupled               weight_decay λ, of the L2 penalty's gradient
    whichever clips             clip_value, clip_norm, global_clip_norm; by a norm also clip_epsilon
    """
    bounds = {name: getattr(optimizer, name) for name in ("clip_value", "clip_norm", "global_clip_norm")}
    constants: dict[str, float] = {name: bound for name, bound in bounds.items() if bound is not None}
    if "clip_norm" in constants or "global_clip_norm" in constants:
        constants["clip_epsilon"] = optimizer.clip_epsilon
    if isinstance(optimizer, Sgd | RmsProp):
        constants["momentum"] = optimizer.momentum
    if isinstance(optimizer, Adam | AdamW | Adamax | Nadam):
        constants["one_minus_beta_1"] = 1.0 - optimizer.beta_1
    if isinstance(optimizer, Adam | AdamW | Nadam):
        constants["one_minus_beta_2"] = 1.0 - optimizer.beta_2
    if isinstance(optimizer, Adamax):
        constants["beta_2"] = optimizer.beta_2
    if isinstance(optimizer, RmsProp | Adadelta):
        constants["one_minus_rho"] = 1.0 - optimizer.rho
    if isinstance(optimizer, RmsProp):
        constants["rho"] = optimizer.rho
    if not isinstance(optimizer, Sgd):
        constants["epsilon"] = optimizer.epsilon
    if not is_decoupled(optimizer):
        constants["weight_decay"] = optimizer.weight_decay
    return constants


def constants_by_weight(program: ProgramSpec, optimizer: Optimizer) -> dict[str, dict[str, float]]:
    """Return the constants that differ from weight to weight: by name, a number for each trainable weight.

    Only what makes a difference is there.

        where some weights do not decay   decays   1 or 0, which the decay's constant is multiplied by
        where some weights are penalized  l1, l2   the strengths, 0 for the others
        where some gradients are zero     follows  1 or 0, which the gradient is multiplied by
    """
    constants: dict[str, dict[str, float]] = {}
    held = penalized(program)
    if held:
        strengths = [held.get(name, (0.0, 0.0)) for name in program.trainable]
        for place, word in enumerate(("l1", "l2")):
            constants[word] = {
                name: each[place] for name, each in zip(program.trainable, strengths, strict=True)
            }
    decays = decaying(program, optimizer)
    if not all(decays.values()):
        constants["decays"] = {name: float(decays[name]) for name in program.trainable}
    at_rest = {weight.name for weight in program.weights if weight.zero_gradient}
    if at_rest:
        constants["follows"] = {name: float(name not in at_rest) for name in program.trainable}
    return constants


def slot_starts(optimizer: Optimizer) -> dict[str, float]:
    """Return what each slot that is kept for a weight starts at, by the letter that its formula gives it."""
    match optimizer:
        case Sgd():
            letter = "v" if optimizer.momentum_convention == "velocity" else "b"
            letters = letter * (optimizer.momentum > 0)
        case Adam() | AdamW():
            letters = "mvh" if optimizer.amsgrad else "mv"
        case Adamax():
            letters = "mu"
        case Nadam():
            letters = "mv"
        case RmsProp():
            letter = "s" if optimizer.momentum_convention == "velocity" else "b"
            letters = "a" * optimizer.centered + letter * (optimizer.momentum > 0)
            return {"v": optimizer.initial_accumulator_value, **dict.fromkeys(letters, 0.0)}
        case Adagrad():
            return {"v": optimizer.initial_accumulator_value}
        case Adadelta():
            letters = "vd"
    return dict.fromkeys(letters, 0.0)


GATHERED, AVERAGE = "gathered", "average"
"""Slots beside the optimizer's own: the gradients of a group that is not complete, which start at 0, and the
moving average of the weights, which starts as they do."""


def averaged_buffers(program: ProgramSpec, optimizer: Optimizer) -> dict[str, str]:
    """Return the slot that has the average of each moving statistic, by the weight's name; empty of none."""
    averages = optimizer.use_ema and optimizer.ema_buffers
    return {one.name: f"{AVERAGE} of {one.name}" for one in program.weights if averages and one.moving}


def gathers(training: Training) -> bool:
    """Return whether several batches make one update."""
    return training.gradient_accumulation_steps > 1


def sample_accumulation(training: Training) -> Accumulation | None:
    """Return an accumulation of one batch that stands for any of a training's, where it has some."""
    return Accumulation(np.zeros(1, np.int64), *[np.ones(1)] * 4) if gathers(training) else None


Constants = dict[str, NDArray[np.float64]]


def member_update_constants(
    optimizers: Sequence[Optimizer],
    *,
    learning_rates: NDArray[np.float64],
    first_step: int,
    accumulation: Accumulation | None = None,
) -> Constants:
    """Return `update_constants` of every member; `learning_rates` and results are float64 (members, n)."""
    if all(optimizer == optimizers[0] for optimizer in optimizers[1:]) and _alike(learning_rates):
        constants = update_constants(
            optimizers[0],
            learning_rates=learning_rates[0],
            first_step=first_step,
            accumulation=accumulation,
        )
        return {name: np.broadcast_to(values, learning_rates.shape) for name, values in constants.items()}
    members = [
        update_constants(optimizer, learning_rates=rates, first_step=first_step, accumulation=accumulation)
        for optimizer, rates in zip(optimizers, learning_rates, strict=True)
    ]
    return {name: np.stack([member[name] for member in members]) for name in members[0]}


def member_fixed_constants(optimizers: Sequence[Optimizer]) -> Constants:
    """Return `fixed_constants` of every member, each float64 (members,)."""
    return _stacked([fixed_constants(optimizer) for optimizer in optimizers])


def member_slot_starts(optimizers: Sequence[Optimizer]) -> Constants:
    """Return `slot_starts` of every member, each float64 (members,)."""
    return _stacked([slot_starts(optimizer) for optimizer in optimizers])


def _stacked(members: Sequence[dict[str, float]]) -> Constants:
    return {name: np.array([member[name] for member in members]) for name in members[0]}


def _alike(rates: NDArray[np.float64]) -> bool:
    return bool((rates == rates[0]).all())
