"""Metrics of a model's raw outputs in NumPy and float64; None where a metric is undefined.

Outputs are (n, targets), for a classification logits or margins, or probabilities with `from_logits: false`;
targets as in `shared.losses`. Samples and classes count alike here, whatever their weight in the loss, as in
Keras's `metrics`; samples whose target is `loss.ignore_index` are left out.

    mae, rmse    over all elements; of exp(o) for poisson and softmax(o) for kl_divergence, as is r2
    r2           1 − Σ(t − o)²/Σ(t − mean)², averaged over the targets; none for a constant target
    accuracy     share of right classes; binary: of elements where p > ½ (a logit above 0) just where t > ½
    f1           2TP/(2TP + FP + FN); binary: of class 1, averaged over the targets;
                 multiclass: averaged over the classes that occur in targets or predictions
    precision    TP/(TP + FP), 0 where nothing is said to be of the class; averaged as f1, or micro: TP and FP
                 added up over targets or classes first
    recall       TP/(TP + FN), 0 where nothing is of the class; averaged as precision
    top_k_accuracy  share of samples whose class has one of the k largest outputs
    auc          share of (positive, negative) pairs in the right order, ties half; multiclass: each
                 class's probability against the rest, averaged; none where a class is missing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Job, Loss
from likewise.shared.job.loss import (
    BinaryLoss,
    KlDivergence,
    Margin,
    MulticlassLoss,
    Poisson,
    ignored_class,
    takes_logits,
)
from likewise.shared.job.metrics import (
    Metric,
    Precision,
    SetMetric,
    TopKAccuracy,
    metric_name,
)
from likewise.shared.losses import loss_values, targets_of, total_losses
from likewise.shared.program import ProgramSpec
from likewise.shared.results.seed_table import in_own_units
from likewise.worker.adapters.trainer import Batch, Floats

Metrics = dict[str, dict[str, float | None]]
"""A metric is found by the part of the data, then by its name."""


Float64 = NDArray[np.float64]


Integers = NDArray[np.int64]


Measure = Callable[[Float64, Integers], float | None]
"""What computes a metric of one member: outputs (n, targets) and targets."""


_NUMBERS_AT_ONCE = 2**20
"""Outputs whose metrics are taken together, so that memory stays bounded."""


def measured(
    job: Job,
    program: ProgramSpec,
    parts: Mapping[str, Batch],
    outputs: Mapping[str, Floats],
    target_scaling: Sequence[Sequence[float]] | None = None,
) -> list[Metrics]:
    """Compute the metrics of several members from their outputs of each part, (members, n, outputs).

    Those of standardised targets are in the targets' own units. Of several outputs each has its own, and its
    own loss without its weight beside them: `price.mae`, `price.loss`.
    """
    members = len(next(iter(outputs.values())))
    found: list[Metrics] = [{name: {} for name in parts} for _ in range(members)]
    for output in program.outputs:
        loss, wanted = job.losses[output.name], job.metrics_by_output[output.name]
        start = "" if output.columns is None else f"{output.name}."
        for name, part in parts.items():
            own, targets = output.of(outputs[name]), targets_of(output, part.y)
            table = member_metrics(
                wanted,
                loss=loss,
                outputs=in_own_units(own, target_scaling),
                targets=in_own_units(targets, target_scaling),
            )
            for member, metrics in enumerate(table):
                found[member][name] |= {f"{start}{metric}": value for metric, value in metrics.items()}
            if start:
                alone = loss.model_copy(update={"weight": 1.0})
                for member, value in enumerate(loss_values(alone, own, targets, part.weights).tolist()):
                    found[member][name][f"{start}loss"] = _if_finite(value)
    return found


def validation_losses(job: Job, program: ProgramSpec, outputs: Floats, part: Batch) -> NDArray[np.float64]:
    """Compute the losses (members,) of several members' outputs (members, n, outputs) on the same samples."""
    return total_losses(job.losses, program, outputs, part.y, part.weights)


