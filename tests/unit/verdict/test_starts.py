"""How weights start that two sides' initializers draw apart, said of what is declared."""

# ruff: noqa: E501 (each sentence stands whole, as the user sees it)

from __future__ import annotations

from typing import Any

import pytest

from likewise.producer.job.resolve import resolve, setting_differences
from likewise.producer.verdict.knowledge import Setup, conventions, effect, together
from likewise.shared.job import Experiment

FRAMEWORKS = {"tensorflow": "tensorflow", "torch": "torch"}
THIRD = {"type": "variance_scaling", "scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}
DENSE = "model.layers.hidden."


def effects(**overrides: Any) -> list[str | None]:
    layers = [
        {"type": "embedding", "input_dim": 12, "output_dim": 4, "name": "words"},
        {"type": "lstm", "units": 3, "name": "rnn"},
        {"type": "dense", "units": 5, "name": "hidden", "kernel_initializer": overrides.pop("mine", None)},
        {"type": "dense", "units": 1, "name": "head"},
    ]
    layers = [{name: value for name, value in layer.items() if value is not None} for layer in layers]
    document = {
        "name": "job",
        "data": {"type": "synthetic", "kind": "regression"},
        "model": {"layers": layers},
        "loss": "mse",
        "optimizer": "sgd",
        "training": {"epochs": 1},
        "overrides": {"torch": {path.replace("__", "."): value for path, value in overrides.items()}},
    }
    jobs = resolve(Experiment.model_validate(document))
    known = Setup.of(jobs, FRAMEWORKS, dict.fromkeys(jobs, (100, 7)))
    return [effect(together(group), known) for group in conventions(setting_differences(jobs))]


SAID = [
    (
        {"mine": "he_normal", f"{DENSE}kernel_initializer": "glorot_uniform"},
        "the kernels start with a deviation of 0.816 in tensorflow and of 0.5 in torch, so that the first steps "
        "differ, and what a short training reaches.",
    ),
    (
        {f"{DENSE}kernel_initializer": THIRD},
        "the kernels start with a deviation of 0.5 in tensorflow (Keras's default) and of 0.333 in torch "
        "(PyTorch's default), so that the first steps differ, and what a short training reaches.",
    ),
    (
        {"mine": "he_normal", f"{DENSE}kernel_initializer": "he_uniform"},
        "the kernels start with a deviation of 0.816 in each, normal in tensorflow and uniform in torch, so that "
        "the first steps differ, and what a short training reaches.",
    ),
    (
        {f"{DENSE}bias_initializer": {"type": "random_uniform", "minval": 0.0, "maxval": 0.5}},
        "biases start at 0 in tensorflow (Keras's default) and with a deviation of 0.144 around 0.25 in torch.",
    ),
    (
        {"model.layers.rnn.recurrent_initializer": {"type": "random_normal", "stddev": 0.2}},
        "the recurrent kernel starts as an orthogonal matrix in tensorflow (Keras's default) and with a deviation "
        "of 0.2 in torch; an orthogonal one keeps the state's length from step to step.",
    ),
    (
        {"model.layers.words.embeddings_initializer": {"type": "random_normal", "stddev": 1.0}},
        "embeddings start with a deviation of 0.0289 in tensorflow (Keras's default) and of 1 in torch (PyTorch's "
        "default), 35 times apart.",
    ),
]


@pytest.mark.parametrize(("overrides", "said"), SAID)
def test_how_weights_start_is_said_of_the_initializers_that_are_declared(
    overrides: dict[str, Any], said: str
) -> None:
    assert effects(**overrides) == [said]


def test_a_cut_that_has_no_one_deviation_is_not_given_one() -> None:
    cut = {"type": "truncated_normal", "stddev": 0.1, "low": -1.0, "high": 0.5}
    (said,) = effects(**{f"{DENSE}kernel_initializer": cut})
    assert said is not None
    assert said.startswith("the kernels start from another distribution, so that the first steps differ")
