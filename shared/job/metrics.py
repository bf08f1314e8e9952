"""The metrics, and which of them fit a loss. `worker.training.metrics` computes them."""

from __future__ import annotations

from typing import Literal

from shared.job.loss import BinaryCrossentropy, CategoricalCrossentropy, Loss

MetricName = Literal["mae", "rmse", "r2", "accuracy", "f1", "auc"]

REGRESSION: tuple[MetricName, ...] = ("mae", "rmse", "r2")
CLASSIFICATION: tuple[MetricName, ...] = ("accuracy", "f1", "auc")


def fitting_metrics(loss: Loss) -> tuple[MetricName, ...]:
    """The metrics that fit the loss; all of them are reported where the job file names none."""
    classifies = isinstance(loss, BinaryCrossentropy | CategoricalCrossentropy)
    return CLASSIFICATION if classifies else REGRESSION
