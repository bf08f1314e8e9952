"""Which settings move together, and jobs with some of them switched."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from likewise.producer.blame.factors import Factor, factors, switched
from likewise.producer.job.resolve import resolve
from likewise.shared.job import Experiment, Job

DENSE = {"type": "dense", "units": 1}
CONVOLUTIONS = [
    {"type": "reshape", "target_shape": [4, 1]},
    {"type": "conv1d", "filters": 2, "kernel_size": 2},
    {"type": "batch_norm"},
    {"type": "flatten"},
    DENSE,
]


def jobs(overrides: dict[str, Any], **changes: Any) -> dict[str, Job]:
    document = {
        "data": {"type": "synthetic", "kind": "linear", "features": 4},
        "model": {"layers": [DENSE]},
        "loss": "mse",
        "optimizer": {"type": "sgd", "learning_rate": 0.1},
        "training": {"epochs": 2},
        "frameworks": ["a", "b"],
        "overrides": {"b": overrides},
        **changes,
    }
    return resolve(Experiment.model_validate(document))


def found(overrides: dict[str, Any], **changes: Any) -> tuple[dict[str, Job], tuple[Factor, ...]]:
    by_framework = jobs(overrides, **changes)
    return by_framework, factors(("a", by_framework["a"]), ("b", by_framework["b"]))


def paths(overrides: dict[str, Any], **changes: Any) -> list[str]:
    return [factor.path for factor in found(overrides, **changes)[1]]


def test_each_setting_is_a_factor_what_changes_most_first() -> None:
    _, told = found({"loss.reduction": "sum", "training.batch_size": 8, "execution": "eager"})

    assert [factor.path for factor in told] == ["loss.reduction", "training.batch_size", "execution"]
    assert told[0].values == {"a": "mean", "b": "sum"}


def test_a_changed_optimizer_takes_its_own_fields_along_and_leaves_the_rate_to_itself() -> None:
    by_framework, told = found({"optimizer.type": "adam", "optimizer.learning_rate": 0.3})
    kind, rate = sorted(told, key=lambda factor: factor.path, reverse=True)

    assert (kind.path, rate.path) == ("optimizer.type", "optimizer.learning_rate")
    assert switched(by_framework["b"], [kind]).optimizer.model_dump() == {
        **by_framework["a"].optimizer.model_dump(), "learning_rate": 0.3,
    }  # fmt: skip
    assert switched(by_framework["b"], [rate]).optimizer.type == "adam"


def test_a_changed_layer_moves_as_a_whole() -> None:
    other = {"type": "layer_norm", "epsilon": 0.1}
    by_framework, told = found({"model.layers.2": other}, model={"layers": CONVOLUTIONS})

    assert [(factor.path, factor.values["b"]) for factor in told] == [("model.layers.2.type", "layer_norm")]
    assert switched(by_framework["b"], told) == by_framework["a"]


def test_lists_of_layers_of_other_length_move_as_a_whole() -> None:
    by_framework, told = found({"model.layers": [DENSE, DENSE]})

    assert [(factor.path, factor.values["b"]) for factor in told] == [("model.layers", ["dense", "dense"])]
    assert switched(by_framework["b"], told) == by_framework["a"]


def test_a_layers_settings_are_factors_of_their_own() -> None:
    overrides = {"model.layers.2.epsilon": 1e-5, "model.layers.2.momentum": 0.9}

    assert paths(overrides, model={"layers": CONVOLUTIONS}) == [
        "model.layers.2.momentum", "model.layers.2.epsilon",
    ]  # fmt: skip


def test_one_field_that_differs_alike_in_several_layers_is_one_factor() -> None:
    layers = [{"type": "dense", "units": 3}, {"type": "layer_norm"}, {"type": "layer_norm"}, DENSE]
    overrides = {f"model.layers.{place}.epsilon": 0.1 for place in (1, 2)}
    by_framework, told = found(overrides, model={"layers": layers})

    assert [factor.path for factor in told] == ["model.layers.1,2.epsilon"]
    assert switched(by_framework["b"], told) == by_framework["a"]
    assert paths(overrides | {"model.layers.2.epsilon": 0.2}, model={"layers": layers}) == [
        "model.layers.1.epsilon", "model.layers.2.epsilon",
    ]  # fmt: skip


def test_kinds_of_clipping_that_exclude_each_other_move_together() -> None:
    sgd = {"type": "sgd", "learning_rate": 0.1, "clip_value": 1.0}
    changed = {"optimizer.clip_value": None, "optimizer.clip_norm": 2.0}
    by_framework, told = found(changed, optimizer=sgd)

    assert [(factor.path, factor.values["b"]) for factor in told] == [("optimizer.clip", {"clip_norm": 2.0})]
    assert switched(by_framework["b"], told) == by_framework["a"]


def test_data_is_one_factor_named_by_the_one_field_that_differs() -> None:
    assert paths({"data.standardize": True}) == ["data.standardize"]
    by_framework, (data,) = found({"data.standardize": True, "data.split.seed": 4})
    assert data.path == "data"
    assert data.values["b"] == {"split.seed": 4, "standardize": True}
    assert switched(by_framework["b"], [data]).data == by_framework["a"].data


def test_initial_weights_move_with_their_values() -> None:
    given = {"type": "values", "weights": {"layers.0.kernel": [[1.0]] * 4, "layers.0.bias": [0.0]}}
    by_framework, (weights,) = found({"initial_weights": given})

    assert weights.path == "initial_weights.type"
    assert switched(by_framework["b"], [weights]) == by_framework["a"]


def test_metrics_predictions_and_the_device_are_no_factors() -> None:
    assert paths({"metrics": ["mae"], "predict": [[1.0, 2.0, 3.0, 4.0]], "device": "cpu"}) == []


OVERRIDES: list[dict[str, Any]] = [
    {"loss.reduction": "sum", "optimizer.momentum": 0.9},
    {"loss": {"type": "huber", "delta": 0.5, "reduction": "sum"}},
    {"optimizer": {"type": "rmsprop", "learning_rate": 0.5, "clip_norm": 1.0}},
    {"optimizer.schedule": {"type": "exponential", "decay_steps": 3, "decay_rate": 0.5}},
    {"model.layers.0.kernel_initializer": {"type": "constant", "value": 1.0}, "precision": "float64"},
    {"data.noise": 0.5, "training": {"epochs": 3, "batch_size": 4, "shuffle": True}},
]


@pytest.mark.parametrize("overrides", OVERRIDES)
def test_all_switched_gives_the_references_job_and_none_the_others(overrides: dict[str, Any]) -> None:
    by_framework, told = found(overrides)

    assert told
    assert switched(by_framework["b"], told) == by_framework["a"]
    assert switched(by_framework["b"], []) == by_framework["b"]


def test_a_forgotten_edit_would_be_seen() -> None:
    by_framework, told = found({"optimizer": {"type": "adam"}, "loss.reduction": "sum"})
    broken = [Factor(path=one.path, values=one.values, edits=one.edits[:-1]) for one in told]

    with pytest.raises((AssertionError, ValidationError)):
        assert switched(by_framework["b"], broken) == by_framework["a"]
