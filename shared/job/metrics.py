"""What is measured beside the loss, on raw outputs; `worker.training.metrics` has the formulas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Count
from likewise.shared.job.kinds import Kinds
from likewise.shared.job.loss import Loss

PlainMetric = Literal["mae", "rmse", "r2", "accuracy", "f1", "auc"]

REGRESSION: tuple[PlainMetric, ...] = ("mae", "rmse", "r2")
CLASSIFICATION: tuple[PlainMetric, ...] = ("accuracy", "f1", "auc")


class TopKAccuracy(Frozen):
    """The share of samples whose class is among the k with the largest outputs; for one class of several.

    It is reported as `top_5_accuracy`, with its k.
    """

    type: Literal["top_k_accuracy"]
    k: Count = 5
    ties: Literal["inside", "by_index"] = "inside"
    """Whether a class that ties with the k-th is among them, as in Keras, or of classes that tie only
    those with the smaller numbers, as in a stable sort."""


class Precision(Frozen):
    """The share of what is said to be of a class that is of it; 0 where a class is never said.

    Of two classes it is that of class 1. It is reported as `precision`, or as `precision_micro`.
    """

    type: Literal["precision"]
    average: Literal["macro", "micro"] = "macro"
    """Whether several outputs or classes count alike, as for f1, or each of their elements does; micro of one
    class a sample is the accuracy."""


class Recall(Frozen):
    """The share of what is of a class that is said to be of it; 0 where a class has no samples.

    Of two classes it is that of class 1. It is reported as `recall`, or as `recall_micro`.
    """

    type: Literal["recall"]
    average: Literal["macro", "micro"] = "macro"
    """Whether classes count alike or elements do, as for precision."""


SetMetric = Annotated[TopKAccuracy | Precision | Recall, Kinds()]

_SET = ("top_k_accuracy", "precision", "recall")
_Name = Literal["mae", "rmse", "r2", "accuracy", "f1", "auc", "top_k_accuracy", "precision", "recall"]


def _kind(value: Any) -> str:
    return "plain" if isinstance(value, str) and value not in _SET else "set"


Metric = Annotated[Annotated[_Name, Tag("plain")] | Annotated[SetMetric, Tag("set")], Discriminator(_kind)]
"""A metric by its word alone, or with settings of its own."""


def metric_name(metric: Metric) -> str:
    """Return the name that a metric is reported by."""
    match metric:
        case str():
            return metric
        case TopKAccuracy(k=k, ties=ties):
            return f"top_{k}_accuracy" + ("" if ties == "inside" else "_by_index")
        case Precision(average=average) | Recall(average=average):
            return metric.type if average == "macro" else f"{metric.type}_micro"


def fits(metric: Metric, loss: Loss) -> bool:
    """Return whether the metric says something of outputs that are trained by the loss."""
    if isinstance(metric, str):
        return metric in fitting_metrics(loss)
    return loss.task == "multiclass" or (loss.task == "binary" and not isinstance(metric, TopKAccuracy))


def fitting_metrics(loss: Loss) -> tuple[PlainMetric, ...]:
    """Return the metrics that fit the loss; all of them are reported where the job file names none."""
    return REGRESSION if loss.task == "regression" else CLASSIFICATION
