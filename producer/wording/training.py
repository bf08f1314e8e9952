"""Rules on the loss, the optimizer and the training: the same training, written with other words. Pure.

Each rule takes the reference's form and the other's, and returns both in one wording, or None where it does
not apply. The other's job takes on the reference's words.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.wording.form import EQUAL, PARTS, Form
from likewise.producer.wording.layers import Forms
from likewise.shared.job.loss import (
    CategoricalCrossentropy,
    is_broadcast,
    is_by_batch,
    is_by_row,
)
from likewise.shared.job.optimizer import Adam, AdamW, BaseOptimizer, Nadam, Optimizer, RmsProp
from likewise.shared.job.schedule import ReduceOnPlateauSchedule
from likewise.shared.job.training import BatchPlan
from likewise.shared.learning_rates import learning_rates
from likewise.shared.program.groups import decaying
from likewise.shared.program.penalties import has_penalty

_MOST_RATES = 1_000_000
"""How many updates' rates are worked out to find two schedules the same."""


# Settings without an effect


def idle(path: str, does_nothing: Callable[[Form], bool]) -> Callable[[Form, Form], Forms | None]:
    """Return the rule that takes the reference's value of a setting that does nothing in either job."""
    section, _, name = path.partition(".")

    def rule(reference: Form, other: Form) -> Forms | None:
        mine, theirs = (form.document[section] for form in (reference, other))
        if name not in mine or name not in theirs or mine[name] == theirs[name]:
            return None
        if not (does_nothing(reference) and does_nothing(other)):
            return None
        return reference, other.with_section(section, **{name: mine[name]})

    return rule


def decay_is_plain(form: Form) -> bool:
    """Return whether coupled and decoupled decay are the same: there is none, or the step is η·g alone."""
    optimizer: Any = form.job.optimizer
    return bool(optimizer.weight_decay == 0 or (optimizer.type == "sgd" and optimizer.momentum == 0))


def same_rates(reference: Form, other: Form) -> Forms | None:
    """Take the reference's learning rate and schedule where every update has the same rate by both."""
    mine, theirs = reference.job.optimizer, other.job.optimizer
    if (mine.learning_rate, mine.schedule) == (theirs.learning_rate, theirs.schedule):
        return None
    rates = _rates(reference), _rates(other)
    if rates[0] is None or rates[1] is None or rates[0].shape != rates[1].shape:
        return None
    if not np.allclose(rates[0], rates[1], rtol=EQUAL, atol=0):
        return None
    taken = {name: reference.document["optimizer"][name] for name in ("learning_rate", "schedule")}
    return reference, other.with_section("optimizer", **taken)


def _rates(form: Form) -> NDArray[np.float64] | None:
    """Return the rate of each update; None where losses decide it, or where updates are very many."""
    optimizer, samples = form.job.optimizer, form.facts.samples
    if samples is None or isinstance(optimizer.schedule, ReduceOnPlateauSchedule):
        return None
    plan = BatchPlan.of(form.job.training, samples)
    if plan.steps > _MOST_RATES:
        return None
    return learning_rates(optimizer, first_step=0, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch)


def momentum_is_plain(form: Form) -> bool:
    """Return whether steps and gradients gather to the same: without momentum, or at one learning rate."""
    optimizer: Any = form.job.optimizer
    schedule = optimizer.schedule
    return (
        optimizer.momentum == 0 or schedule is None or (schedule.type == "constant" and not schedule.warmup)
    )


def same_groups(reference: Form, other: Form) -> Forms | None:
    """Take the reference's words for the weights that decay, where they are the same weights or none do."""
    fields = ("exclude_from_weight_decay", "include_in_weight_decay")
    mine, theirs = (form.job.optimizer for form in (reference, other))
    words = {name: getattr(mine, name) for name in fields}
    if words == {name: getattr(theirs, name) for name in fields}:
        return None
    if mine.weight_decay or theirs.weight_decay:
        programs = reference.program, other.program
        if programs[0] is None or programs[1] is None:
            return None
        groups = [decaying(programs[0], mine), decaying(programs[1], theirs)]
        if groups[0] != groups[1]:
            return None
    changed = {name: reference.document["optimizer"][name] for name in fields}
    return reference, other.with_section("optimizer", **changed)


def keeps_no_average(form: Form) -> bool:
    """Return whether there is no moving average of the weights."""
    return not form.job.optimizer.use_ema


def knows_no_mode(form: Form) -> bool:
    """Return whether no layer does something else in training."""
    return not sees_batches(form)


