"""The formulas of `shared.job.loss` in PyTorch operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it

from likewise.shared.job.loss import (
    PROBABILITY_MARGIN,
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
    Quantile,
    is_broadcast,
    is_by_row,
)

Tensor = Any
LossFunction = Callable[..., Tensor]


def loss_function(loss: Loss) -> LossFunction:
    """Return (outputs, y and weights as in a `Batch`) → the batch's loss, a scalar in the outputs' dtype."""
    whole = _whole(loss)

    def value(outputs: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        if whole is not None and sample_weights is None:
            return whole(outputs, targets)
        counted = _counted(loss, targets)
        if counted is not None:
            targets = torch.where(counted, targets, torch.zeros_like(targets))
        elements = _elements(loss, outputs, targets.t() if is_broadcast(loss) else targets)
        weights = _weights(loss, targets, sample_weights, elements)
        return _reduced(loss, elements, weights, counted)

    return value


def _whole(loss: Loss) -> LossFunction | None:
    """PyTorch's own function where it is the whole loss, reduction and all."""
    if loss.reduction == "sum_of_means" or is_broadcast(loss):
        return None
    match loss:
        case MeanSquaredError():
            return partial(F.mse_loss, reduction=loss.reduction)
        case MeanAbsoluteError():
            return partial(F.l1_loss, reduction=loss.reduction)
        case Huber():
            return partial(F.huber_loss, reduction=loss.reduction, delta=loss.delta)
        case CategoricalCrossentropy(class_weights=None, ignore_index=None, from_logits=True):
            return partial(F.cross_entropy, reduction=loss.reduction, label_smoothing=loss.label_smoothing)
        case _:
            return None


def _counted(loss: Loss, targets: Tensor) -> Tensor | None:
    """Return which elements count; None for all."""
    if isinstance(loss, CategoricalCrossentropy) and loss.ignore_index is not None:
        return targets != loss.ignore_index
    return None


def _weights(loss: Loss, targets: Tensor, sample_weights: Tensor | None, elements: Tensor) -> Tensor | None:
    """Return what each element is multiplied by; None for 1 everywhere."""
    weights = None
    if isinstance(loss, BinaryCrossentropy | CategoricalCrossentropy) and loss.class_weights is not None:
        of_class = torch.tensor(loss.class_weights, dtype=elements.dtype, device=elements.device)
        weights = of_class[targets.long()]
    if sample_weights is not None:
        own = sample_weights if is_by_row(loss) else sample_weights[:, None]
        weights = own if weights is None else weights * own
    return weights


def _reduced(loss: Loss, elements: Tensor, weights: Tensor | None, counted: Tensor | None) -> Tensor:
    if weights is not None:
        elements = elements * weights
    if counted is not None:
        elements = torch.where(counted, elements, torch.zeros_like(elements))
    if loss.reduction == "sum_of_means" and elements.dim() > 1:
        return elements.mean(dim=-1).sum()
    if loss.reduction != "mean":
        return elements.sum()
    if loss.weighting == "by_weights" and weights is not None:
        every = weights.expand_as(elements)
        total = (every if counted is None else torch.where(counted, every, torch.zeros_like(every))).sum()
        return elements.sum() / torch.where(total > 0, total, torch.ones_like(total))
    if counted is not None:
        return elements.sum() / counted.sum().clamp(min=1).to(elements.dtype)
    return elements.mean()


def _elements(loss: Loss, o: Tensor, t: Tensor) -> Tensor:  # noqa: PLR0911 -- one return a formula
    match loss:
        case MeanSquaredError():
            return torch.square(o - t)
        case MeanAbsoluteError():
            return (o - t).abs()
        case Huber(delta=delta):
            return _huber(o - t, delta)
        case LogCosh():
            return _log_cosh(o, t)
        case Quantile(quantile=q):
            return torch.where(t >= o, q * (t - o), (1.0 - q) * (o - t))
        case Poisson():
            return torch.exp(o) - t * o
        case KlDivergence():
            return (torch.xlogy(t, t) - t * F.log_softmax(o, dim=-1)).sum(dim=-1)
        case CosineSimilarity():
            return -(o * t).sum(dim=-1) / (_norm(o) * _norm(t))
        case BinaryCrossentropy():
            return _binary_crossentropy(loss, o, t)
        case CategoricalCrossentropy():
            return _categorical_crossentropy(loss, o, t)


def _binary_crossentropy(loss: BinaryCrossentropy, o: Tensor, t: Tensor) -> Tensor:
    if loss.label_smoothing > 0:
        t = t * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2
    if loss.from_logits:
        return _crossentropy_of_logits(o, t)
    p = _clipped(o)
    return -(t * p.log() + (1.0 - t) * (1.0 - p).log())


def _categorical_crossentropy(loss: CategoricalCrossentropy, o: Tensor, classes: Tensor) -> Tensor:
    if loss.from_logits:
        return F.cross_entropy(o, classes, reduction="none", label_smoothing=loss.label_smoothing)
    p = _clipped(o)
    surprises = p.sum(dim=-1, keepdim=True).log() - p.log()
    elements = surprises.gather(1, classes[:, None])[:, 0]
    if loss.label_smoothing > 0:
        a, k = loss.label_smoothing, o.shape[-1]
        elements = elements * (1.0 - a) + surprises.sum(dim=-1) * (a / k)
    return elements


def _clipped(o: Tensor) -> Tensor:
    """Return outputs as probabilities whose logarithms are finite."""
    return o.clamp(PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN)


def _huber(error: Tensor, delta: float) -> Tensor:
    size = error.abs()
    return torch.where(size <= delta, 0.5 * error * error, delta * (size - 0.5 * delta))


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
