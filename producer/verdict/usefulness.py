"""Whether what a side trained is of any use: it diverged, or a constant answer would do as well. Pure.

Two sides may agree to the last bit and both be useless. A side is held against what needs no model:

    diverged    a training failed as diverged, or its last loss, as a mean over elements, is FAR times that of
                a constant output and has not come down from its first by as much as CAME_DOWN; where a loss
                is bounded, a weight is HUGE
    the mean    r2 of the samples compared is below LEAST_R2; for losses that do not square, their loss is
                also no lower than that of the best constant
    the class   no larger a share of classes is right than if the commonest of the training data were said

The constant of the first rule is the worse of 0 and the mean of the targets, since a model begins near 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.job.resolve import leaves
from likewise.shared.errors import LikewiseError
from likewise.shared.job import Job, Loss
from likewise.shared.job.loss import (
    BinaryCrossentropy,
    BinaryLoss,
    CategoricalCrossentropy,
    CosineSimilarity,
    Dice,
    ElementLoss,
    KlDivergence,
    MeanSquaredError,
    MulticlassLoss,
    Poisson,
    Quantile,
    Tversky,
    ignored_class,
    is_broadcast,
    is_by_batch,
    is_by_row,
    takes_logits,
)
from likewise.shared.job.several import Losses
from likewise.shared.job.training import BatchPlan
from likewise.shared.losses import loss_value
from likewise.shared.results.seed_table import Float64, Load, SeedTable
from likewise.shared.run import Dataset, Samples

FAR = 1e3
"""A loss so many times that of a constant output has no sensible scale any more."""
CAME_DOWN = 100.0
"""A loss that fell by this factor is on its way down, however high it still is."""
HUGE = 1e10
"""No weight of a training that went well is as large."""
LEAST_R2 = 1e-3
"""Below this part of the targets' variance a model explains nothing."""
LARGE_TARGET = 30.0
"""Targets whose mean or spread is larger than this are far from the outputs of a model that begins."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """It sets the outputs of each seed against a constant answer, on one part of the data."""

    part: str
    classifies: bool
    values: Float64
    """r2, or the share of classes that are right: (seeds,)."""
    constant: float
    """What the constant answer has of that."""
    useless: Bools
    """Whether the constant answer is as good: (seeds,)."""
    output: str = ""
    """Which of several outputs it is of: the one on which most seeds are useless."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Usefulness:
    """It says of each seed of a side whether its training came to anything."""

    diverged: Bools
    """Whether it diverged: (seeds,)."""
    last: Float64
    """The last loss, as it was reported: (seeds,)."""
    far: Float64
    """How many times the loss of a constant output that is: (seeds,); NaN where that is not known."""
    score: Score | None = None
    target: tuple[float, float] | None = None
    """Mean and spread of the target that is furthest from 1; None of targets that cannot be scaled."""

    @property
    def useless(self) -> bool:
        """Whether at least half of the seeds ended no better than a constant answer."""
        if self.score is None:
            return False
        seeds = self.score.useless
        return bool(seeds.any() and 2 * seeds.sum() >= len(seeds))


def usefulness_of(table: SeedTable, job: Job, dataset: Dataset | None, arrays: Load) -> Usefulness:
    """Return what a side's training came to; without its data, what its losses alone say."""
    targets, score, loss = None, None, None if isinstance(job.loss, Losses) else job.loss
    if dataset is not None:
        with suppress(LikewiseError):  # the data of an old experiment may be gone
            targets = None if loss is None else arrays(dataset.train.y)
            scores = (_score(table, one, dataset, arrays) for one in _outputs(table, job))
            score = max(filter(None, scores), key=lambda one: one.useless.sum(), default=None)
    far = _far(table, job, targets)
    return Usefulness(
        diverged=_failed_as_diverged(table) | _went_up(table, far) | _grew_unseen(table, loss),
        last=table.final_losses,
        far=np.where(table.succeeded, far, np.nan),
        score=score,
        target=_furthest(targets) if targets is not None and loss and _may_be_scaled(loss) else None,
    )


def _failed_as_diverged(table: SeedTable) -> Bools:
    failures = [table.why_failed(row) for row in range(len(table.seeds))]
    return np.array([one is not None and one.reason == "diverged" for one in failures], np.bool_)