def sees_batches(form: Form) -> bool:
    """Return whether a layer draws or measures by the batch, so that its size is no matter of words."""
    layers = form.job.model.layers
    return any(layer.drop_rate > 0 or getattr(layer, "uses_batch", False) for layer in layers)


def corrects_no_bias(form: Form) -> bool:
    """Return whether epsilon meets a root that is never corrected, before or after."""
    optimizer: Any = form.job.optimizer
    return optimizer.type in ("adam", "adamw", "nadam") and not optimizer.bias_correction


def clips_no_norm(form: Form) -> bool:
    """Return whether no norm is clipped."""
    optimizer = form.job.optimizer
    return optimizer.clip_norm is None and optimizer.global_clip_norm is None


def weighs_nothing(form: Form) -> bool:
    """Return whether a mean is not of weighted elements."""
    loss = form.job.loss
    weighted = getattr(loss, "class_weights", None) is not None or getattr(
        form.job.data, "sample_weights", None
    )
    return loss.reduction != "mean" or not weighted


def ignores_nothing(form: Form) -> bool:
    """Return whether no target is the class number that counts for nothing."""
    loss: Any = form.job.loss
    if loss.ignore_index is None:
        return True
    if form.facts.dataset is None:
        return False
    targets = [y for name in PARTS if (y := form.facts.targets(name)) is not None]
    return not any((y == loss.ignore_index).any() for y in targets)


def is_one_batch(form: Form) -> bool:
    """Return whether an epoch is one batch of all samples."""
    samples, size = form.facts.samples, form.job.training.batch_size
    return size is None or (samples is not None and size >= samples and not form.job.training.drop_last)


def leaves_nothing_out(form: Form) -> bool:
    """Return whether the samples fall into whole batches."""
    samples = form.facts.samples
    return samples is not None and samples % (form.job.training.batch_size or samples) == 0


def never_shuffles(form: Form) -> bool:
    """Return whether the samples keep their order."""
    return form.job.training.shuffle is False


def adamw_is_adam(reference: Form, other: Form) -> Forms | None:
    """Take the reference's word for Adam, of which AdamW is the one whose decay is decoupled by default."""
    mine, theirs = (form.document["optimizer"] for form in (reference, other))
    if {mine["type"], theirs["type"]} != {"adam", "adamw"}:
        return None
    renamed = other.with_job(other.document | {"optimizer": theirs | {"type": mine["type"]}})
    plain = decay_is_plain(reference) and decay_is_plain(other)
    if not plain and mine["weight_decay_kind"] != theirs["weight_decay_kind"]:
        return None
    kind = {"weight_decay_kind": mine["weight_decay_kind"]} if plain else {}
    return reference, renamed.with_section("optimizer", **kind)


def one_root(reference: Form, other: Form) -> Forms | None:
    """Take the reference's optimizer, Adam or RMSprop, where each divides the gradient by the same root."""
    mine, theirs = reference.job.optimizer, other.job.optimizer
    roots = [_root_alone(one) for one in (mine, theirs)]
    apart = mine.type != theirs.type and "rmsprop" in (mine.type, theirs.type)
    if not apart or None in roots or roots[0] != roots[1]:
        return None
    wanted, found = (form.document["optimizer"] for form in (reference, other))
    own = {name: found[name] for name in BaseOptimizer.model_fields}
    return reference, other.with_job(other.document | {"optimizer": wanted | own})


def _root_alone(optimizer: Optimizer) -> tuple[float, float] | None:
    """Return ρ and ε of an update η·g/(√v + ε), with v a mean of g·g that begins at 0; None for another."""
    match optimizer:
        case RmsProp(momentum=0, centered=False, initial_accumulator_value=0, epsilon_placement="outside"):
            return optimizer.rho, optimizer.epsilon
        case Adam(beta_1=0, amsgrad=False) | AdamW(beta_1=0, amsgrad=False) | Nadam(beta_1=0):
            uncorrected = not optimizer.bias_correction or optimizer.beta_2 == 0
            return (optimizer.beta_2, optimizer.epsilon) if uncorrected else None
    return None


# The reduction and what follows from it


def reduction(reference: Form, other: Form) -> Forms | None:
    """Write the other's loss with the reference's reduction, its optimizer's numbers taken along."""
    losses = reference.job.loss, other.job.loss
    if losses[0].reduction == losses[1].reduction or losses[0].type != losses[1].type:
        return None
    ratio = _ratio(reference, other)
    numbers = None if ratio is None else _scaled(other.document["optimizer"], ratio)
    if ratio is None or numbers is None:
        return None
    mine = reference.document["optimizer"]
    numbers = {
        name: mine[name] if _close(value, mine.get(name)) else value for name, value in numbers.items()
    }
    changed = other.with_section("loss", reduction=losses[0].reduction).with_section("optimizer", **numbers)
    return reference, changed.read(loss_factor=_reported(reference, other) / ratio)


