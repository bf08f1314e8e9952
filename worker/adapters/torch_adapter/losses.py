"""The formulas of `shared.spec.loss` in PyTorch operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it

from shared.spec.loss import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CosineSimilarity,
    Huber,
    KlDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
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
        case CategoricalCrossentropy(class_weights=None, label_smoothing=smoothing):
            return partial(F.cross_entropy, reduction=loss.reduction, label_smoothing=smoothing)
        case _:
            elements = _elements(loss)
            reduce = torch.mean if loss.reduction == "mean" else torch.sum
            return lambda o, t: reduce(elements(o, t))


def _elements(
    loss: LogCosh | Poisson | KlDivergence | CosineSimilarity | BinaryCrossentropy | CategoricalCrossentropy,
) -> LossFunction:
    match loss:
        case LogCosh():
            return _log_cosh
        case Poisson():
            return lambda o, t: torch.exp(o) - t * o
        case KlDivergence():
            return lambda o, t: (torch.xlogy(t, t) - t * F.log_softmax(o, dim=-1)).sum(dim=-1)
        case CosineSimilarity():
            return lambda o, t: -(o * t).sum(dim=-1) / (_norm(o) * _norm(t))
        case BinaryCrossentropy():
            return lambda o, t: _binary_crossentropy(loss, o, t)
        case CategoricalCrossentropy():
            return lambda o, t: _weighted(
                F.cross_entropy(o, t, reduction="none", label_smoothing=loss.label_smoothing),
                loss.class_weights,
                t,
            )


def _binary_crossentropy(loss: BinaryCrossentropy, o: Tensor, t: Tensor) -> Tensor:
    smooth = t
    if loss.label_smoothing > 0:
        smooth = t * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2
    return _weighted(_crossentropy_of_logits(o, smooth), loss.class_weights, t.long())


def _weighted(elements: Tensor, weights: Sequence[float] | None, classes: Tensor) -> Tensor:
    """Each element times the weight of its class."""
    if weights is None:
        return elements
    return elements * torch.tensor(weights, dtype=elements.dtype, device=elements.device)[classes]


def _log_cosh(o: Tensor, t: Tensor) -> Tensor:
    size = (o - t).abs()
    return size + torch.log1p(torch.exp(-2.0 * size)) - math.log(2.0)


def _norm(rows: Tensor) -> Tensor:
    return (rows * rows).sum(dim=-1).clamp(min=1e-12).sqrt()


def _crossentropy_of_logits(o: Tensor, t: Tensor) -> Tensor:
    # F.binary_cross_entropy_with_logits takes (1 − t)·o − min(o, 0) apart again, which in float32 costs
    # a sure and right negative its small loss
    positive = o >= 0
    size = torch.where(positive, o, -o)
    return torch.where(positive, o, torch.zeros_like(o)) - o * t + torch.log1p(torch.exp(-size))
