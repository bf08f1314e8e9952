"""Rules on data: the same samples, labels or weights, written with other words. Pure.

Each rule takes the reference's form and the other's, and returns both in one wording, or None where it does
not apply. Most look at the samples themselves, and do not apply once these are gone from the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.wording.form import EQUAL, PARTS, Facts, Form, Part
from likewise.producer.wording.layers import Forms
from likewise.shared.job.loss import (
    CategoricalCrossentropy,
    KlDivergence,
    class_weights_of,
    takes_probabilities,
    takes_signs,
)
from likewise.shared.job.training import BatchPlan
from likewise.shared.losses import element_weights
from likewise.shared.program import ModelOutput
from likewise.shared.store.arrays import ArrayRef


def same_data(reference: Form, other: Form) -> Forms | None:
    """Take the reference's word for data that are the same arrays."""
    mine, theirs = reference.facts.dataset, other.facts.dataset
    if mine is None or theirs is None or reference.job.data == other.job.data:
        return None
    if not _rescaled_alike(reference, other):
        return None
    arrays = [one.model_dump(include={*PARTS, "predict", "task"}) for one in (mine, theirs)]
    if arrays[0] != arrays[1]:
        return None
    return reference, other.with_job(other.document | {"data": reference.document["data"]})


def rescaled_data(reference: Form, other: Form) -> Forms | None:
    """Take the reference's word for data whose samples are the same once they are rescaled, to float32."""
    mine, theirs = reference.facts.dataset, other.facts.dataset
    if mine is None or theirs is None or reference.job.data == other.job.data:
        return None
    parts = [(reference.facts.part(name), other.facts.part(name)) for name in PARTS]
    for one, two in parts:
        if (one is None) != (two is None):
            return None
        if one is not None and two is not None and (one.y, one.weights) != (two.y, two.weights):
            return None
    rows = [(one.x, two.x) for one, two in parts if one is not None and two is not None]
    if (mine.predict is None) != (theirs.predict is None) or mine.task != theirs.task:
        return None
    if mine.predict is not None and theirs.predict is not None:
        rows.append((mine.predict, theirs.predict))
    if any(one.shape != two.shape for one, two in rows) or not all(
        _equal_to_float32(reference, other, both) for both in rows
    ):
        return None
    return reference, other.with_job(other.document | {"data": reference.document["data"]})


_ROWS = 256
"""Samples are compared in pieces of so many, which take little memory and soon tell other data."""


def _equal_to_float32(reference: Form, other: Form, both: tuple[ArrayRef, ArrayRef]) -> bool:
    """Return whether samples, each rescaled as its form has it, differ by float32's rounding at most."""
    loads = reference.facts.arrays, other.facts.arrays
    if loads[0] is None or loads[1] is None:
        return False
    stored = loads[0](both[0]), loads[1](both[1])
    for begin in range(0, len(stored[0]), _ROWS):
        pieces = [array[begin : begin + _ROWS].astype(np.float64) for array in stored]
        read, sizes = zip(*map(_rescaled, (reference, other), pieces), strict=True)
        if not np.all(np.abs(read[0] - read[1]) <= _FLOAT32 * np.maximum(*sizes)):
            return False
    return True


_FLOAT32 = float(np.finfo(np.float32).eps)


