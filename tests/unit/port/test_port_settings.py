"""Settings of two live modules: what differs, and the edit for each framework."""

from __future__ import annotations

from typing import Any

import pytest

from likewise.producer.port.mapping import Seen
from likewise.producer.port.settings import differences, edit, optimizer_differences, same_padding


@pytest.mark.parametrize(
    ("one", "two", "names"),
    [
        ({"epsilon": 1e-3}, {"epsilon": 1e-5}, ["epsilon"]),
        ({"momentum": 0.9}, {"momentum": 1 - 0.1}, []),
        ({"strides": [2, 2]}, {"strides": 2}, []),
        ({"padding": "same"}, {"padding": [[1, 1], [1, 1]]}, []),  # left to the numbers that come out
        ({"crop": [[0, 1]]}, {"crop": [[1, 0]]}, ["crop"]),
        ({"use_bias": True}, {"use_bias": False}, ["use_bias"]),
        ({"units": 3}, {"units": 4}, []),  # the weights' shapes say it
    ],
)
def test_only_what_differs_is_told(one: dict[str, Any], two: dict[str, Any], names: list[str]) -> None:
    assert [found.name for found in differences(one, two)] == names


def test_optimizers_without_decay_are_the_same() -> None:
    adam = {"type": "adam", "learning_rate": 1e-3, "amsgrad": False}
    assert not optimizer_differences(adam, {"type": "adamw", "learning_rate": 1e-3, "weight_decay": 0.0})
    found = optimizer_differences(adam, {**adam, "weight_decay": 0.01, "decay": "coupled"})
    assert [one.name for one in found] == ["weight_decay", "decay"]


def test_of_a_users_own_rule_only_common_numbers_are_compared() -> None:
    stock = {"type": "adam", "learning_rate": 1e-3, "weight_decay": 0.01}
    own = {"type": "rule", "learning_rate": 2e-3, "own_rule": True}
    assert [one.name for one in optimizer_differences(stock, own)] == ["learning_rate"]
    assert [one.name for one in optimizer_differences(own, stock)] == ["learning_rate"]


def test_same_is_uneven_under_a_stride() -> None:
    settings = {"kernel_size": [3, 3], "strides": [2, 2], "dilation_rate": [1, 1]}
    assert same_padding((1, 8, 9, 2), settings) == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("framework", "type_", "name", "value", "words"),
    [
        ("torch", "BatchNorm2d", "epsilon", 1e-3, "BatchNorm2d(…, eps=0.001)"),
        ("torch", "BatchNorm2d", "momentum", 0.99, "BatchNorm2d(…, momentum=0.01)"),
        ("tensorflow", "BatchNormalization", "momentum", 0.9, "BatchNormalization(…, momentum=0.9)"),
        ("torch", "Conv2d", "padding", [[0, 1], [0, 1]], "F.pad(x, (0, 1, 0, 1))"),
        ("torch", "Conv2d", "padding", [[1, 1], [2, 2]], "padding=(1, 2)"),
        ("tensorflow", "Conv2D", "padding", [[1, 1], [1, 1]], "ZeroPadding2D(((1, 1), (1, 1)))"),
        ("tensorflow", "Conv2D", "padding", [[0, 0], [0, 0]], "padding='valid'"),
    ],
)
def test_an_edit_is_spelled_as_the_framework_spells_it(
    framework: str, type_: str, name: str, value: Any, words: str
) -> None:
    module = Seen("a", "conv", type_, {}, {}, None)
    assert words in edit(framework, module, name, value)
