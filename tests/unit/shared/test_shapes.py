"""The shape of a sample on its way through the layers, and the weights it meets."""

from __future__ import annotations

from typing import Any

import pytest

from shared.shapes import ShapeError, layer_shapes, model_weights, output_units, parameter_count
from shared.spec import Model


def model_of(*layers: Any) -> Model:
    return Model.model_validate({"layers": list(layers)})


STACK = model_of(
    {"type": "dropout", "rate": 0.1},
    {"type": "dense", "units": 5, "activation": "relu", "name": "first"},
    "flatten",
    {"type": "activation", "activation": "tanh"},
    {"type": "dense", "units": 2, "use_bias": False},
)
ONE_UNIT = model_of({"type": "dense", "units": 1, "name": "head"})


def test_shapes_are_followed_to_the_output() -> None:
    assert layer_shapes(STACK, (4, 3)) == ((4, 3), (4, 3), (4, 5), (20,), (20,), (2,))
    assert output_units(STACK, (4, 3)) == 2


def test_weights_have_the_names_and_layouts_of_keras() -> None:
    shapes = {weight.name: weight.tensor.shape for weight in model_weights(STACK, (4, 3))}
    assert shapes == {"first.kernel": (3, 5), "first.bias": (5,), "layers.4.kernel": (20, 2)}
    assert parameter_count(STACK, (4, 3)) == 15 + 5 + 40


def test_a_dense_layer_works_on_the_last_axis() -> None:
    assert layer_shapes(ONE_UNIT, (4, 3))[-1] == (4, 1)


def test_a_dense_layer_without_features_says_what_it_lacks() -> None:
    with pytest.raises(ShapeError, match=r"^head \(dense\) gets a single number"):
        layer_shapes(ONE_UNIT, ())


def test_an_output_of_several_axes_is_refused_with_the_way_out() -> None:
    with pytest.raises(ShapeError, match=r"the shape \(4, 1\).*flatten"):
        output_units(ONE_UNIT, (4, 3))
