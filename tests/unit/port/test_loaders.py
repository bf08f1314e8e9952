"""What differs between the first samples of two loaders, found by their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likewise.producer.port.batch import loaded_batch
from likewise.producer.port.exchanged import Arrays, LoadedSamples
from likewise.producer.port.loaders import LoaderComparison, compare_loaders
from likewise.worker.port.loaders import first_samples

DRAWS = np.random.default_rng(0)
PICTURES = DRAWS.integers(0, 256, (20, 6, 6, 3)).astype("float32")
CLASSES = DRAWS.integers(0, 4, 20)
WORDS = np.array([[*DRAWS.integers(1, 9, 5 + place % 3), *[0] * (3 - place % 3)] for place in range(20)])
MIXED = np.random.default_rng(1).permutation(20)


def compared(
    mine: Arrays, theirs: Arrays, sizes: tuple[int, ...] = (8, 8, 4), other: tuple[int, ...] = (8, 8, 4)
) -> LoaderComparison:
    one, two = LoadedSamples(mine, sizes, True), LoadedSamples(theirs, other, True)
    return compare_loaders([one, one], [two, two], ("keras", "torch"))


def shifted(words: NDArray[Any]) -> NDArray[Any]:
    return np.array([[*[0] * int((row == 0).sum()), *row[row != 0]] for row in words])


X, Y = {"x": PICTURES}, {"y": CLASSES}


@pytest.mark.parametrize(
    ("theirs", "setting", "words"),
    [
        ({"x": PICTURES[..., ::-1], **Y}, "channels", "red and blue"),
        ({"x": PICTURES.transpose(0, 3, 1, 2)[:, ::-1], **Y}, "channels", "red and blue"),
        ({"x": PICTURES.transpose(0, 2, 1, 3), **Y}, "axes", "permuted"),
        ({"x": PICTURES / 255, **Y}, "scale", "0.00392157 times"),
        ({"x": (PICTURES - 120) / 60, **Y}, "mean_and_deviation", "normalised otherwise"),
        (
            {"x": ((PICTURES - [9, 8, 7]) / [60, 50, 40]).astype("float32"), **Y},
            "mean_and_deviation",
            "normalised otherwise",
        ),
        ({"x": PICTURES.astype("float64"), **Y}, "dtype", "float64"),
        ({"x": PICTURES[MIXED], "y": CLASSES[MIXED]}, "order", "in another order"),
        ({"x": PICTURES[:, 1:, 1:], **Y}, "shape", "(5, 5, 3)"),
        ({"x": PICTURES + DRAWS.normal(0, 5, PICTURES.shape), **Y}, "values", "resized"),
        ({**X, "y": CLASSES + 1}, "label_coding", "numbered from 0"),
        ({**X, "y": np.array([2, 0, 3, 1])[CLASSES]}, "label_coding", "other numbers"),
        ({**X, "y": np.roll(CLASSES, 1)}, "values", "other classes"),
    ],
)
def test_what_differs_is_named(theirs: Arrays, setting: str, words: str) -> None:
    found = compared({**X, **Y}, theirs).findings
    assert setting in [one.setting for one in found]
    assert words in next(one.text for one in found if one.setting == setting)
    assert {one.setting for one in found} <= {setting, "dtype"}


@pytest.mark.parametrize(
    ("turn", "settings"),
    [
        (shifted, {"padding"}),
        (lambda words: np.where(words == 0, 99, words), {"padding_value"}),
        (lambda words: np.pad(words, ((0, 0), (0, 2))), {"length"}),
    ],
)
def test_padding_of_rows_is_named(turn: Callable[[NDArray[Any]], NDArray[Any]], settings: set[str]) -> None:
    found = compared({"x": WORDS, **Y}, {"x": turn(WORDS), **Y}).findings
    assert {one.setting for one in found} == settings


def resized(
    pictures: NDArray[Any], size: int, source: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any]:
    """Resize square pictures bilinearly; `source` says where a pixel lies in the original."""
    last = pictures.shape[1] - 1
    at = np.clip(source(np.arange(size, dtype=float)), 0, last)
    low = np.minimum(at.astype(int), last - 1)
    for axis in (1, 2):
        shape = [1, 1, 1, 1]
        shape[axis] = size
        part = (at - low).reshape(shape)
        pictures = pictures.take(low, axis) * (1 - part) + pictures.take(low + 1, axis) * part
    return pictures


@pytest.mark.parametrize(
    ("source", "setting", "words"),
    [
        (lambda place: place * 5 / 23, "corners", "aligns the corners"),
        (lambda place: place * 6 / 24, "shift", "at the corner of a pixel"),
    ],
)
def test_corners_of_a_resize_are_named(
    source: Callable[[NDArray[Any]], NDArray[Any]], setting: str, words: str
) -> None:
    mine = resized(PICTURES, 24, lambda place: (place + 0.5) * 6 / 24 - 0.5)
    found = compared({"x": mine, **Y}, {"x": resized(PICTURES, 24, source), **Y}).findings
    assert [one.setting for one in found] == [setting]
    assert words in found[0].text


def test_channels_first_and_columns_of_classes_are_notes() -> None:
    theirs = {"x": PICTURES.transpose(0, 3, 1, 2), "y": np.eye(4)[CLASSES]}
    found = compared({**X, **Y}, theirs)
    assert not found.findings
    assert len(found.notes) == 2


def test_batches_and_a_dropped_rest_are_named() -> None:
    assert compared({**X, **Y}, {**X, **Y}, other=(4,) * 5).findings[0].setting == "batch_size"
    fewer = {"x": PICTURES[:16], "y": CLASSES[:16]}
    found = compared({**X, **Y}, fewer, other=(8, 8)).findings
    assert "drops the last" in found[0].text


def test_a_shuffle_on_one_side_is_named() -> None:
    one = LoadedSamples({**X, **Y}, (20,), True)
    mixed = LoadedSamples({"x": PICTURES[MIXED], "y": CLASSES[MIXED]}, (20,), True)
    found = compare_loaders([one, one], [mixed, one], ("keras", "torch")).findings
    assert [each.setting for each in found] == ["shuffle"]


def test_several_targets_are_no_inputs() -> None:
    arrays, told = first_samples((X["x"], {"shop": CLASSES, "price": 1.0 * CLASSES}))
    assert told["targets"] == ["shop", "price"]
    samples = LoadedSamples(arrays, (20,), True, tuple(told["targets"]))
    batch = loaded_batch(samples, label="keras", precision="float64")
    assert (list(batch.inputs), batch.targets, list(batch.more)) == (["x"], None, ["shop", "price"])
