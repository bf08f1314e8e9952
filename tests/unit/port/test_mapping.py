"""Which module is which: the alignment of two programs in their order of use."""

from __future__ import annotations

import numpy as np

from likewise.producer.port.alignment import align, row_orders
from likewise.producer.port.mapping import Seen


def seen(path: str, kind: str = "dense", shape: tuple[int, ...] = (4, 4), bias: bool = True) -> Seen:
    slots = {"kernel": {"shape": shape, "own": "kernel", "trainable": True, "transform": ""}}
    if bias:
        slots["bias"] = {"shape": shape[-1:], "own": "bias", "trainable": True, "transform": ""}
    return Seen(path, kind, kind.title(), {}, slots, None)


def paired(reference: list[Seen], other: list[Seen]) -> list[tuple[str, str]]:
    return [(pair.reference.path, pair.other.path) for pair in align(reference, other).pairs]


def test_modules_pair_in_their_order_of_use() -> None:
    reference = [seen("a"), seen("b", shape=(4, 8)), seen("c", shape=(8, 2))]
    other = [seen("x"), seen("y", shape=(4, 8)), seen("z", shape=(8, 2))]
    assert paired(reference, other) == [("a", "x"), ("b", "y"), ("c", "z")]


def test_what_one_program_has_more_is_left_in_one_piece() -> None:
    reference = [seen("a", "conv", (3, 3, 3, 8)), seen("a_norm", "norm", (8,)), seen("last", shape=(8, 2))]
    more = [seen("extra", "conv", (1, 1, 8, 8)), seen("extra_norm", "norm", (8,))]
    other = [seen("x", "conv", (3, 3, 3, 8)), seen("x_norm", "norm", (8,)), *more, seen("z", shape=(8, 2))]
    found = align(reference, other)
    assert [one.path for one in found.strangers] == ["extra", "extra_norm"]
    assert not found.alone


def test_branches_in_another_order_are_paired_too() -> None:
    reference = [seen("left", shape=(4, 6)), seen("right", shape=(4, 5))]
    assert paired(reference, [seen("r", shape=(4, 5)), seen("l", shape=(4, 6))]) == [
        ("left", "l"),
        ("right", "r"),
    ]


def test_a_module_without_its_bias_still_pairs() -> None:
    (pair,) = align([seen("a")], [seen("x", bias=False)]).pairs
    assert pair.shared == ["kernel"]


def test_the_share_of_another_architecture_is_small() -> None:
    assert align([seen("a", shape=(30, 30))], [seen("x", shape=(20, 20))]).share == 0
    assert align([seen("a")], [seen("x")]).share == 1


def test_rows_behind_a_flatten_go_there_and_back() -> None:
    image = np.arange(24.0).reshape(2, 3, 4)  # height, width, channels
    rows = image.ravel()
    channels_first = image.transpose(2, 0, 1).ravel()
    orders = row_orders(24, [image.shape])
    assert any(np.array_equal(rows[order], channels_first) for order in orders)
    mapping = align([seen("a", shape=(24, 2))], [seen("x", shape=(24, 2))]).with_order("a", orders[0])
    (pair,) = mapping.pairs
    kernel = np.arange(48.0).reshape(24, 2)
    assert np.array_equal(pair.back("kernel", pair.weight("kernel", kernel)), kernel)
    assert not np.array_equal(pair.weight("kernel", kernel), kernel)


def test_modules_paired_by_hand_are_left_as_they_are() -> None:
    reference = [seen("a"), seen("b")]
    other = [seen("x"), seen("y")]
    found = align(reference, other, [(reference[0], other[1])])
    assert [(pair.reference.path, pair.other.path) for pair in found.pairs] == [("a", "y"), ("b", "x")]


def test_the_rows_behind_a_flatten_are_found_wherever_the_reference_has_its_channels() -> None:
    pictures = np.arange(24.0).reshape(2, 3, 4)  # (height, width, channels)
    channels_first = np.moveaxis(pictures, -1, 0)
    for shape in (pictures.shape, channels_first.shape):
        orders = row_orders(24, [shape])
        assert any(np.array_equal(channels_first.ravel()[order], pictures.ravel()) for order in orders)
        assert any(np.array_equal(pictures.ravel()[order], channels_first.ravel()) for order in orders)