def member_metrics(
    wanted: Sequence[Metric], *, loss: Loss, outputs: NDArray[Any], targets: NDArray[Any]
) -> list[dict[str, float | None]]:
    """Compute the metrics of many members from their outputs on the same samples: (members, n, targets)."""
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, outputs[0].size))
    found: list[dict[str, float | None]] = []
    for begin in range(0, len(outputs), at_once):
        some = outputs[begin : begin + at_once].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found += _of_members(wanted, loss, some, targets)
    return found


def _of_members(
    wanted: Sequence[Metric], loss: Loss, o: Float64, targets: NDArray[Any]
) -> list[dict[str, float | None]]:
    names = [metric_name(metric) for metric in wanted]
    if o.shape[1] == 0:
        return [dict.fromkeys(names) for _ in o]
    if isinstance(loss, MulticlassLoss):
        ignored = ignored_class(loss)
        counted = np.full(o.shape[1], True) if ignored is None else targets != ignored
        if not counted.any():
            return [dict.fromkeys(names) for _ in o]
        scored = isinstance(loss, Margin) or not takes_logits(loss)
        table = _MULTICLASS | {"auc": _auc_of_scores} if scored else _MULTICLASS
        table = table | _with_settings(wanted, _of_class_numbers)
        classes = targets[counted].astype(np.int64)
        return [_each(table, names, one[counted], classes) for one in o]
    if isinstance(loss, BinaryLoss):
        scores, classes = o if takes_logits(loss) else o - 0.5, (targets > 0.5).astype(np.int64)
        table = _BINARY | _with_settings(wanted, _of_outputs)
        return [_each(table, names, one, classes) for one in scores]
    return _regression(names, _on_the_targets_scale(loss, o), targets.astype(np.float64))


def _on_the_targets_scale(loss: Loss, o: Float64) -> Float64:
    """Return rates from their logarithms, probabilities from logits, else the outputs themselves."""
    with np.errstate(over="ignore"):
        if isinstance(loss, Poisson):
            return np.exp(o)
        if isinstance(loss, KlDivergence):
            return _probabilities(o)
    return o


def _probabilities(o: Float64) -> Float64:
    """Return softmax(o) along the last axis."""
    scaled = np.exp(o - o.max(axis=-1, keepdims=True))
    probabilities: Float64 = scaled / scaled.sum(axis=-1, keepdims=True)
    return probabilities


def _regression(names: Sequence[str], o: Float64, t: Float64) -> list[dict[str, float | None]]:
    """Compute the metrics of all members at once; o is (members, n, targets)."""
    known = {name: _REGRESSION[name](o, t).tolist() for name in names if name in _REGRESSION}
    return [
        {name: _if_finite(known[name][member]) if name in known else None for name in names}
        for member in range(len(o))
    ]


def _mae(o: Float64, t: Float64) -> Float64:
    means: Float64 = np.abs(o - t).reshape(len(o), -1).mean(axis=1)
    return means


def _rmse(o: Float64, t: Float64) -> Float64:
    roots: Float64 = np.sqrt(((o - t) ** 2).reshape(len(o), -1).mean(axis=1))
    return roots


def _r2(o: Float64, t: Float64) -> Float64:
    """Compute it for each member; it is NaN where a target is constant."""
    if (t == t[0]).all(axis=0).any():
        return np.full(len(o), np.nan)
    spread = ((t - t.mean(axis=0)) ** 2).sum(axis=0)
    explained: Float64 = (1.0 - ((t - o) ** 2).sum(axis=1) / spread).mean(axis=-1)
    return explained


def _binary_accuracy(o: Float64, t: Integers) -> float:
    return float(((o > 0) == (t == 1)).mean())


def _binary_f1(o: Float64, t: Integers) -> float | None:
    return _mean([_f1(o[:, k] > 0, t[:, k] == 1) for k in range(t.shape[1])])


def _binary_auc(o: Float64, t: Integers) -> float | None:
    return _mean([_auc(o[:, k], t[:, k] == 1) for k in range(t.shape[1])])


