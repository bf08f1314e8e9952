"""What is said of two models whose lists of layers are not the same."""

from __future__ import annotations

from typing import Any

import pytest

from likewise.producer.verdict.layer_lists import in_another_order, in_short, remarks
from likewise.shared.job import Model
from likewise.shared.program import ProgramSpec, compile_model

LONG = ["conv2d", "batch_norm", "activation", "max_pooling2d", "flatten", "dense"]
BOTH_WAYS = {"type": "bidirectional", "layer": {"type": "lstm", "units": 2}}
SEQUENCE = {"type": "bidirectional", "layer": {"type": "lstm", "units": 2, "return_sequences": True}}
HEAD = {"type": "dense", "units": 1}


def program(*layers: Any) -> ProgramSpec:
    return compile_model(Model.model_validate({"layers": list(layers)}), (4, 3))


def said(a: ProgramSpec, b: ProgramSpec) -> list[str]:
    kinds = {side: [stage.kind for stage in one.stages] for side, one in (("a", a), ("b", b))}
    return list(remarks(kinds, {"a": a, "b": b}))


def test_long_lists_show_what_differs() -> None:
    other = ["conv2d", "activation", "batch_norm", *LONG[3:]]
    assert in_short({"a": LONG, "b": other}) == {
        "a": '["conv2d", "batch_norm", "activation", "max_pooling2d", …]',
        "b": '["conv2d", "activation", "batch_norm", "max_pooling2d", …]',
    }
    assert in_short({"a": LONG, "b": [*LONG[:4], "dropout", *LONG[4:]]}) == {
        "a": '[…, "max_pooling2d", "flatten", …]',
        "b": '[…, "max_pooling2d", "dropout", "flatten", …]',
    }
    assert in_short({"a": LONG[:2], "b": LONG[:3]}) == {
        "a": '["conv2d", "batch_norm"]',
        "b": '["conv2d", "batch_norm", "activation"]',
    }


def test_the_same_layers_in_another_order_are_told_as_that() -> None:
    norm, relu = {"type": "layer_norm"}, {"type": "activation", "activation": "relu"}
    ordered, other = (
        program(norm, relu, {"type": "flatten"}, HEAD),
        program(relu, norm, {"type": "flatten"}, HEAD),
    )
    assert said(ordered, other) == ["the same kinds of layers stand in another order"]
    assert not in_another_order(["dense", "flatten"], ["dense", "flatten"])
    assert not in_another_order(["dense", "flatten"], ["dense", "dense"])


@pytest.mark.parametrize(("cropping", "told"), [([3, 0], True), ([0, 3], False), ([2, 1], False)])
def test_the_last_step_of_both_directions_is_told(cropping: list[int], told: bool) -> None:
    cut = program(SEQUENCE, {"type": "cropping1d", "cropping": cropping}, {"type": "flatten"}, HEAD)
    found = said(program(BOTH_WAYS, HEAD), cut)
    assert any("backwards, that step has seen one step alone" in one for one in found) == told


def test_weights_that_do_not_pair_are_told() -> None:
    more = program({"type": "flatten"}, {"type": "dense", "units": 5}, HEAD)
    assert said(program({"type": "flatten"}, HEAD), more) == [
        "not all their weights could be paired, so that layers may start from others"
    ]
