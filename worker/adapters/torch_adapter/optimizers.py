"""The formulas of `shared.job.optimizer`, one PyTorch operation at a time.

All trainable values lie side by side in one tensor (…, values), as `weights.Layout` has it, and so do their
gradients and each slot: the formulas go by element, so one set of operations updates all weights, and
with a first axis of members and constants (members, 1) it updates many trainings at once.

Numbers never come from the optimizer itself, only its formula does: every constant arrives as a tensor
of the run's precision, so that one program serves every learning rate and every beta. It is also what
the pinned formulas need, since a quotient by a Python number becomes a product with its reciprocal on
CUDA. No `alpha=`, no addcmul, no addcdiv: they fuse a product with a sum, which rounds once where the
pinned formula rounds twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

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
from likewise.worker.adapters.constants import AVERAGE, GATHERED
from likewise.worker.adapters.torch_adapter.weights import Piece

Tensor = Any
Constants = Mapping[str, Tensor]
Slots = Mapping[str, Tensor]


def update(
    optimizer: Optimizer,
    *,
    weights: Tensor,
    gradient: Tensor,
    slots: Slots,
    constants: Constants,
    pieces: Sequence[Piece],
) -> None:
    """Change the weights and the slots in place by one update; the gradient is left alone.

    `constants` has the scalars of `worker.adapters.constants`, those of this update and the fixed ones, and
    the constants by weight, as the weights lie;
    `pieces` are the single weights, which clipping tells apart.
    """
    w, c = weights, constants
    g = clip(optimizer, gradient, c, pieces)
    if is_decoupled(optimizer):
        w.sub_(w * (c["decay"] * c["decays"] if "decays" in c else c["decay"]))
    elif optimizer.weight_decay > 0:
        g = g + w * (c["weight_decay"] * c["decays"] if "decays" in c else c["weight_decay"])
    match optimizer:
        case Sgd():
            _sgd(w, g, slots, c, nesterov=optimizer.nesterov)
        case Adam() | AdamW():
            _adam(w, g, slots, c)
        case Adamax():
            _adamax(w, g, slots, c, inside=optimizer.epsilon_placement == "inside")
        case Nadam():
            _nadam(w, g, slots, c)
        case RmsProp():
            _rmsprop(w, g, slots, c, inside=optimizer.epsilon_placement == "inside")
        case Adagrad():
            _adagrad(w, g, slots, c, inside=optimizer.epsilon_placement == "inside")
        case Adadelta():
            _adadelta(w, g, slots, c)


def stepped(
    optimizer: Optimizer,
    *,
    weights: Tensor,
    gradient: Tensor,
    slots: Slots,
    constants: Constants,
    pieces: Sequence[Piece],
) -> None:
    """Gather a batch's gradient, update where its group is complete, and average the weights."""
    c = constants
    own = {name: slot for name, slot in slots.items() if name != GATHERED and not name.startswith(AVERAGE)}
    before: list[Tensor] = []
    changing = [weights, *own.values(), *([slots[AVERAGE]] if AVERAGE in slots else [])]
    if GATHERED in slots:
        gradient = slots[GATHERED].mul_(c["keeps"]).add_(gradient * c["shares"]) / c["divisors"]
        before = [tensor.clone() for tensor in changing]
    update(optimizer, weights=weights, gradient=gradient, slots=own, constants=c, pieces=pieces)
    if AVERAGE in slots:
        _follow(slots[AVERAGE], weights, c["ema_share"])
    for tensor, was in zip(changing, before, strict=False):
        tensor.copy_(torch.where(c["applies"] > 0, tensor, was))


def penalized(loss: Tensor, gradient: Tensor, weights: Tensor, constants: Constants) -> tuple[Tensor, Tensor]:
    """Return a batch's loss and gradient with the regularizers' penalty, where there is any.

    The weights and their gradient are (…, values), the loss (…,). The gradient of a weight that does not
    follow it is zero.
    """
    if "follows" in constants:
        gradient = gradient * constants["follows"]
    if "l2" not in constants:
        return loss, gradient
    part = constants["l2"] * weights
    size = constants["l1"] * weights.abs()
    penalty = (part * weights + size).sum(dim=-1)
    return loss + penalty, gradient + (part + part + constants["l1"] * weights.sign())


def follow_buffers(
    slots: Slots, buffers: Mapping[str, Tensor], averaged: Mapping[str, str], constants: Constants
) -> None:
    """Move the averages of the layers' buffers after an update; `averaged` has their slots, by buffer."""
    for name, slot in averaged.items():
        share = constants["ema_share"]
        if "applies" in constants:
            share = share * (constants["applies"] > 0)
        _follow(slots[slot], buffers[name], share)


