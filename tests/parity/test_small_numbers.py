"""Two cases that part by more than the bars of `test_steps`, and why: the bars, not the formulas.

Adam divides by √v + epsilon. A gradient below epsilon/√(1 − beta_2) is not scaled to a step of the learning
rate but by lr·√(1 − beta_2)/epsilon, so that a gap between gradients is multiplied by 1/epsilon, whatever its
cause. A saturated tanh leaves such gradients: sums that cancel, in which the rounding of what was summed
stays behind. So the convolutions with Adam of `test_layers` have a leaky_relu.

Weights that start at 0 and stay small are sums of numbers near 1, whose rounding is absolute. A bar
relative to the weights then measures how small they stayed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

SATURATED = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "max_pooling2d", "pool_size": 2},
    {
        "type": "conv2d", "filters": 5, "kernel_size": 3, "strides": 2, "padding": "same",
        "activation": "tanh",
    },
    {"type": "flatten"},
    {"type": "dense", "units": 3},
]  # fmt: skip
EPSILONS = (1e-7, 1e-6, 1e-5)
FROM_ZERO = ("softplus", "sigmoid", "tanh", "relu")


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], make_case: Callable[..., Any]) -> Any:
    same = {"layers": SATURATED, "input_shape": [8, 7, 2], "data_of": "float64 convolutions with Adam"}
    adam = {"type": "adam", "learning_rate": 0.002}
    cases = [make_case(f"epsilon {e}", steps=5, optimizer=adam | {"epsilon": e}, **same) for e in EPSILONS]
    cases += [make_case("descent", steps=5, **same)]
    cases += [
        make_case(name, steps=100, precision="float32", activation=name, zeros=True) for name in FROM_ZERO
    ]
    return train(cases)


def first_update_gap(name: str, trained: Any, pairs: Callable[..., Any]) -> float:
    (pair,) = pairs(name, trained)
    assert pair.difference("start") == 0
    assert pair.difference("gradient") <= 1e-12
    gap: float = pair.first_update_difference()
    return gap


def test_adam_multiplies_the_rounding_of_tiny_gradients_by_one_over_epsilon(
    trained: Any, pairs: Callable[..., Any]
) -> None:
    assert first_update_gap("descent", trained, pairs) <= 1e-12
    gaps = [first_update_gap(f"epsilon {e}", trained, pairs) for e in EPSILONS]
    assert gaps[0] > 1e-12
    for smaller, larger in pairwise(gaps):
        assert 5 < smaller / larger < 20


@pytest.mark.parametrize("name", FROM_ZERO)
def test_weights_from_zero_part_by_no_more_than_others_in_absolute_terms(
    name: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    (pair,) = pairs(name, trained)
    one, other = pair.weights("end")
    assert np.abs(one).max() < 1
    assert np.abs(one - other).max() <= 5e-7
