"""Rules on losses that have two names. Pure.

Each rule takes the reference's form and the other's, and returns both in one wording, or None where it does
not apply. The other's job takes on the reference's words.
"""

from __future__ import annotations

from math import isclose
from typing import Any

from likewise.producer.wording.form import EQUAL, Form
from likewise.producer.wording.layers import Forms
from likewise.shared.job.loss import class_weights_of, ignored_class

FOCAL = {
    "binary_focal_crossentropy": "binary_crossentropy",
    "categorical_focal_crossentropy": "categorical_crossentropy",
}


def plain_focal(reference: Form, other: Form) -> Forms | None:
    """Take the reference's name for a focal loss of gamma 0, which is the cross-entropy."""
    losses: list[Any] = [reference.job.loss, other.job.loss]
    focal = next((loss for loss in losses if loss.type in FOCAL), None)
    if focal is None or {one.type for one in losses} != {focal.type, FOCAL[focal.type]}:
        return None
    weighs = focal.apply_class_balancing if focal.task == "binary" else focal.alpha != 1
    if focal.gamma != 0 or weighs or any(ignored_class(one) is not None for one in losses):
        return None
    mine, theirs = (form.document["loss"] for form in (reference, other))
    shared = {name: value for name, value in theirs.items() if name in mine and name != "type"}
    return reference, other.with_job(other.document | {"loss": mine | shared})


def dice_is_tversky(reference: Form, other: Form) -> Forms | None:
    """Take the reference's name for Tversky's loss of two halves, which is Dice of twice what is added."""
    losses: list[Any] = [reference.job.loss, other.job.loss]
    if {one.type for one in losses} != {"dice", "tversky"}:
        return None
    tversky = next(one for one in losses if one.type == "tversky")
    if (tversky.alpha, tversky.beta) != (0.5, 0.5):
        return None
    mine, theirs = (form.document["loss"] for form in (reference, other))
    shared = {name: value for name, value in theirs.items() if name in mine and name != "type"}
    factor = 2.0 if mine["type"] == "dice" else 0.5
    added = {name: theirs[name] * factor for name in ("smooth", "epsilon")}
    return reference, other.with_job(other.document | {"loss": mine | shared | added})


def weighed_up_to_a_factor(reference: Form, other: Form) -> Forms | None:
    """Take the reference's weights of the classes where the other's are the same times one number.

    The mean of weighted elements must divide by their weights, which takes the number back.
    """
    losses: list[Any] = [reference.job.loss, other.job.loss]
    mine, theirs = map(class_weights_of, losses)
    if losses[0].type != losses[1].type or mine is None or theirs is None or len(mine) != len(theirs):
        return None
    if any((one.weighting, one.reduction) != ("by_weights", "mean") for one in losses):
        return None
    most = max(mine), max(theirs)
    if 0 in most or not all(
        isclose(one / most[0], two / most[1], rel_tol=EQUAL) for one, two in zip(mine, theirs, strict=True)
    ):
        return None
    return reference, other.with_section("loss", class_weights=list(mine))


def balances_nothing(form: Form) -> bool:
    """Return whether a focal loss's alpha weighs no class."""
    loss: Any = form.job.loss
    return loss.type == "binary_focal_crossentropy" and not loss.apply_class_balancing