def _far(table: SeedTable, job: Job, targets: NDArray[Any] | None) -> Float64:
    """Return how many times the loss of a constant output the last loss is; NaN where there is none."""
    losses = table.final_losses
    if not table.losses.shape[1]:
        return np.full(len(table.seeds), np.nan)
    if targets is None or isinstance(job.loss, CosineSimilarity) or _has_penalty(job):
        scale = np.abs(table.losses[:, 0])
    else:
        scale = np.full(len(losses), _constant_loss(job.only_loss, targets) * _elements(job, targets))
    with np.errstate(all="ignore"):
        times: Float64 = np.abs(losses) / np.where(scale > 0, scale, np.nan)
    return times


def _has_penalty(job: Job) -> bool:
    """Return whether the loss that is reported has a penalty in it, of which its scale says nothing."""
    settings = leaves(job.model.model_dump(mode="json"))
    return job.training.report_penalty and any(
        path.endswith("_regularizer") and value is not None for path, value in settings
    )


def _went_up(table: SeedTable, far: Float64) -> Bools:
    """Return whether a finished training's last loss is out of all scale, and not on its way down."""
    if not table.losses.shape[1]:
        return np.zeros(len(table.seeds), np.bool_)
    with np.errstate(all="ignore"):
        high = table.final_losses * CAME_DOWN > table.losses[:, 0]
        found: Bools = table.succeeded & high & (far > FAR)
    return found


def _grew_unseen(table: SeedTable, loss: Loss | None) -> Bools:
    """Return whether weights grew without bound under a loss that has one, and so does not show it."""
    if loss is None:
        return np.zeros(len(table.seeds), np.bool_)
    bounded = isinstance(loss, Dice | Tversky) or (loss.task != "regression" and not takes_logits(loss))
    grew = np.zeros(len(table.seeds), np.bool_)
    if bounded or isinstance(loss, CosineSimilarity):
        for array in table.weights().values():
            with np.errstate(invalid="ignore"):
                grew |= (np.abs(array.reshape(len(array), -1)) > HUGE).any(axis=1)
    return grew & table.succeeded


def _may_be_scaled(loss: Loss) -> bool:
    """Return whether targets may be any number: classes, counts and probabilities may not."""
    return isinstance(loss, ElementLoss) and not isinstance(loss, Poisson)


def _constant_loss(loss: Loss, targets: NDArray[Any]) -> float:
    """Return the mean loss of the worse of two constant outputs: 0, and the targets' mean."""
    match loss:
        case CategoricalCrossentropy():
            return log(max(2, int(targets.max(initial=1)) + 1))
        case BinaryCrossentropy():
            return log(2)
        case KlDivergence():
            return log(max(2, _width(targets)))
        case MulticlassLoss() | BinaryLoss():
            classes = int(targets.max(initial=1)) + 1
            shape = (len(targets), classes) if loss.task == "multiclass" else targets.shape
            return loss_value(_averaged(loss), np.full(shape, 0.0 if takes_logits(loss) else 0.5), targets)
    wanted = targets.astype(np.float64)
    constants = [np.zeros_like(wanted)]
    if not isinstance(loss, Poisson):
        constants.append(np.broadcast_to(wanted.mean(axis=0), wanted.shape))
    return max(abs(loss_value(_averaged(loss), one, wanted)) for one in constants)


def _averaged(loss: Loss) -> Loss:
    """Return a loss of elements as the mean over them, each output against its own target."""
    return loss.model_copy(update={"reduction": "mean", "targets": "aligned"})


def _width(targets: NDArray[Any]) -> int:
    return targets.shape[1] if targets.ndim > 1 else 1


def _elements(job: Job, targets: NDArray[Any]) -> float:
    """Return how many elements the reported loss adds up; 1 where it is their mean."""
    if job.loss.reduction == "mean":
        return 1.0
    batch = min(len(targets), BatchPlan.of(job.training, len(targets)).batch_size)
    samples = batch if job.training.epoch_loss == "per_batch" else len(targets)
    loss = job.only_loss
    if is_by_batch(loss):
        return 1.0
    one_a_sample = is_by_row(loss) or loss.reduction == "sum_of_means"
    return float(samples * (1 if one_a_sample else _width(targets)) * (batch if is_broadcast(loss) else 1))


