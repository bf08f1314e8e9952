"""What is known of a setting that differs: how much it weighs and what it does to a training.

The general facts of the field, each with its formula; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from producer.resolve import SettingDifference
from producer.verdict.words import number, setting
from shared.spec import Job
from shared.spec.loss import is_by_row

_WEIGHT = (
    "data", "model", "loss", "optimizer", "training", "initial_weights", "precision", "predict", "metrics",
    "execution", "device",
)  # fmt: skip
"""Sections of a job from what changes a training most to what changes it least."""

_EFFECTS = {
    "data": "they do not train on the same data.",
    "model": "they do not train the same model.",
    "loss.type": "they do not minimise the same loss, and the losses cannot be held against each other.",
    "loss.delta": "beyond delta the Huber loss grows linearly, so large errors pull differently.",
    "loss.label_smoothing": "smoothed targets hold the outputs back from certainty and add to the loss.",
    "loss.class_weights": "a class's weight multiplies its samples' part of the gradient.",
    "optimizer.type": "they follow different update rules.",
    "optimizer.schedule": "the learning rate takes another course.",
    "optimizer.momentum": "with momentum m, steps that keep their direction grow to 1/(1 − m) times "
    "their size.",
    "optimizer.epsilon": "epsilon bounds the divisor of each step from below; it decides the size of steps "
    "where gradients are small.",
    "optimizer.weight_decay": "each step also shrinks the weights, by another amount.",
    "optimizer.clip": "large gradients are cut, so steps that hit the limit have another size.",
    "training.epochs": "one trains longer than the other.",
    "training.batch_size": "they make another number of updates an epoch, each from other samples.",
    "training.shuffle": "they do not see the samples in the same order.",
    "training.drop_last": "one leaves out the last, smaller batch of each epoch.",
    "training.early_stopping": "they may stop at different epochs.",
    "initial_weights": "they do not start from the same weights.",
    "precision": "float32 keeps about 7 digits of a number, float64 about 16.",
    "predict": "they are not asked for the same predictions.",
    "metrics": "they are not measured alike; the training itself is the same.",
    "execution": "this changes rounding at most, not what is computed.",
    "device": "this changes rounding at most, not what is computed.",
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What the sizes of sums depend on; None where it is not known."""

    samples: int | None
    """Training samples."""
    outputs: int | None
    """Loss elements a sample."""


def weight_of(difference: SettingDifference) -> tuple[int, str]:
    """A sort key: what changes a training most comes first."""
    section = difference.path.partition(".")[0]
    return (_WEIGHT.index(section) if section in _WEIGHT else len(_WEIGHT), difference.path)


def statement(difference: SettingDifference) -> str:
    """`loss.reduction is mean in tensorflow and sum in torch`."""
    by_value: dict[str, list[str]] = {}
    for framework, value in difference.values.items():
        by_value.setdefault(setting(value), []).append(framework)
    told = [f"{value} in {' and '.join(names)}" for value, names in by_value.items()]
    return f"{difference.path} is {', '.join(told[:-1])} and {told[-1]}"


def effect(difference: SettingDifference, *, jobs: Mapping[str, Job], scale: Scale) -> str | None:
    """What the difference does, as the rest of a sentence; None where nothing general is known."""
    if difference.path == "loss.reduction":
        return _reduction_effect(jobs, scale)
    if difference.path == "optimizer.learning_rate":
        return _learning_rate_effect(difference)
    path = difference.path
    known = max((key for key in _EFFECTS if path.startswith(key)), key=len, default=None)
    return _EFFECTS[known] if known else None


def _reduction_effect(jobs: Mapping[str, Job], scale: Scale) -> str:
    summing = next(job for job in jobs.values() if job.loss.reduction == "sum")
    elements = _loss_elements(summing, scale)
    size = f"{number(elements)} times" if elements else "as many times, as a batch has loss elements,"
    with_samples = _with_samples(summing, scale)
    if summing.optimizer.type != "sgd":
        return (
            f"{with_samples}a sum makes gradients {size} as large as a mean; {summing.optimizer.type} "
            "divides most of that out again, so that only epsilon, clipping and weight decay see it. The "
            "losses themselves are on different scales."
        )
    told = f"{with_samples}a sum makes every step {size} as large as a mean"
    if not elements:
        return f"{told}, as if the learning rate were higher by that factor."
    if summing.optimizer.schedule is not None:
        return f"{told}, as if every learning rate were {number(elements)} times as high."
    return f"{told}, as if the learning rate were {number(summing.optimizer.learning_rate * elements)}."


def _with_samples(job: Job, scale: Scale) -> str:
    samples = job.training.batch_size or scale.samples
    if not samples:
        return ""
    each = " a batch" if job.training.batch_size else ""
    several = not is_by_row(job.loss) and scale.outputs and scale.outputs > 1
    outputs = f" of {scale.outputs} outputs" if several else ""
    return f"with {samples:,} samples{each}{outputs} "


def _loss_elements(job: Job, scale: Scale) -> int | None:
    """Elements the loss of one full batch adds up: samples × outputs (one a sample for classes)."""
    samples = job.training.batch_size or scale.samples
    outputs = 1 if is_by_row(job.loss) else scale.outputs
    return samples * outputs if samples and outputs else None


def _learning_rate_effect(difference: SettingDifference) -> str | None:
    rates = [value for value in difference.values.values() if isinstance(value, int | float) and value > 0]
    if len(rates) < 2:
        return None
    return f"the larger one makes every step {number(max(rates) / min(rates))} times as large."
