"""The formulas of `shared.spec.loss` in PyTorch operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it

from shared.spec.loss import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)

Tensor = Any
LossFunction = Callable[[Tensor, Tensor], Tensor]


def loss_function(loss: Loss) -> LossFunction:
    """(outputs, targets) → the batch's loss, a scalar in the outputs' dtype."""
    match loss:
        case MeanSquaredError():
            return partial(F.mse_loss, reduction=loss.reduction)
        case MeanAbsoluteError():
            return partial(F.l1_loss, reduction=loss.reduction)
        case Huber():
            return partial(F.huber_loss, reduction=loss.reduction, delta=loss.delta)
        case BinaryCrossentropy(reduction="mean"):
            return lambda o, t: _binary_crossentropy(o, t).mean()
        case BinaryCrossentropy():
            return lambda o, t: _binary_crossentropy(o, t).sum()
        case CategoricalCrossentropy():
            return partial(F.cross_entropy, reduction=loss.reduction)


def _binary_crossentropy(o: Tensor, t: Tensor) -> Tensor:
    # F.binary_cross_entropy_with_logits takes (1 − t)·o − min(o, 0) apart again, which in float32 costs
    # a sure and right negative its small loss
    positive = o >= 0
    size = torch.where(positive, o, -o)
    return torch.where(positive, o, torch.zeros_like(o)) - o * t + torch.log1p(torch.exp(-size))
