"""Rules on what keeps weights small: penalties in the loss, decay by the optimizer, and constraints. Pure."""

from __future__ import annotations

from math import isclose
from typing import Any

from likewise.producer.wording.form import EQUAL, Form
from likewise.producer.wording.layers import Forms, kinds
from likewise.producer.wording.training import decay_is_plain
from likewise.shared.job.optimizer import is_decoupled
from likewise.shared.job.regularizers import MaxNorm, MinMaxNorm, UnitNorm, strengths
from likewise.shared.program.groups import decaying
from likewise.shared.program.penalties import has_penalty, penalized

ENDS = ("_regularizer", "_constraint")
DECAY = ("weight_decay", "weight_decay_kind", "exclude_from_weight_decay", "include_in_weight_decay")


def held_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's words for regularizers and constraints that do the same to the same weights."""
    if reference.program is None or other.program is None or kinds(reference) != kinds(other):
        return None
    documents = [form.document["model"]["layers"] for form in (reference, other)]
    changed = False
    # of several outputs the programs have a stage behind their layers
    stages = zip(reference.program.stages, other.program.stages, *documents, strict=False)
    for mine, theirs, wanted, layer in stages:
        both = [_rules(one) for one in (mine, theirs)]
        for field in _held_fields(wanted, layer):
            word, _, end = field.rpartition("_")
            if word == "activity":
                known = [_activity(stage) for stage in (mine, theirs)]
            else:
                known = [rules.get((word, end)) for rules in both]
            if _inner(wanted)[field] != _inner(layer)[field] and known[0] == known[1]:
                _inner(layer)[field] = _inner(wanted)[field]
                changed = True
    return (reference, other.with_layers(documents[1])) if changed else None


def _inner(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the document that has a layer's own fields: a bidirectional layer's are those inside."""
    inside = layer.get("layer")
    return inside if isinstance(inside, dict) else layer


def _held_fields(*layers: dict[str, Any]) -> list[str]:
    """Return the fields that keep weights and outputs small, of layers of one kind."""
    return [name for name in _inner(layers[0]) if name.endswith(ENDS) and name in _inner(layers[1])]


def _rules(stage: Any) -> dict[tuple[str, str], Any]:
    """Return what the regularizer and constraint of each word do, as numbers to be compared."""
    found: dict[tuple[str, str], Any] = {}
    for weight in stage.weights:
        word = weight.own_name.rpartition(".")[2].removesuffix("_kernel")
        numbers = strengths(weight.regularizer)
        found[word, "regularizer"] = numbers if any(numbers) else None
        found[word, "constraint"] = _bounds(weight.constraint, len(weight.shape))
    return found


def _activity(stage: Any) -> Any:
    """Return what a layer's output adds to the loss, as numbers to be compared; None for nothing."""
    numbers = strengths(stage.activity)
    return (*numbers, stage.activity.reduction) if any(numbers) else None


def _bounds(constraint: Any, rank: int) -> Any:
    """Return a constraint's bounds and axes, by one word for each."""
    if not isinstance(constraint, MaxNorm | MinMaxNorm | UnitNorm):
        return constraint and constraint.type
    axes = tuple(sorted({axis % rank for axis in constraint.axes}))
    match constraint:
        case MaxNorm():
            return 0.0, constraint.max_value, 1.0, axes
        case MinMaxNorm():
            return constraint.min_value, constraint.max_value, constraint.rate, axes
    return constraint.type, axes


def decay_in_the_loss(reference: Form, other: Form) -> Forms | None:
    """Write an L2 penalty in the loss, or decay in the gradient, as the side with the penalty does.

    The gradient of l2·Σw² is 2·l2·w, which is that of a decay of 2·l2, as long as nothing is clipped between
    the two. The penalty is in the loss that is reported, and decay is not, which stays a difference.
    """
    if _has_penalty(other) and not _has_penalty(reference):
        swapped = _as_a_penalty(other, reference)
        return swapped and (swapped[1], swapped[0])
    return _as_a_penalty(reference, other)


def _as_a_penalty(reference: Form, other: Form) -> Forms | None:
    mine, theirs = _pull(reference), _pull(other)
    if mine is None or theirs is None or list(mine) != list(theirs) or kinds(reference) != kinds(other):
        return None
    if not all(
        one[0] == two[0] and isclose(one[1], two[1], rel_tol=EQUAL)
        for one, two in zip(mine.values(), theirs.values(), strict=True)
    ):
        return None
    documents = [form.document["model"]["layers"] for form in (reference, other)]
    for wanted, layer in zip(*documents, strict=True):
        for field in _held_fields(wanted, layer):
            if field.endswith("_regularizer") and field != "activity_regularizer":
                _inner(layer)[field] = _inner(wanted)[field]
    decay = {name: reference.document["optimizer"][name] for name in DECAY}
    if documents[1] == other.document["model"]["layers"]:
        return None
    told = [form.job.training.report_penalty and _has_penalty(form) for form in (reference, other)]
    changed = other.with_layers(documents[1]).with_section("optimizer", **decay)
    if told == [False, False]:
        return reference, changed
    if any(_watches_the_loss(form) for form in (reference, other)):
        return None
    return (
        reference.with_section("training", report_penalty=told[0]),
        changed.with_section("training", report_penalty=not told[0]),
    )


def _watches_the_loss(form: Form) -> bool:
    """Return whether a loss that is reported decides how the training goes on."""
    schedule = form.job.optimizer.schedule
    plateaus = schedule is not None and schedule.type == "reduce_on_plateau"
    return plateaus or form.job.training.early_stopping is not None


def _has_penalty(form: Form) -> bool:
    return form.program is not None and has_penalty(form.program)


def _pull(form: Form) -> dict[str, tuple[float, float]] | None:
    """Return l1 and how much of each weight its gradient has, by name; None where more is done."""
    optimizer, program = form.job.optimizer, form.program
    clips = any((optimizer.clip_value, optimizer.clip_norm, optimizer.global_clip_norm))
    apart = bool(optimizer.weight_decay) and is_decoupled(optimizer) and not decay_is_plain(form)
    if program is None or clips or apart:
        return None
    held, decays = penalized(program), decaying(program, optimizer)
    found = {}
    for name in program.trainable:
        l1, l2 = held.get(name, (0.0, 0.0))
        found[name] = l1, 2 * l2 + optimizer.weight_decay * decays[name]
    return found


def reports_no_penalty(form: Form) -> bool:
    """Return whether there is no penalty that a loss could have in it."""
    return form.program is not None and not has_penalty(form.program)