def _ratio(reference: Form, other: Form) -> float | None:
    """Return how many times the reference's the other's loss of every batch is; None where that varies."""
    columns = _columns(reference), _columns(other)
    if columns[0] is None or columns[0] != columns[1]:
        return None
    if not (_scales_freely(other) and _scales_freely(reference)):
        return None
    if "mean" not in (reference.job.loss.reduction, other.job.loss.reduction):
        return _of_a_mean(other, columns[0]) / _of_a_mean(reference, columns[0])
    sizes = _elements(reference), _elements(other)
    if sizes[0] is None or sizes[0] != sizes[1]:
        return None
    return _of_a_mean(other, sizes[0]) / _of_a_mean(reference, sizes[0])


def _close(value: Any, other: Any) -> bool:
    numbers = isinstance(value, float) and isinstance(other, float)
    return numbers and isclose(value, other, rel_tol=EQUAL)


def _columns(form: Form) -> int | None:
    """Return how many loss elements a sample has."""
    if is_by_row(form.job.only_loss):
        return 1
    program = form.program
    return program.output_shape[0] if program is not None and len(program.output_shape) == 1 else None


def _elements(form: Form) -> int | None:
    """Return the loss elements of a batch, where all batches are of one size and elements count alike."""
    columns, samples, loss = _columns(form), form.facts.samples, form.job.only_loss
    if is_by_batch(loss):
        return 1
    if columns is None or samples is None or not (weighs_nothing(form) or loss.weighting == "by_count"):
        return None
    if isinstance(loss, CategoricalCrossentropy) and not ignores_nothing(form):
        return None
    plan = BatchPlan.of(form.job.training, samples)
    if plan.steps == 0 or (plan.full and plan.remainder):
        return None
    return plan.largest_batch**2 if is_broadcast(loss) else plan.largest_batch * columns


def _of_a_mean(form: Form, elements: int) -> float:
    """Return how many times a mean's the reduced loss of a batch of so many elements is."""
    if form.job.loss.reduction == "mean":
        return 1.0
    return float(elements) / (1 if form.job.loss.reduction == "sum" else _columns(form) or 1)


def _reported(reference: Form, other: Form) -> float:
    """Return how many times as many losses the reference adds up for an epoch as the other."""
    sums = [
        form.job.loss.reduction != "mean" and form.job.training.epoch_loss == "per_sample"
        for form in (reference, other)
    ]
    if sums[0] == sums[1]:
        return 1.0
    batches = float(BatchPlan.of(reference.job.training, reference.facts.samples or 1).steps_per_epoch)
    return batches if sums[0] else 1 / batches


def _scales_freely(form: Form) -> bool:
    """Return whether the loss's size changes gradients alone, and all rates scale with the learning rate."""
    schedule, stopping = form.job.optimizer.schedule, form.job.training.early_stopping
    if schedule is not None and schedule.type in ("reduce_on_plateau", "polynomial", "piecewise"):
        return False
    if form.program is None or has_penalty(form.program):  # a penalty is as large whatever the reduction
        return False
    return stopping is None or stopping.min_delta == 0


def _scaled(optimizer: dict[str, Any], ratio: float) -> dict[str, Any] | None:
    """Return the numbers that do with gradients g what the given ones do with ratio·g; None if none do."""
    kind = optimizer["type"]
    if kind == "adadelta":
        return None
    numbers: dict[str, Any] = {
        name: optimizer[name] / ratio
        for name in ("clip_value", "clip_norm", "global_clip_norm", "clip_epsilon")
        if optimizer[name]
    }
    decoupled = optimizer["weight_decay_kind"] == "decoupled"
    if optimizer["weight_decay"] and (kind == "sgd" or not decoupled):
        numbers["weight_decay"] = optimizer["weight_decay"] / ratio
    if kind == "sgd":
        return numbers | {"learning_rate": optimizer["learning_rate"] * ratio}
    squared = optimizer["epsilon_placement"] == "inside" and kind != "adamax"
    numbers["epsilon"] = optimizer["epsilon"] / (ratio**2 if squared else ratio)
    if kind in ("adagrad", "rmsprop"):
        numbers["initial_accumulator_value"] = optimizer["initial_accumulator_value"] / ratio**2
    return numbers