def _rescaled(form: Form, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return samples as a form's batches have them, and how large the numbers are that they come from."""
    data = form.job.data
    mean = np.asarray(0.0 if data.mean is None else data.mean)
    scale = np.asarray(1.0 if data.scale is None else data.scale)
    return (x - mean) / scale, (np.abs(x) + np.abs(mean)) / np.abs(scale)


def _rescaled_alike(reference: Form, other: Form) -> bool:
    """Return whether batches are rescaled alike, which the stored samples do not show."""
    mine, theirs = reference.job.data, other.job.data
    means = _one_number(mine.mean, 0.0), _one_number(theirs.mean, 0.0)
    scales = _one_number(mine.scale, 1.0), _one_number(theirs.scale, 1.0)
    return bool(means[0] == means[1] and scales[0] == scales[1])


def _one_number(value: Any, nothing: float) -> Any:
    """Return a rescaling by one number for every channel as that number, and by `nothing` as None."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    return None if value == nothing else value


_SMOOTHING = {KlDivergence, CategoricalCrossentropy}


@dataclass(frozen=True, kw_only=True)
class _Smoothed:
    """It is an output whose rows in one form are what the loss of the other makes of classes."""

    name: str
    rows_first: bool
    """Whether the reference is the one with the rows."""
    shift: float
    """It is what the reported cross-entropy exceeds the reported divergence by, with a minus sign."""


def smoothed_targets(reference: Form, other: Form) -> Forms | None:
    """Write rows of probabilities that smooth one class each as classes with the loss's label smoothing."""
    programs, losses = (reference.program, other.program), (reference.job.losses, other.job.losses)
    if programs[0] is None or programs[1] is None or losses[0].keys() != losses[1].keys():
        return None
    weighted = any(form.facts.weights(part) is not None for form in (reference, other) for part in PARTS)
    same_rows = _same_rows(reference.facts, other.facts) and _rescaled_alike(reference, other)
    if weighted or not same_rows:
        return None
    pairs = [
        (pair, (losses[0][pair[0].name], losses[1][pair[0].name]))
        for pair in zip(programs[0].outputs, programs[1].outputs, strict=True)
    ]
    apart = [one for one in pairs if {type(loss) for loss in one[1]} == _SMOOTHING]
    found = [_smoothed_output((reference, other), *one) for one in apart]
    rest = all(_wanted_alike((reference, other), pair) for pair, both in pairs if (pair, both) not in apart)
    if not found or not rest or None in found:
        return None
    taken = {name: reference.document[name] for name in ("data", "loss", "metrics")}
    if reference.job.model.outputs is not None:
        of_each = {one.name: reference.document["loss"][one.name] for one in found if one is not None}
        taken["loss"] = other.document["loss"] | of_each
    one, two = reference, other.with_job(other.document | taken)
    for smoothed in filter(None, found):
        if smoothed.rows_first:
            one = one.read(loss_shift=one.reading.loss_shift + smoothed.shift)
        else:
            two = two.read(loss_shift=two.reading.loss_shift + smoothed.shift)
    return one, two


def _smoothed_output(
    forms: Forms, outputs: tuple[ModelOutput, ModelOutput], losses: tuple[Any, Any]
) -> _Smoothed | None:
    """Return how one output's rows are smoothed; None where the other's loss makes other rows of classes."""
    first = isinstance(losses[0], KlDivergence)
    of_rows, of_classes = forms if first else forms[::-1]
    divergence, classes = losses if first else losses[::-1]
    if not classes.from_logits or classes.class_weights is not None or classes.ignore_index is not None:
        return None
    if (divergence.reduction, divergence.weight) != (classes.reduction, classes.weight):
        return None
    wanted = outputs if first else outputs[::-1]
    if not _are_smoothed(of_rows.facts, of_classes.facts, classes.label_smoothing, wanted):
        return None
    samples = of_rows.facts.samples
    if samples is None:
        return None
    plan = BatchPlan.of(of_rows.job.training, samples)
    per_batch = of_rows.job.training.epoch_loss == "per_batch"
    added = plan.samples_per_epoch / (plan.steps_per_epoch if per_batch else 1)
    shift = _information(classes.label_smoothing, wanted[0].width) * divergence.weight
    shift *= 1 if divergence.reduction == "mean" else added
    return _Smoothed(name=outputs[0].name, rows_first=first, shift=-shift)


def _wanted_alike(forms: Forms, outputs: tuple[ModelOutput, ModelOutput]) -> bool:
    """Return whether the targets of an output are the same numbers in both."""
    for part in PARTS:
        y = [form.facts.targets(part) for form in forms]
        if y[0] is None or y[1] is None:
            if y[0] is not y[1]:
                return False
        elif not np.array_equal(outputs[0].wanted(y[0]), outputs[1].wanted(y[1])):
            return False
    return True


def smoothed_classes(reference: Form, other: Form) -> Forms | None:
    """Take the reference's words for targets of two classes that are the same once losses smooth them."""
    outputs = _outputs(reference, other)
    smooth = {one.name: mine for one, mine, theirs in outputs if takes_probabilities(mine)}
    if not smooth or not _same_rows(reference.facts, other.facts) or not _rescaled_alike(reference, other):
        return None
    for part in PARTS:
        if reference.facts.part(part) is None:
            continue
        y = [form.facts.targets(part) for form in (reference, other)]
        if y[0] is None or y[1] is None or y[0].shape != y[1].shape:
            return None
        same = (
            _smoothed_alike(losses, (one.wanted(y[0]), one.wanted(y[1])))
            if one.name in smooth
            else np.array_equal(one.wanted(y[0]), one.wanted(y[1]))
            for one, *losses in outputs
        )
        if not all(same) or not _equal(*(form.facts.weights(part) for form in (reference, other))):
            return None
    changed = other.with_job(other.document | {"data": reference.document["data"]})
    for name, loss in smooth.items():
        changed = changed.with_loss(name, label_smoothing=loss.label_smoothing)
    return reference, changed


def _smoothed_alike(losses: Sequence[Any], targets: tuple[NDArray[Any], NDArray[Any]]) -> bool:
    """Return whether targets are of the same classes, and the same numbers once their losses smooth them."""
    mine, theirs = (
        y * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2
        for y, loss in zip(targets, losses, strict=True)
    )
    same_classes = np.array_equal(targets[0] > 0.5, targets[1] > 0.5)
    return same_classes and np.allclose(mine, theirs, rtol=0, atol=EQUAL)


def _outputs(reference: Form, other: Form) -> list[tuple[ModelOutput, Any, Any]]:
    """Return each output with the losses of both; nothing where these are of other kinds."""
    losses = reference.job.losses, other.job.losses
    if reference.program is None or losses[0].keys() != losses[1].keys():
        return []
    if any(loss.type != losses[1][name].type for name, loss in losses[0].items()):
        return []
    return [(one, losses[0][one.name], losses[1][one.name]) for one in reference.program.outputs]


def _same_rows(mine: Facts, theirs: Facts) -> bool:
    """Return whether both train on the same inputs, whatever their targets are."""
    if mine.dataset is None or theirs.dataset is None:
        return False
    parts = [(mine.part(name), theirs.part(name)) for name in PARTS]
    return all(one is two if one is None or two is None else one.x == two.x for one, two in parts)


def _are_smoothed(
    rows: Facts, classes: Facts, smoothing: float, outputs: tuple[ModelOutput, ModelOutput]
) -> bool:
    """Return whether each row is 1 − a at its class, plus a/k everywhere.

    Outputs are that of the rows, then that of the classes.
    """
    for name in PARTS:
        both = rows.targets(name), classes.targets(name)
        if both[0] is None or both[1] is None:
            if both[0] is not both[1]:
                return False
            continue
        y, numbers = outputs[0].wanted(both[0]), outputs[1].wanted(both[1]).astype(np.int64)
        smooth = np.full(y.shape, smoothing / y.shape[1])
        if y.ndim != 2 or numbers.min(initial=0) < 0 or numbers.max(initial=0) >= y.shape[1]:
            return False
        smooth[np.arange(len(y)), numbers] += 1.0 - smoothing
        if not np.allclose(y, smooth, rtol=0, atol=EQUAL):
            return False
    return True


def _information(smoothing: float, classes: int) -> float:
    """Return Σ t·log t of a smoothed row, by which the divergence exceeds the cross-entropy."""
    rest = smoothing / classes
    most = 1.0 - smoothing + rest
    return most * log(most) + ((classes - 1) * rest * log(rest) if rest > 0 else 0.0)


def weighted_samples(reference: Form, other: Form) -> Forms | None:
    """Take the reference's words for weights that come to the same for every target of every output."""
    outputs, facts = _outputs(reference, other), (reference.facts, other.facts)
    weighs = {
        one.name: mine for one, mine, theirs in outputs if class_weights_of(mine) != class_weights_of(theirs)
    }
    if not weighs or not _same_samples(*facts) or not _rescaled_alike(reference, other):
        return None
    for part in PARTS:
        y = facts[0].targets(part)
        for output, *losses in outputs if y is not None else ():
            wanted = output.wanted(y)
            both = [
                _spread_out(element_weights(loss, wanted, one.weights(part)), wanted)
                for loss, one in zip(losses, facts, strict=True)
            ]
            if not np.allclose(both[0], both[1], rtol=EQUAL, atol=0):
                return None
    changed = other.with_job(other.document | {"data": reference.document["data"]})
    for name, loss in weighs.items():
        changed = changed.with_loss(name, class_weights=loss.model_dump(mode="json")["class_weights"])
    return reference, changed


def _same_samples(mine: Facts, theirs: Facts) -> bool:
    """Return whether both have the same inputs and targets, whatever they weigh."""
    if mine.dataset is None or theirs.dataset is None:
        return False
    parts = [(mine.part(name), theirs.part(name)) for name in PARTS]
    return all(one is two if one is None or two is None else one.same_rows(two) for one, two in parts)


def _spread_out(weights: NDArray[Any] | None, targets: NDArray[Any]) -> NDArray[Any]:
    """Return a weight for each target, 1 where none is given."""
    return np.ones(targets.shape) if weights is None else np.broadcast_to(weights, targets.shape)


def signed_targets(reference: Form, other: Form) -> Forms | None:
    """Take the reference's coding of a hinge's targets: 0 and 1, or −1 and 1."""
    losses: list[Any] = [reference.job.loss, other.job.loss]
    if losses[0].type != losses[1].type or not takes_signs(losses[0]):
        return None
    if not _same_rows(reference.facts, other.facts) or not _rescaled_alike(reference, other):
        return None
    for name in PARTS:
        mine, theirs = _signs(reference, name), _signs(other, name)
        weights = [form.facts.weights(name) for form in (reference, other)]
        same = mine is not None and theirs is not None and np.array_equal(mine, theirs)
        if reference.facts.part(name) is not None and not (same and _equal(*weights)):
            return None
    changed = other.with_job(other.document | {"data": reference.document["data"]})
    return reference, changed.with_section("loss", labels=losses[0].labels)


def _signs(form: Form, name: Part) -> NDArray[np.bool_] | None:
    """Return which targets a hinge takes for 1, the others being −1; None where some stay 0."""
    loss: Any = form.job.loss
    y = form.facts.targets(name)
    if y is None or (loss.labels == "as_given" and (y == 0).any()):
        return None
    positive: NDArray[np.bool_] = y > 0
    return positive


def _equal(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)