@dataclass(frozen=True, kw_only=True)
class _Output:
    """One output: its loss, and its columns among the outputs and among the targets."""

    name: str
    loss: Loss
    columns: slice
    targets: int | slice | None

    def wanted(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return its targets of those of all outputs."""
        return y if self.targets is None else y[:, self.targets]


def _outputs(table: SeedTable, job: Job) -> Iterator[_Output]:
    """Yield the outputs that the table has numbers of; an only one has no name."""
    if not isinstance(job.loss, Losses):
        yield _Output(name="", loss=job.loss, columns=slice(None), targets=None)
    begin = 0
    for name, loss in job.losses.items() if table.output_columns else ():
        columns = slice(*table.output_columns[name])
        end = begin + (1 if loss.task == "multiclass" else columns.stop - columns.start)
        targets = begin if loss.task == "multiclass" else slice(begin, end)
        yield _Output(name=name, loss=loss, columns=columns, targets=targets)
        begin = end


def _score(table: SeedTable, output: _Output, dataset: Dataset, arrays: Load) -> Score | None:
    """Return the score of each seed on the samples compared; None where there is nothing to score."""
    loss = output.loss
    samples: Samples | None = getattr(dataset, table.outputs_of) if table.outputs_of else None
    outputs = table.outputs() if samples is not None else None
    if samples is None or outputs is None or outputs.ndim != 3 or not outputs.shape[1]:
        return None
    targets, outputs = output.wanted(arrays(samples.y)), outputs[..., output.columns]
    if len(targets) != outputs.shape[1]:
        return None
    with np.errstate(all="ignore"):
        match loss:
            case CosineSimilarity():
                return None
            case MulticlassLoss() | BinaryLoss():
                found = _classes_right(loss, outputs, targets, output.wanted(arrays(dataset.train.y)))
            case _:
                found = _variance_explained(loss, outputs.astype(np.float64), targets.astype(np.float64))
    if found is None:
        return None
    values, constant, useless = found
    return Score(
        part=table.outputs_of or "train",
        classifies=loss.task != "regression",
        values=values,
        constant=constant,
        useless=useless & table.succeeded,
        output=output.name,
    )


_Scored = tuple[Float64, float, Bools]
"""The score of each seed, the constant answer's, and whether that is as good."""


def _classes_right(
    loss: Loss,
    outputs: NDArray[Any],
    targets: NDArray[Any],
    trained_on: NDArray[Any],
) -> _Scored | None:
    """Score by the share of elements whose class is right."""
    if loss.task == "multiclass":
        ignored = ignored_class(loss)
        counted = targets != ignored
        known = trained_on[trained_on != ignored].astype(np.int64)
        if not counted.any() or not len(known):
            return None
        right = (outputs.argmax(axis=2) == targets)[:, counted]
        always = (targets == np.bincount(known).argmax())[counted]
    else:
        if outputs.shape[1:] != targets.shape:
            return None
        right = (outputs > (0.0 if takes_logits(loss) else 0.5)) == (targets > 0.5)
        always = (targets > 0.5) == ((trained_on > 0.5).mean(axis=0) > 0.5)
    values = right.reshape(len(outputs), -1).mean(axis=1)
    constant = float(always.mean())
    return values, constant, values <= constant


def _variance_explained(loss: Loss, outputs: Float64, targets: Float64) -> _Scored | None:
    """Score by r2, averaged over the targets that are not constant."""
    if outputs.shape[1:] != targets.shape:
        return None
    varies = np.ptp(targets, axis=0) > 0
    if not varies.any():
        return None
    if isinstance(loss, Poisson):
        made = np.exp(outputs)
    elif isinstance(loss, KlDivergence):
        made = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        made = made / made.sum(axis=-1, keepdims=True)
    else:
        made = outputs
    spread = np.square(targets - targets.mean(axis=0)).sum(axis=0)[varies]
    values = (1.0 - np.square(made - targets).sum(axis=1)[:, varies] / spread).mean(axis=1)
    useless = ~(values >= LEAST_R2)
    if isinstance(loss, ElementLoss) and not isinstance(loss, MeanSquaredError | Poisson):
        plain = _averaged(loss)
        middle = np.quantile(targets, loss.quantile if isinstance(loss, Quantile) else 0.5, axis=0)
        centres = (middle, targets.mean(axis=0))
        least = min(loss_value(plain, np.broadcast_to(one, targets.shape), targets) for one in centres)
        useless &= ~(np.array([loss_value(plain, one, targets) for one in outputs]) < least)
    return values, 0.0, useless


def _furthest(targets: NDArray[Any]) -> tuple[float, float]:
    """Return mean and spread of the target that is the largest by either."""
    wanted = targets.reshape(len(targets), -1).astype(np.float64)
    means, spreads = wanted.mean(axis=0), wanted.std(axis=0)
    worst = int(np.argmax(np.maximum(np.abs(means), spreads)))
    return float(means[worst]), float(spreads[worst])
