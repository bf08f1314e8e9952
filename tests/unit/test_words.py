"""Every word of the job file is in a parity case, and has a planted fault of its own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from likewise.shared.job.activations import Activation
from likewise.shared.job.layers import Layer
from likewise.shared.job.loss import Loss
from likewise.shared.job.metrics import SetMetric
from likewise.shared.job.optimizer import Optimizer
from likewise.shared.job.regularizers import Constraint, Regularizer
from likewise.shared.job.schedule import Schedule
from likewise.shared.job.weights import Initializer

TESTS = Path(__file__).parent.parent
SECTIONS = {
    "layer": Layer,
    "activation": Activation,
    "loss": Loss,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "initializer": Initializer,
}
BY_NUMPY = ("schedule", "initializer")
"""Sections whose numbers the worker makes once, by NumPy, for every framework: there is nothing to align."""


def module(folder: str, name: str) -> Any:
    """A module of the tests in another folder, where names of modules are its own."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", TESTS / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def words() -> Iterator[str]:
    """Every word as `<section>.<word>`."""
    for section, union in SECTIONS.items():
        for model in get_args(get_args(union)[0]):
            for word in get_args(model.model_fields["type"].annotation):
                yield f"{section}.{word}"


def named_in(value: Any) -> Iterator[str]:
    """Every text in a document, such as the words that it declares."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from named_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from named_in(one)


def test_every_word_is_in_a_parity_case() -> None:
    models, steps = module("parity", "test_layers").MODELS, module("parity", "test_steps").CHANGES
    known = {*named_in(models), *named_in(steps)}
    lacking = [
        word
        for word in words()
        if word.partition(".")[0] not in BY_NUMPY and word.partition(".")[2] not in known
    ]

    assert lacking == []


def test_every_word_has_a_planted_fault() -> None:
    planted = module("planted", "words")
    known = {fault.word for fault in planted.word_faults()}
    lacking = [word for word in words() if word not in known]

    assert sorted(lacking) == sorted(planted.LIKE_ANOTHER)


def test_every_regularizer_constraint_and_metric_has_a_planted_fault() -> None:
    known = {fault.word.rpartition(".")[0] for fault in module("planted", "words").word_faults()}
    known |= {fault.word for fault in module("planted", "words").word_faults()}
    unions = {"regularizer": Regularizer, "constraint": Constraint, "metric": SetMetric}
    wanted = {
        f"{section}.{word}"
        for section, union in unions.items()
        for model in get_args(get_args(union)[0])
        for word in get_args(model.model_fields["type"].annotation)
    }

    assert wanted - known == set()
