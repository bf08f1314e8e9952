"""Where time allows few settings, those come first that act where the sides part: by every planted fault."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from likewise.producer.blame.factors import Factor, factors
from likewise.producer.blame.places import in_order
from likewise.producer.job import paths
from likewise.producer.job.resolve import resolve
from likewise.producer.verdict.parting import Parting
from likewise.shared.errors import LikewiseError
from likewise.shared.job import Experiment, Job
from tests.planted.faults import ANY, Fault, faults

IDLE: dict[str, Any] = {
    "optimizer.global_clip_norm": 1e9,
    "optimizer.weight_decay": 1e-30,
    "loss.label_smoothing": 1e-30,
    "model.layers.{}.kernel_regularizer": {"type": "l2", "l2": 1e-30},
    "model.layers.{}.kernel_constraint": {"type": "max_norm", "max_value": 1e9},
    "training.gradient_accumulation_steps": 1,
}
"""Settings that differ beside a fault, and do nothing to any number: of the first layer that takes them."""


def jobs(document: dict[str, Any]) -> dict[str, Job]:
    return resolve(Experiment.model_validate(document))


def declared(fault: Fault) -> dict[str, Any]:
    document = copy.deepcopy(fault.document)
    for change in fault.changes:
        path, _, value = change.partition("=")
        paths.assign(document, path, json.loads(value))
    return document


def with_idle(document: dict[str, Any]) -> dict[str, Job]:
    """The jobs with as many settings beside the fault as they can have, each without an effect."""
    found = jobs(document)
    for path, value in IDLE.items():
        layers = range(len(found["torch"].model.layers)) if "{}" in path else (0,)
        for index in layers:
            tried = copy.deepcopy(document)
            setting = path.format(index)
            if setting in tried["overrides"]["torch"]:
                continue
            tried["overrides"]["torch"][setting] = value
            try:
                found, document = jobs(tried), tried
            except (ValidationError, LikewiseError):
                continue
            break
    return found


def placed() -> Iterator[tuple[Fault, dict[str, Job], Parting]]:
    """Every fault whose place is known, with its jobs and that place."""
    for fault in faults():
        if fault.verdict != "differ" or fault.stage in (ANY, None):
            continue
        if ANY in (fault.tensor, fault.step) and fault.stage != "evaluation":
            continue
        step = 3 if fault.step in (ANY, None) else int(fault.step)
        tensor = "outputs" if fault.tensor in (ANY, None) else str(fault.tensor)
        parting = Parting(step=step, stage=fault.stage, tensor=tensor)  # type: ignore[arg-type]
        yield fault, with_idle(declared(fault)), parting


def is_true(factor: Factor, fault: Fault) -> bool:
    wanted = fault.setting
    return factor.path == wanted or wanted.startswith(f"{factor.path}.")


def test_the_true_cause_of_a_planted_fault_is_among_the_first_that_are_tried() -> None:
    """By what settings are, those of the model come first; by the place, those that act there."""
    firsts: dict[str, list[int]] = {"kind": [], "place": []}
    for fault, both, parting in placed():
        found = factors(("tensorflow", both["tensorflow"]), ("torch", both["torch"]))
        if len(found) < 3 or not any(is_true(one, fault) for one in found):
            continue
        for order, sorted_so in (("kind", found), ("place", in_order(found, parting, both["tensorflow"]))):
            firsts[order].append(next(at for at, one in enumerate(sorted_so) if is_true(one, fault)))

    of = len(firsts["kind"])
    first, second = (
        {order: sum(at <= most for at in some) for order, some in firsts.items()} for most in (0, 1)
    )
    assert of > 80
    assert first["kind"] < of / 4
    assert first["place"] > 0.9 * of, firsts
    assert second["place"] >= of - 1, firsts


@pytest.mark.parametrize(
    ("parting", "first"),
    [
        (Parting(step=1, stage="forward", tensor="norm"), "model.layers.1.epsilon"),
        (Parting(step=1, stage="forward", tensor="head"), "model.layers.2.activation"),
        (Parting(step=1, stage="update", tensor="norm.moving_mean"), "model.layers.1.momentum"),
        (Parting(step=1, stage="update", tensor="head.kernel"), "optimizer.learning_rate"),
        (Parting(step=2, stage="update", tensor="head.kernel"), "optimizer.momentum"),
        (Parting(step=1, stage="loss", tensor="loss"), "loss.reduction"),
        (Parting(step=3, stage="data", tensor="indices"), "training.batch_size"),
        (Parting(step=3, stage="evaluation", tensor="outputs"), "training.evaluation_mode"),
    ],
)
def test_what_acts_where_they_part_comes_first(parting: Parting, first: str) -> None:
    layers = [
        {"type": "dense", "units": 2, "name": "hidden"},
        {"type": "batch_norm", "name": "norm"},
        {"type": "dense", "units": 1, "name": "head"},
    ]
    document = {
        "name": "many",
        "data": {"type": "inline", "x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 2.0]},
        "model": {"layers": layers},
        "loss": "mse",
        "optimizer": {"type": "sgd", "learning_rate": 0.1},
        "training": {"epochs": 2, "batch_size": 2},
        "overrides": {
            "torch": {
                "model.layers.norm.epsilon": 1e-5,
                "model.layers.norm.momentum": 0.5,
                "model.layers.head.activation": "tanh",
                "loss.reduction": "sum",
                "optimizer.learning_rate": 0.2,
                "optimizer.momentum": 0.9,
                "training.batch_size": 3,
                "training.evaluation_mode": "training",
            }
        },
    }
    both = jobs(document)
    found = factors(("tensorflow", both["tensorflow"]), ("torch", both["torch"]))

    assert in_order(found, parting, both["tensorflow"])[0].path.startswith(first)
