"""Whole runs through the worker's runner: the article's three rows to the last bit, and real-sized jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

ARTICLE: dict[str, tuple[dict[str, Any], float, float, float]] = {
    "mean 0.01": ({"reduction": "mean", "learning_rate": 0.01}, 0.01, 18.982839584350586, 3.4596e-05),
    "sum 0.01": ({"reduction": "sum", "learning_rate": 0.01}, 0.01, 18.999998092651367, 5.1514e-13),
    "mean 0.06": ({"reduction": "mean", "learning_rate": 0.06}, 0.06, 18.999998092651367, 8.5857e-14),
}
MLP = [
    {"type": "dense", "units": 128, "activation": "relu"},
    {"type": "dropout", "rate": 0.3},
    {"type": "dense", "units": 10},
]
DIGITS = {
    "layers": MLP,
    "task": "multiclass",
    "outputs": 10,
    "input_shape": [64],
    "samples": 1797,
    "loss": "categorical_crossentropy",
    "optimizer": {"type": "adam"},
}
PLATEAU = {"type": "reduce_on_plateau", "monitor": "loss", "patience": 1, "min_delta": 0.02, "factor": 0.5}
MINIBATCHES = {"epochs": 20, "batch_size": 8, "shuffle": True}


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], make_case: Callable[..., Any]) -> Any:
    article = [
        make_case(
            f"article {name}",
            x=[[-1.0], [0.0], [1.0], [2.0], [3.0], [4.0]],
            y=[[-3.0], [-1.0], [1.0], [3.0], [5.0], [7.0]],
            input_shape=[1],
            layers=[{"type": "dense", "units": 1}],
            loss={"type": "mse", "reduction": job["reduction"]},
            optimizer={"type": "sgd", "learning_rate": job["learning_rate"]},
            training={"epochs": 500},
            precision="float32",
            execution=execution,
            initial_weights={
                "type": "values",
                "weights": {"layers.0.kernel": [[0.37]], "layers.0.bias": [0.0]},
            },
            given_weights={"layers.0.kernel": [[0.37]], "layers.0.bias": [0.0]},
            predict=[[10.0]],
        )
        | {"name": f"article {name} {execution}"}
        for name, (job, *_) in ARTICLE.items()
        for execution in ("auto", "eager")
    ]
    others = [
        make_case(
            "digits", training={"epochs": 1, "batch_size": 32, "shuffle": True}, precision="float32", **DIGITS
        ),
        make_case("digits in float64", training={"epochs": 1, "batch_size": 32, "shuffle": True}, **DIGITS),
        make_case("partial batches", training=MINIBATCHES),
        make_case("dropped batches", training=MINIBATCHES | {"drop_last": True}),
        make_case(
            "early stopping",
            training=MINIBATCHES | {"epochs": 200, "early_stopping": {"patience": 3}},
            optimizer={"type": "adam", "learning_rate": 0.01},
        ),
        make_case("plateau", training=MINIBATCHES, optimizer={"type": "adam", "schedule": PLATEAU}),
        make_case("compiled", execution="compiled", training=MINIBATCHES, activation="gelu"),
        make_case(
            "compiled with dropout",
            execution="compiled",
            precision="float32",
            layers=[*MLP[:2], {"type": "dense", "units": 3}],
            training=MINIBATCHES,
        ),
    ]
    return train(article + others)


@pytest.mark.parametrize("execution", ["auto", "eager"])
@pytest.mark.parametrize("name", ARTICLE)
def test_the_article_s_rows_come_out_to_the_last_bit(
    name: str, execution: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    _, _, prediction, last_loss = ARTICLE[name]
    for pair in pairs(f"article {name} {execution}", trained):
        for predicted, losses in zip(pair.both("predictions"), pair.both("losses"), strict=True):
            assert predicted.dtype == np.float32
            assert float(predicted[0, 0]) == prediction
            assert losses[-1] == pytest.approx(last_loss, rel=2e-5)
        one, other = pair.weights("end")
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    "name",
    ["digits in float64", "partial batches", "dropped batches", "early stopping", "plateau", "compiled"],
)
def test_runs_in_float64_agree_to_1e_10(name: str, trained: Any, pairs: Callable[..., Any]) -> None:
    for pair in pairs(name, trained):
        one, other = pair.both("hashes")
        assert one.tolist() == other.tolist()
        assert pair.difference("losses") <= 1e-10
        assert pair.difference("end") <= 1e-10
        assert pair.difference("outputs") <= 1e-10


@pytest.mark.parametrize("name", ["digits", "compiled with dropout"])
def test_runs_in_float32_agree_to_5e_7(name: str, trained: Any, pairs: Callable[..., Any]) -> None:
    for pair in pairs(name, trained):
        one, other = pair.both("hashes")
        assert one.tolist() == other.tolist()
        assert pair.difference("end") <= 5e-7


def test_early_stopping_stops_at_the_same_epoch(trained: Any, pairs: Callable[..., Any]) -> None:
    for pair in pairs("early stopping", trained):
        one, other = pair.both("validation_losses")
        assert len(one) == len(other) < 200