def _accuracy(o: Float64, t: Integers) -> float:
    return float((o.argmax(axis=1) == t).mean())


def _multiclass_f1(o: Float64, t: Integers) -> float | None:
    predicted = o.argmax(axis=1)
    return _mean([_f1(predicted == k, t == k) for k in np.union1d(predicted, t)])


def _multiclass_auc(o: Float64, t: Integers) -> float | None:
    return _auc_of_scores(_probabilities(o), t)


def _auc_of_scores(scores: Float64, t: Integers) -> float | None:
    return _mean([_auc(scores[:, k], t == k) for k in range(scores.shape[1])])


def _f1(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    both = int((predicted & true).sum())
    either = int(predicted.sum()) + int(true.sum())
    return 2.0 * both / either if either else None


def _auc(scores: Float64, positive: NDArray[np.bool_]) -> float | None:
    """Compute it by the positives' rank sum (Mann & Whitney 1947); tied scores share their mean rank."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(size) - (size - 1) / 2.0
    rank_sum = float(mean_rank[group][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean, which is undefined as soon as one of the values is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


_REGRESSION: dict[str, Callable[[Float64, Float64], Float64]] = {"mae": _mae, "rmse": _rmse, "r2": _r2}


_BINARY: dict[str, Measure] = {
    "accuracy": _binary_accuracy,
    "f1": _binary_f1,
    "auc": _binary_auc,
}


_MULTICLASS: dict[str, Measure] = {
    "accuracy": _accuracy,
    "f1": _multiclass_f1,
    "auc": _multiclass_auc,
}


def _with_settings(wanted: Sequence[Metric], made: Callable[[SetMetric], Measure]) -> dict[str, Measure]:
    """Return by name what computes the metrics that have settings of their own."""
    return {metric_name(metric): made(metric) for metric in wanted if not isinstance(metric, str)}


def _of_outputs(metric: SetMetric) -> Measure:
    """Return a metric of single outputs (n, targets), which say class 1 above 0."""

    def measure(o: Float64, t: Integers) -> float | None:
        return _shares(metric, o > 0, t == 1)

    return measure


def _of_class_numbers(metric: SetMetric) -> Measure:
    """Return a metric of one class a sample: outputs (n, classes) and class numbers (n,)."""

    def measure(o: Float64, t: Integers) -> float | None:
        if isinstance(metric, TopKAccuracy):
            return _top_k(metric, o, t)
        predicted = o.argmax(axis=1)
        classes = np.union1d(predicted, t)
        return _shares(metric, predicted[:, None] == classes, t[:, None] == classes)

    return measure


def _shares(metric: SetMetric, predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    """Return precision or recall, of columns (n, classes) that say who is of each class."""
    both, said, real = ((each.sum(axis=0)) for each in (predicted & true, predicted, true))
    of = said if isinstance(metric, Precision) else real
    if not isinstance(metric, TopKAccuracy) and metric.average == "micro":
        both, of, said, real = (np.array([each.sum()]) for each in (both, of, said, real))
    return _mean(
        [
            None if neither else float(hits) / max(int(all_), 1)
            for hits, all_, neither in zip(both, of, said + real == 0, strict=True)
        ]
    )


def _top_k(metric: TopKAccuracy, o: Float64, t: Integers) -> float:
    own = np.take_along_axis(o, t[:, None], axis=1)
    before = (o > own).sum(axis=1)
    if metric.ties == "by_index":
        before = before + ((o == own) & (np.arange(o.shape[1]) < t[:, None])).sum(axis=1)
    return float(((before < metric.k) & ~np.isnan(own)).mean())


def _each(
    table: dict[str, Measure],
    names: Sequence[str],
    outputs: NDArray[Any],
    targets: NDArray[Any],
) -> dict[str, float | None]:
    return {name: _if_finite(table[name](outputs, targets)) if name in table else None for name in names}


def _if_finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
