"""The formulas of `shared.spec.optimizer`, one PyTorch operation at a time.

No `alpha=`, no addcmul, no addcdiv: they fuse a product with a sum, which rounds once where the
pinned formula rounds twice. Constants that change arrive as 0-dimensional tensors, since a quotient by
a Python number becomes a product with its reciprocal on CUDA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from shared.spec.optimizer import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    Optimizer,
    RmsProp,
    Sgd,
)
from worker.constants import fixed_constants, slot_starts

Tensor = Any
Constants = Mapping[str, Any]
Slots = Mapping[str, Tensor]


class Updater:
    """Changes the parameters in place by their gradients; holds the optimizer's state."""

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
        self._optimizer = optimizer
        self._parameters = [parameter.detach() for parameter in parameters]
        self._fixed = fixed_constants(optimizer)
        self._slots = [
            {name: torch.full_like(parameter, start) for name, start in slot_starts(optimizer).items()}
            for parameter in self._parameters
        ]

    def apply(self, gradients: Sequence[Tensor], changing: Constants) -> None:
        """One update; `changing` has this update's scalars of `worker.constants.update_constants`."""
        c = {**self._fixed, **changing}
        clipped = clip(self._optimizer, gradients)
        for w, g, slots in zip(self._parameters, clipped, self._slots, strict=True):
            if isinstance(self._optimizer, AdamW):
                w.sub_(w * c["decay"])
            elif self._optimizer.weight_decay > 0:
                g = g + w * c["weight_decay"]  # noqa: PLW2901 -- the penalty's gradient joins g
            match self._optimizer:
                case Sgd():
                    _sgd(w, g, slots, c, nesterov=self._optimizer.nesterov)
                case Adam() | AdamW():
                    _adam(w, g, slots, c)
                case Adamax():
                    _adamax(w, g, slots, c)
                case Nadam():
                    _nadam(w, g, slots, c)
                case RmsProp():
                    _rmsprop(w, g, slots, c)
                case Adagrad():
                    _adagrad(w, g, slots, c)
                case Adadelta():
                    _adadelta(w, g, slots, c)


def _sgd(w: Tensor, g: Tensor, slots: Slots, c: Constants, *, nesterov: bool) -> None:
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
    w.sub_((m * c["step_size"]).div_(v.sqrt().div_(c["root_correction"]).add_(c["epsilon"])))


def _adamax(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    u = slots["u"].mul_(c["beta_2"])
    torch.maximum(u, g.abs(), out=u)
    w.sub_((m * c["step_size"]).div_(u + c["epsilon"]))


def _nadam(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    m = _follow(slots["m"], g, c["one_minus_beta_1"])
    v = _follow(slots["v"], g * g, c["one_minus_beta_2"])
    step = (m * c["moment_size"]).add_(g * c["gradient_size"])
    w.sub_(step.div_(v.sqrt().div_(c["root_correction"]).add_(c["epsilon"])))


def _rmsprop(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    if "a" in slots:
        d = g - slots["a"]
        slots["a"].add_(d * c["one_minus_rho"])
        v = slots["v"].add_((d * d).mul_(c["one_minus_rho"])).mul_(c["rho"])
    else:
        v = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = g / v.sqrt().add_(c["epsilon"])
    if "b" in slots:
        u = slots["b"].mul_(c["momentum"]).add_(u)
    w.sub_(u * c["learning_rate"])


def _adagrad(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    v = slots["v"].add_(g * g)
    w.sub_((g / v.sqrt().add_(c["epsilon"])).mul_(c["learning_rate"]))


def _adadelta(w: Tensor, g: Tensor, slots: Slots, c: Constants) -> None:
    v = _follow(slots["v"], g * g, c["one_minus_rho"])
    u = (slots["d"] + c["epsilon"]).sqrt_().div_((v + c["epsilon"]).sqrt_()).mul_(g)
    _follow(slots["d"], u * u, c["one_minus_rho"])
    w.sub_(u * c["learning_rate"])


def _follow(slot: Tensor, value: Tensor, share: float) -> Tensor:
    """A moving average's next value: slot ← slot + share·(value − slot)."""
    return slot.add_((value - slot).mul_(share))


def clip(optimizer: Optimizer, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
    """The gradients after the optimizer's clipping."""
    if optimizer.clip_value is not None:
        return [g.clamp(-optimizer.clip_value, optimizer.clip_value) for g in gradients]
    if optimizer.clip_norm is not None:
        limit = optimizer.clip_norm
        return [g * _factor(limit, (g * g).sum()) for g in gradients]
    if optimizer.global_clip_norm is not None and gradients:
        square = torch.stack([(g * g).sum() for g in gradients]).sum()
        factor = _factor(optimizer.global_clip_norm, square)
        return [g * factor for g in gradients]
    return gradients


def _factor(limit: float, square: Tensor) -> Tensor:
    """min(1, limit/√square); a gradient of zeros stays."""
    # full_like: a Python number over a tensor would be a product with the tensor's reciprocal
    return (torch.full_like(square, limit) / square.sqrt()).clamp(max=1.0)
