"""The shape of a sample on its way through the layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.spec import Job
from worker.failures import TrainingError
from worker.shapes import layer_shapes, output_units


def test_shapes_are_followed_to_the_output(job_of: Callable[..., Job]) -> None:
    layers = [
        {"type": "dropout", "rate": 0.1},
        {"type": "flatten"},
        {"type": "dense", "units": 5, "activation": "relu"},
        {"type": "activation", "activation": "tanh"},
        {"type": "dense", "units": 2},
    ]
    model = job_of(model={"layers": layers}).model
    assert layer_shapes(model, (8, 8)) == ((8, 8), (8, 8), (64,), (5,), (5,), (2,))
    assert output_units(model, (8, 8)) == 2


def test_a_dense_layer_works_on_the_last_axis(job_of: Callable[..., Job]) -> None:
    assert layer_shapes(job_of().model, (4, 3))[-1] == (4, 1)


def test_a_dense_layer_without_features_says_what_it_lacks(job_of: Callable[..., Job]) -> None:
    model = job_of(model={"layers": [{"type": "dense", "units": 1, "name": "head"}]}).model
    with pytest.raises(TrainingError, match=r"^head \(dense\) gets a single number") as caught:
        layer_shapes(model, ())
    assert caught.value.reason == "bad_shape"


def test_an_output_of_several_axes_is_refused_with_the_way_out(job_of: Callable[..., Job]) -> None:
    with pytest.raises(TrainingError, match=r"the shape \(4, 1\).*flatten") as caught:
        output_units(job_of().model, (4, 3))
    assert caught.value.reason == "bad_shape"
