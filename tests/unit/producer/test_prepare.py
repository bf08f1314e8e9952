"""What is only known once job and data are side by side; `shared/test_fit.py` has the rules on amounts."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from likewise.producer.job.prepare import PreparedExperiment

Prepare = Callable[..., PreparedExperiment]
Refusal = Callable[..., str]


def model(*layers: Any) -> dict[str, Any]:
    return {"layers": list(layers)}


def dense(units: int, **fields: Any) -> dict[str, Any]:
    return {"type": "dense", "units": units, **fields}


def inline(x: list[Any], y: list[Any], **fields: Any) -> dict[str, Any]:
    return {"type": "inline", "x": x, "y": y, **fields}


MISFITS: list[tuple[dict[str, Any], str]] = [
    (
        {"model": model({"type": "conv1d", "filters": 2, "kernel_size": 3}, dense(1))},
        "model: layers.0 (conv1d) gets samples of shape (1,), but needs the axes (length, channels); put a reshape layer before it",
    ),
    (
        {"model": model(dense(3))},
        "model.layers.0.units = 3: the model's last layer gives 3 outputs, and mse needs one a target column: there is 1 (units: 1)",
    ),
    (
        {"data": {"type": "builtin", "name": "iris"}, "loss": "categorical_crossentropy", "model": model(dense(4))},
        "model.layers.0.units = 4: the model's last layer gives 4 outputs, and categorical_crossentropy needs one a class: the targets have 3 (setosa, versicolor, virginica) (units: 3)",
    ),
    (
        {"model": model(dense(2), {"type": "activation", "activation": "relu"}, {"type": "dropout", "rate": 0.1})},
        "model.layers.0.units = 2: the model's last layer gives 2 outputs, and mse needs one a target column: there is 1 (units: 1)",
    ),
    (
        {"data": inline([1, 2], [3, -1]), "loss": "poisson"},
        'loss.type = "poisson": takes targets of 0 or more, and there is -1 (mse takes any number)',
    ),
    (
        {"data": inline([[0, 1], [2, 3]], [0, 1]), "model": model({"type": "embedding", "input_dim": 3, "output_dim": 2}, "flatten", dense(1))},
        "model.layers.0.input_dim = 3: train has 3 among its inputs, and an embedding takes whole numbers from 0 to 2 (indices are not standardised; input_dim is the largest index and 1)",
    ),
    (
        {"data": inline([[0, 1], [2, 3]], [0, 1]), "model": model({"type": "embedding", "input_dim": 4, "output_dim": 2, "name": "wide"}, {"type": "embedding", "input_dim": 3, "output_dim": 2, "inputs": ["input"], "name": "rows"}, {"type": "add", "inputs": ["wide", "rows"]}, "flatten", dense(1))},
        "model.layers.1.input_dim = 3: train has 3 among its inputs, and an embedding takes whole numbers from 0 to 2 (indices are not standardised; input_dim is the largest index and 1)",
    ),
    (
        {"loss": "cosine_similarity"},
        'loss.type = "cosine_similarity": compares whole rows of targets, and there is one target column (mse for a single target)',
    ),
    (
        {"data": inline([1, 2], [[0.5, 0.5], [0.5, 0.6]]), "loss": "kl_divergence", "model": model(dense(2))},
        'loss.type = "kl_divergence": takes rows of probabilities, which sum to 1, and a row of targets sums to 1.1 (divide each row by its sum)',
    ),
    (
        {"model": model({"type": "dropout", "rate": 0.5})},
        "model.layers: nothing in the model can be trained (add a dense layer, such as {type: dense, units: 1})",
    ),
    (
        {"model": model(dense(10**9), dense(1))},
        "model.layers: 3,000,000,001 weights, and at most 250,000,000 are taken here (LIKEWISE_MAX_WEIGHTS)",
    ),
    (
        {"training": {"epochs": 1, "batch_size": 4, "drop_last": True}, "data": inline([1, 2, 3, 4], [1, 2, 3, 4], split={"test": 0.25})},
        "training.batch_size = 4: is larger than the 3 training samples (the rest is held out), and drop_last is true (at most 3, or null for the whole set)",
    ),
    (
        {"metrics": ["mae", "accuracy"]},
        'metrics.1 = "accuracy": does not fit a regression (mse) (one of mae, rmse, r2)',
    ),
    (
        {"data": inline([1, 2], [0, 1]), "loss": "binary_crossentropy", "metrics": ["r2"]},
        'metrics.0 = "r2": does not fit a classification of two classes (binary_crossentropy) (one of accuracy, f1, auc)',
    ),
    (
        {"initial_weights": {"type": "values", "weights": {"out.kernel": [[1]]}}},
        "initial_weights.weights.out.bias: is missing (its shape is 1)",
    ),
    (
        {"initial_weights": {"type": "values", "weights": {"out.kernel": [[1]], "out.bias": [0], "out.bais": 1}}},
        "initial_weights.weights.out.bais: the model has no such weight (did you mean out.bias?)",
    ),
    (
        {"training": {"epochs": 1, "drop_last": True}, "overrides": {"torch": {"training.batch_size": 9}}},
        "overrides.torch.training.batch_size = 9: is larger than the 4 training samples, and drop_last is true (at most 4, or null for the whole set)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sections", "expected"), MISFITS, ids=[expected[:50] for _, expected in MISFITS])
def test_a_misfit_is_told_with_what_would_fit(
    prepare: Prepare, refusal: Refusal, sections: dict[str, Any], expected: str
) -> None:
    assert refusal(prepare, **sections) == expected


def test_all_misfits_are_told_at_once(prepare: Prepare, refusal: Refusal) -> None:
    message = refusal(
        prepare,
        metrics=["f1"],
        training={"epochs": 1, "batch_size": 9, "drop_last": True},
        model=model(dense(2)),
    )

    assert message.splitlines()[0] == "3 problems"


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"training": {"epochs": 1, "batch_size": 4}},
        {
            "data": inline([[0, 1], [2, 3]], [0, 1]),
            "model": model({"type": "embedding", "input_dim": 4, "output_dim": 2}, "flatten", dense(1)),
            "training": {"epochs": 1},
        },
        {"training": {"epochs": 1, "early_stopping": {"monitor": "loss"}}},
        {"model": model(dense(5), {"type": "dropout", "rate": 0.5}, dense(1))},
        {"data": inline([1, 2], [0, 1]), "loss": "categorical_crossentropy", "model": model(dense(2))},
        {"initial_weights": {"type": "values", "weights": {"out.kernel": [[0.37]], "out.bias": [0]}}},
    ],
)
def test_what_fits_is_let_through_without_a_word(prepare: Prepare, sections: dict[str, Any]) -> None:
    assert prepare(**sections).advice == ()


@pytest.mark.parametrize("layers", [[dense(1, activation="sigmoid")], [dense(1), {"type": "activation", "activation": "sigmoid"}]])  # fmt: skip
def test_an_activation_that_the_loss_applies_itself_is_advised_against(
    prepare: Prepare, layers: list[Any]
) -> None:
    section = inline([1, 2], [0, 1])
    (advice,) = prepare(data=section, loss="binary_crossentropy", model=model(*layers)).advice

    assert advice == (
        "binary_crossentropy takes logits and applies its own sigmoid, so the sigmoid at the end of the "
        "model counts twice; remove it (activation: linear)"
    )


def test_probabilities_that_no_activation_makes_get_advice(prepare: Prepare) -> None:
    section = inline([1, 2], [0, 1])
    loss = {"type": "binary_crossentropy", "from_logits": False}
    (advice,) = prepare(data=section, loss=loss).advice
    sigmoid = {"type": "dense", "units": 1, "activation": "sigmoid"}

    assert advice == (
        "loss.from_logits is false, so binary_crossentropy takes the outputs for probabilities, and clips "
        "what is none; end the model with activation: sigmoid, or leave from_logits out"
    )
    assert prepare(data=section, loss=loss, model=model(sigmoid)).advice == ()


def test_advice_for_one_framework_names_it(prepare: Prepare) -> None:
    overrides = {"torch": {"model.layers.out.activation": "sigmoid"}}
    (advice,) = prepare(data=inline([1, 2], [0, 1]), loss="binary_crossentropy", overrides=overrides).advice

    assert advice.startswith("torch: binary_crossentropy takes logits")


def test_more_outputs_than_classes_seen_are_advised_against(prepare: Prepare) -> None:
    section = inline([1, 2], [0, 1])
    (advice,) = prepare(data=section, loss="categorical_crossentropy", model=model(dense(3))).advice

    assert advice == "the model has 3 outputs and the targets only the classes 0 to 1; units: 2 would do"


def test_a_batch_larger_than_the_set_is_the_whole_set(prepare: Prepare) -> None:
    prepared = prepare(training={"epochs": 1, "batch_size": 32})

    assert prepared.advice == (
        "training.batch_size 32 is larger than the 4 training samples, so every step takes the whole set",
    )