def _sgd(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, nesterov: bool) -> None:
    if "b" in slots:
        b = slots["b"].mul_(c["momentum"]).add_(g)
        w.sub_((g + b * c["momentum"] if nesterov else b) * c["learning_rate"])
        return
    step = g * c["learning_rate"]
    if "v" not in slots:
        w.sub_(step)
        return
    v = slots["v"].mul_(c["momentum"]).sub_(step)
    w.add_(v * c["momentum"] - step if nesterov else v)


def _adam(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    v = _follow(slots["v"], g * g, c["one_minus_beta_2"])
    if "h" in slots:
        v = torch.maximum(slots["h"], v, out=slots["h"])
    w.sub_((m * c["step_size"]).div_(_corrected_root(v, c).add_(c["epsilon"])))


def _adamax(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, inside: bool) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    u = slots["u"].mul_(c["beta_2"])
    torch.maximum(u, g.abs().add_(c["epsilon"]) if inside else g.abs(), out=u)
    w.sub_((m * c["step_size"]).div_(u if inside else u + c["epsilon"]))


def _nadam(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    v = _follow(slots["v"], g * g, c["one_minus_beta_2"])
    step = (m * c["moment_size"]).add_(g * c["gradient_size"])
    w.sub_(step.div_(_corrected_root(v, c).add_(c["epsilon"])))


def _rmsprop(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, inside: bool) -> None:
    if "a" in slots:
        d = g - slots["a"]
        slots["a"].add_(d * c["one_minus_rho"])
        v = slots["v"].add_((d * d).mul_(c["one_minus_rho"])).mul_(c["rho"])
    else:
        v = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = g / _root(v, c, inside=inside)
    if "s" in slots:
        w.sub_(slots["s"].mul_(c["momentum"]).add_(u.mul_(c["learning_rate"])))
        return
    if "b" in slots:
        u = slots["b"].mul_(c["momentum"]).add_(u)
    w.sub_(u * c["learning_rate"])


def _adagrad(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, inside: bool) -> None:
    v = slots["v"].add_(g * g)
    w.sub_((g / _root(v, c, inside=inside)).mul_(c["learning_rate"]))


def _adadelta(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    v = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = (slots["d"] + c["epsilon"]).sqrt_().div_((v + c["epsilon"]).sqrt_()).mul_(g)
    _follow(slots["d"], u * u, c["one_minus_rho"])
    w.sub_(u * c["learning_rate"])


def _corrected_root(v: Tensor, c: Constants) -> Tensor:
    """Return √v/[√(1 − β₂ᵗ)], or √v where the correction is in the other constants."""
    return v.sqrt().div_(c["root_correction"]) if "root_correction" in c else v.sqrt()


def _root(v: Tensor, c: Constants, *, inside: bool) -> Tensor:
    """Return √(v + ε), or √v + ε."""
    return (v + c["epsilon"]).sqrt_() if inside else v.sqrt().add_(c["epsilon"])


def _follow(slot: Tensor, value: Tensor, share: Tensor) -> Tensor:
    """Return a moving average's next value: slot ← slot + share·(value − slot)."""
    return slot.add_((value - slot).mul_(share))


def clip(optimizer: Optimizer, gradient: Tensor, constants: Constants, pieces: Sequence[Piece]) -> Tensor:
    """Return the gradient after the optimizer's clipping."""
    if optimizer.clip_value is not None:
        bound = constants["clip_value"]
        return torch.clamp(gradient, -bound, bound)
    if optimizer.clip_norm is not None:
        clipped = gradient.clone()
        for piece in pieces:
            own = piece.of(clipped)
            own.mul_(_factor(constants["clip_norm"], _square(own), constants))
        return clipped
    if optimizer.global_clip_norm is not None and pieces:
        square = torch.cat([_square(piece.of(gradient)) for piece in pieces], dim=-1).sum(
            dim=-1, keepdim=True
        )
        return gradient * _factor(constants["global_clip_norm"], square, constants)
    return gradient


def _square(values: Tensor) -> Tensor:
    """Return the sum of the squares over the last axis, which stays with length 1."""
    return (values * values).sum(dim=-1, keepdim=True)


def _factor(bound: Tensor, square: Tensor, constants: Constants) -> Tensor:
    """Return min(1, bound/(√square + δ)); a gradient of zeros stays."""
    return (bound / square.sqrt().add_(constants["clip_epsilon"])).clamp(max=1.0)
