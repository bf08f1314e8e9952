"""The formulas of `shared.job.loss` in PyTorch operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial, reduce
from operator import add
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it

from likewise.shared.job.loss import (
    LEAST_LEFT,
    PROBABILITY_MARGIN,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    ClassCrossentropy,
    CosineSimilarity,
    Crossentropy,
    Dice,
    Hinge,
    Huber,
    KlDivergence,
    LogCosh,
    Loss,
    Margin,
    MeanAbsoluteError,
    MeanSquaredError,
    MulticlassLoss,
    MultiMargin,
    Poisson,
    Quantile,
    SquaredHinge,
    Tversky,
    class_weights_of,
    ignored_class,
    is_broadcast,
    is_by_row,
)
from likewise.shared.program import ModelOutput, ProgramSpec

Tensor = Any
LossFunction = Callable[..., Tensor]


def total_loss(losses: Mapping[str, Loss], program: ProgramSpec) -> LossFunction:
    """Return (outputs, y and weights as in a `Batch`) → the batch's loss, a scalar in the outputs' dtype.

    `losses` has the loss of each of the program's outputs, by its name.
    """
    terms = loss_terms(losses, program)
    return lambda *given: reduce(add, terms(*given).values())


def loss_terms(losses: Mapping[str, Loss], program: ProgramSpec) -> Callable[..., dict[str, Tensor]]:
    """Return a function of what `total_loss` takes that gives each output's part of the loss, by its name."""
    every = [(output, loss_function(losses[output.name])) for output in program.outputs]

    def values(outputs: Tensor, y: Tensor, sample_weights: Tensor | None = None) -> dict[str, Tensor]:
        return {
            output.name: loss(output.of(outputs), _targets(output, y), sample_weights)
            for output, loss in every
        }

    return values


def _targets(output: ModelOutput, y: Tensor) -> Tensor:
    """Return an output's targets of those in a batch, classes as whole numbers."""
    wanted = output.wanted(y)
    return wanted.long() if output.target == "classes" else wanted


def loss_function(loss: Loss) -> LossFunction:
    """Return (outputs, targets, sample weights) of one output → its loss times its weight, a scalar."""
    own = _unweighted(loss)
    return own if loss.weight == 1.0 else lambda *given: own(*given) * loss.weight


def _unweighted(loss: Loss) -> LossFunction:
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
    ignored = ignored_class(loss)
    return None if ignored is None else targets != ignored


def _weights(loss: Loss, targets: Tensor, sample_weights: Tensor | None, elements: Tensor) -> Tensor | None:
    """Return what each element is multiplied by; None for 1 everywhere."""
    weights = None
    of_classes = class_weights_of(loss)
    if of_classes is not None:
        of_class = torch.tensor(of_classes, dtype=elements.dtype, device=elements.device)
        weights = of_class[targets if isinstance(loss, MulticlassLoss) else (targets > 0.5).long()]
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
        case BinaryCrossentropy() | BinaryFocalCrossentropy():
            return _binary_crossentropy(loss, o, t)
        case CategoricalCrossentropy() | CategoricalFocalCrossentropy():
            return _categorical_crossentropy(loss, o, t)
        case Dice() | Tversky():
            return _overlap(loss, o, t)
        case _:
            return _missing_margin(loss, o, t)


def _missing_margin(loss: Margin, o: Tensor, t: Tensor) -> Tensor:
    match loss:
        case Hinge() | SquaredHinge():
            sign = t if loss.labels == "as_given" else torch.where(t > 0, 1.0, -1.0).to(o.dtype)
            missing = torch.relu(1.0 - sign * o)
            return missing * missing if isinstance(loss, SquaredHinge) else missing
        case CategoricalHinge() | MultiMargin():
            own = o.gather(1, t[:, None])
            others = torch.arange(o.shape[1], device=o.device) != t[:, None]
            if isinstance(loss, CategoricalHinge):
                best = torch.where(others, o, torch.zeros_like(o)).amax(dim=1)
                return torch.relu(1.0 + best - own[:, 0])
            missing = torch.relu(loss.margin - own + o)
            missing = missing * missing if loss.p == 2 else missing
            return torch.where(others, missing, torch.zeros_like(o)).sum(dim=1) / o.shape[1]


def _overlap(loss: Dice | Tversky, o: Tensor, t: Tensor) -> Tensor:
    """Return one element a batch (1,), or one a sample (n,)."""
    p = torch.sigmoid(o) if loss.from_logits else o
    if loss.per == "batch":
        p, t = p.reshape(1, -1), t.reshape(1, -1)
    both = (t * p).sum(dim=1)
    if isinstance(loss, Dice):
        both, whole = 2.0 * both, t.sum(dim=1) + p.sum(dim=1)
    else:
        missed, invented = (t * (1.0 - p)).sum(dim=1), ((1.0 - t) * p).sum(dim=1)
        whole = both + loss.alpha * missed + loss.beta * invented
    return 1.0 - (both + loss.smooth) / (whole + loss.smooth + loss.epsilon)


def _binary_crossentropy(loss: Crossentropy, o: Tensor, t: Tensor) -> Tensor:
    if loss.label_smoothing > 0:
        t = t * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2
    if loss.from_logits:
        elements = _crossentropy_of_logits(o, t)
    else:
        p = _clipped(o)
        elements = -(t * p.log() + (1.0 - t) * (1.0 - p).log())
    if not isinstance(loss, BinaryFocalCrossentropy):
        return elements
    p, rest = (torch.sigmoid(o), torch.sigmoid(-o)) if loss.from_logits else (p, 1.0 - p)
    elements = _power(t * rest + (1.0 - t) * p, loss.gamma) * elements
    if loss.apply_class_balancing:
        elements = (t * loss.alpha + (1.0 - t) * (1.0 - loss.alpha)) * elements
    return elements


def _power(left: Tensor, gamma: float) -> Tensor:
    """Return what a probability lacks of 1 to the power of gamma."""
    left = left.clamp(min=LEAST_LEFT)
    return left * left if gamma == 2 else left**gamma


def _categorical_crossentropy(loss: ClassCrossentropy, o: Tensor, classes: Tensor) -> Tensor:
    if isinstance(loss, CategoricalCrossentropy) and loss.from_logits:
        return F.cross_entropy(o, classes, reduction="none", label_smoothing=loss.label_smoothing)
    if loss.from_logits:
        surprises = -F.log_softmax(o, dim=-1)
    else:
        p = _clipped(o)
        surprises = p.sum(dim=-1, keepdim=True).log() - p.log()
    if isinstance(loss, CategoricalFocalCrossentropy):
        surprises = loss.alpha * _power(-torch.expm1(-surprises), loss.gamma) * surprises
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
