"""How a framework's seeds are cut for the workers that are free."""

from __future__ import annotations

import json
from typing import Any

import pytest

from likewise.producer.runs.submit import parts_of, parts_worth
from likewise.shared.run import Run

DENSE = [{"type": "dense", "units": 1}]
CONVOLUTION = [{"type": "conv2d", "filters": 8, "kernel_size": 3}, {"type": "flatten"}, *DENSE]


def run(layers: list[dict[str, Any]], *, seeds: int, shape: tuple[int, ...] = (1,), **job: Any) -> Run:
    def array(*sizes: int) -> dict[str, Any]:
        return {"sha256": "0" * 64, "dtype": "float64", "shape": sizes}

    document = {
        "run_id": "r" * 20,
        "experiment_id": "e" * 20,
        "framework": "torch",
        "job": {
            "data": {"type": "inline", "x": [0.0], "y": [0.0]},
            "model": {"layers": layers},
            "loss": "mse",
            "optimizer": "sgd",
            "training": {"epochs": 1, "batch_size": 32},
        }
        | job,
        "seeds": list(range(seeds)),
        "dataset": {"task": "regression", "train": {"x": array(64, *shape), "y": array(64, 1)}},
    }
    return Run.model_validate_json(json.dumps(document))


@pytest.mark.parametrize(
    ("of", "parts"),
    [
        (run(DENSE, seeds=50), 1),
        (run(DENSE, seeds=1000), 4),
        (run(DENSE, seeds=12, execution="eager"), 2),
        (run(CONVOLUTION, seeds=50, shape=(8, 8, 1)), 1),
        (run(CONVOLUTION, seeds=50, shape=(28, 28, 1)), 4),
        (run(CONVOLUTION, seeds=50, shape=(28, 28, 1), device="cuda"), 1),
    ],
)
def test_seeds_that_train_one_after_another_are_cut_into_smaller_parts(of: Run, parts: int) -> None:
    assert parts_worth(of, free=4) == parts
    assert parts_worth(of, free=0) == 1


def test_parts_have_all_seeds_in_order_and_one_size_up_to_one() -> None:
    assert parts_of((5, 6, 7, 8, 9), most=2) == [(5, 6, 7), (8, 9)]
