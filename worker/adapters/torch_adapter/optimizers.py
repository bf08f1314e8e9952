"""The formulas of `shared.spec.optimizer`, one PyTorch operation at a time.

No `alpha=`, no addcmul, no addcdiv: they fuse a product with a sum, which rounds once where the
pinned formula rounds twice. Constants that change arrive as 0-dimensional tensors, since a quotient by
a Python number becomes a product with its reciprocal on CUDA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from shared.spec.optimizer import Adam, AdamW, Optimizer, RmsProp, Sgd
from worker.constants import fixed_constants

Tensor = Any
Constants = Mapping[str, Any]


class Updater:
    """Changes the parameters in place by their gradients; holds the optimizer's state."""

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
        self._optimizer = optimizer
        self._parameters = [parameter.detach() for parameter in parameters]
        self._fixed = fixed_constants(optimizer)
        self._slots = [
            [torch.zeros_like(parameter) for _ in range(_slot_count(optimizer))]
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
                case RmsProp():
                    _rmsprop(w, g, slots, c)


def _slot_count(optimizer: Optimizer) -> int:
    match optimizer:
        case Sgd():
            return 1 if optimizer.momentum > 0 else 0
        case RmsProp():
            return 2 if optimizer.momentum > 0 else 1
        case _:
            return 2


def _sgd(w: Tensor, g: Tensor, slots: list[Tensor], c: Constants, *, nesterov: bool) -> None:
    step = g * c["learning_rate"]
    if not slots:
        w.sub_(step)
        return
    v = slots[0].mul_(c["momentum"]).sub_(step)
    w.add_(v * c["momentum"] - step if nesterov else v)


def _adam(w: Tensor, g: Tensor, slots: list[Tensor], c: Constants) -> None:
    m, v = slots
    m.add_((g - m).mul_(c["one_minus_beta_1"]))
    v.add_((g * g).sub_(v).mul_(c["one_minus_beta_2"]))
    w.sub_((m * c["step_size"]).div_(v.sqrt().div_(c["root_correction"]).add_(c["epsilon"])))


def _rmsprop(w: Tensor, g: Tensor, slots: list[Tensor], c: Constants) -> None:
    v = slots[0]
    v.add_((g * g).sub_(v).mul_(c["one_minus_rho"]))
    u = g / v.sqrt().add_(c["epsilon"])
    if len(slots) == 2:
        u = slots[1].mul_(c["momentum"]).add_(u)
    w.sub_(u * c["learning_rate"])


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
