"""A mapping is read by its `type` alone."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from likewise.shared.job import Layer, Loss, Model
from likewise.shared.job.layers.basic import Dense
from likewise.shared.job.layers.recurrent import Lstm
from likewise.shared.job.loss import MeanSquaredError

LAYER: TypeAdapter[Layer] = TypeAdapter(Layer)
LOSS: TypeAdapter[Loss] = TypeAdapter(Loss)


def test_a_model_is_read_without_the_kinds_that_it_has_not() -> None:
    Model.model_validate_json('{"layers": [{"type": "dense", "units": 1}]}')
    assert Lstm.__name__ not in str(Model.__pydantic_core_schema__)
    assert Lstm.__name__ in str(Model.model_json_schema())


def test_a_word_a_mapping_and_an_instance_are_one_loss() -> None:
    loss = MeanSquaredError(type="mse")
    assert LOSS.validate_python("mse") == LOSS.validate_python({"type": "mse"}) == loss
    assert LOSS.validate_python(loss) is loss
    assert LOSS.validate_json('"mse"') == loss


@pytest.mark.parametrize(
    ("document", "kind", "place"),
    [
        ([1], "model_attributes_type", ()),
        ({"units": 1}, "union_tag_not_found", ()),
        ({"type": "dens"}, "union_tag_invalid", ()),
        ({"type": ["dense"]}, "union_tag_invalid", ()),
        ({"type": "dense", "units": "1"}, "int_type", ("units",)),
        (
            {"type": "dense", "units": 1, "kernel_initializer": {"type": "zeros", "scale": 1}},
            "extra_forbidden",
            ("kernel_initializer", "scale"),
        ),
    ],
)
def test_an_error_has_the_place_that_the_user_wrote(
    document: object, kind: str, place: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationError) as caught:
        LAYER.validate_python(document)
    (error,) = caught.value.errors()
    assert (error["type"], error["loc"]) == (kind, place)


def test_a_layer_is_written_as_it_was_read() -> None:
    document = {"type": "dense", "units": 2, "kernel_initializer": {"type": "constant", "value": 0.5}}
    layer = LAYER.validate_python(document)
    assert isinstance(layer, Dense)
    assert LAYER.dump_python(layer, mode="json", exclude_unset=True) == document
    assert layer.model_dump(mode="json", exclude_unset=True) == document
