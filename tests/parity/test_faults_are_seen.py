"""The twins of `test_steps`: a small fault in one framework's job or code must break its bars.

Each fault is of the size that has fooled people: an epsilon copied but not moved, momentum in the other
library's form, a constant through float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

ADAM = {"type": "adam", "learning_rate": 0.002}
MOMENTUM = {"type": "sgd", "learning_rate": 0.02, "momentum": 0.9}
ADAGRAD = {"type": "adagrad", "learning_rate": 0.02}
RMSPROP = {"type": "rmsprop", "learning_rate": 0.002}
CATEGORICAL = {"type": "categorical_crossentropy"}
KL = {"type": "kl_divergence"}
HALVING = {"schedule": {"type": "exponential", "decay_steps": 7, "decay_rate": 0.5}}
DROPPING = [{"type": "dense", "units": 6}, {"type": "dropout", "rate": 0.5}, {"type": "dense", "units": 3}]


def through_float32(value: float) -> float:
    return float(np.float32(value))


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "epsilon 1e-8 for 1e-7": ({"optimizer": ADAM}, {"optimizer": ADAM | {"epsilon": 1e-8}}),
    "beta_2 through float32": (
        {"optimizer": ADAM},
        {"optimizer": ADAM | {"beta_2": through_float32(0.999)}},
    ),
    "momentum through float32": (
        {"optimizer": MOMENTUM},
        {"optimizer": MOMENTUM | {"momentum": through_float32(0.9)}},
    ),
    "no maximum for amsgrad": (
        {"optimizer": ADAM | {"amsgrad": True}},
        {"optimizer": ADAM},
    ),
    "Keras's momentum decay for nadam's": (
        {"optimizer": ADAM | {"type": "nadam"}},
        {"optimizer": ADAM | {"type": "nadam", "momentum_decay": 1.0}},
    ),
    "PyTorch's start for Adagrad's": (
        {"optimizer": ADAGRAD},
        {"optimizer": ADAGRAD | {"initial_accumulator_value": 0.0}},
    ),
    "not centered for centered": (
        {"optimizer": RMSPROP | {"centered": True}},
        {"optimizer": RMSPROP},
    ),
    "momentum for nesterov": (
        {"optimizer": MOMENTUM},
        {"optimizer": MOMENTUM | {"nesterov": True}},
    ),
    "L2 for decoupled decay": (
        {"optimizer": ADAM | {"weight_decay": 0.03}},
        {"optimizer": ADAM | {"type": "adamw", "weight_decay": 0.03}},
    ),
    "norms clipped together for one by one": (
        {"optimizer": MOMENTUM | {"clip_norm": 0.1}},
        {"optimizer": MOMENTUM | {"global_clip_norm": 0.1}},
    ),
    "sum for mean": ({}, {"loss": {"type": "mse", "reduction": "sum"}}),
    "smoothing halved": (
        {"loss": CATEGORICAL | {"label_smoothing": 0.2}, "task": "multiclass"},
        {"loss": CATEGORICAL | {"label_smoothing": 0.1}, "task": "multiclass"},
    ),
    "the mean over all elements for KL's": (
        {"loss": KL, "task": "probabilities"},
        {"loss": KL, "task": "probabilities", "optimizer": {"type": "sgd", "learning_rate": 0.05 / 3}},
    ),
    "weights scaled to a mean of 1 for those declared": (
        {"loss": CATEGORICAL | {"class_weights": [1.0, 2.0, 6.0]}, "task": "multiclass"},
        {"loss": CATEGORICAL | {"class_weights": [1 / 3, 2 / 3, 2.0]}, "task": "multiclass"},
    ),
    "tanh for the error function in GELU": ({"activation": "gelu"}, {"activation": "gelu_tanh"}),
    "PyTorch's slope for Keras's leaky_relu": (
        {"activation": "leaky_relu"},
        {"activation": {"type": "leaky_relu", "negative_slope": 0.01}},
    ),
    "other dropout masks": ({"layers": DROPPING}, {"layers": DROPPING, "mask_seed": 4}),
}


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], make_case: Callable[..., Any]) -> Any:
    """The declared jobs in the first framework, the faulty ones in the others."""
    cases = []
    for name, (right, wrong) in FAULTS.items():
        cases += [make_case(name, steps=50, **right), make_case(f"{name} (fault)", steps=50, **wrong)]
        # the data comes from the name
        cases[-1]["data_of"] = name
    return train(cases)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_declared_job_breaks_the_bar(
    name: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    first, *others = trained
    faulty = {
        framework: {
            key.replace(f"{name} (fault)/", f"{name}/"): array
            for key, array in trained[framework].items()
            if key.startswith(f"{name} (fault)/")
        }
        for framework in others
    }
    for pair in pairs(name, {first: trained[first], **faulty}):
        assert pair.difference("start") == 0
        assert pair.difference("end") > 1e-10


def test_epsilon_in_another_place_is_seen(
    train: Callable[..., Any], make_case: Callable[..., Any], pairs: Callable[..., Any]
) -> None:
    kinds = ("adadelta", "adamax")
    cases = [make_case(kind, steps=50, optimizer={"type": kind, "epsilon": 1e-6}) for kind in kinds]
    right = train(cases, only="tensorflow")
    wrong = train(cases, only="torch", fault="epsilon in another place")
    for kind in kinds:
        (pair,) = pairs(kind, right | wrong)
        assert pair.difference("start") == 0
        assert pair.difference("end") > 1e-10


def test_the_other_form_of_momentum_is_seen_once_the_learning_rate_changes(
    train: Callable[..., Any], make_case: Callable[..., Any], pairs: Callable[..., Any]
) -> None:
    cases = [
        make_case("constant", steps=50, optimizer=MOMENTUM),
        make_case("changing", steps=50, optimizer=MOMENTUM | HALVING),
    ]
    right = train(cases, only="tensorflow")
    wrong = train(cases, only="torch", fault="velocity without the rate")
    (constant,) = pairs("constant", right | wrong)
    (changing,) = pairs("changing", right | wrong)
    assert constant.difference("end") <= 1e-10
    assert changing.difference("end") > 1e-3
