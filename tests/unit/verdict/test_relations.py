"""The marks of porting mistakes, made on purpose and recognised; what has no mark is not given one."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.verdict.relations import ratio, relation

NUMBERS = np.random.default_rng(0)
DENSE = NUMBERS.normal(size=(12, 5))
SQUARE = NUMBERS.normal(size=(8, 8))
GRU = NUMBERS.normal(size=(4, 9))
LSTM = NUMBERS.normal(size=(20,))
CONVOLUTION = NUMBERS.normal(size=(3, 3, 2, 4))


def flattened_channels_first(kernel, channels):
    """Row (place, channel) moved to row (channel, place)."""
    rows = [
        place * channels + channel for channel in range(channels) for place in range(len(kernel) // channels)
    ]
    return kernel[rows]


def gates(kernel, *order):
    parts = np.split(kernel, len(order), axis=-1)
    return np.concatenate([parts[place] for place in order], axis=-1)


MISTAKES = [
    (DENSE, DENSE.T, "transposed"),
    (SQUARE, SQUARE.T, "transposed"),
    (GRU, gates(GRU, 1, 0, 2), "with its 3 gates in the order 2, 1, 3"),
    (LSTM, gates(LSTM, 0, 2, 1, 3), "with its 4 gates in the order 1, 3, 2, 4"),
    (DENSE, flattened_channels_first(DENSE, 3), "with its rows in the order of 3 channels first"),
    (CONVOLUTION, CONVOLUTION.transpose(3, 2, 0, 1), "with its axes in the order (3, 2, 0, 1)"),
    (CONVOLUTION, CONVOLUTION[::-1, ::-1], "turned round"),
    (DENSE, -DENSE, "with the opposite sign"),
    (DENSE, 6 * DENSE, "times 6"),
]


@pytest.mark.parametrize(("mine", "theirs", "said"), MISTAKES, ids=[said for *_, said in MISTAKES])
def test_a_mistake_is_told_by_its_mark_also_after_rounding(mine, theirs, said):
    assert relation(mine, theirs).startswith(said)
    assert relation(mine, theirs.astype(np.float32)).startswith(said)


@pytest.mark.parametrize(("mine", "theirs", "said"), MISTAKES, ids=[said for *_, said in MISTAKES])
def test_one_element_off_is_no_mark(mine, theirs, said):  # noqa: ARG001
    off = np.array(theirs)
    off.flat[0] += 0.01

    assert relation(mine, off) is None


def test_equal_constant_and_unrelated_arrays_have_no_relation():
    assert relation(DENSE, DENSE) is None
    assert relation(np.zeros((3, 3)), np.zeros((3, 3))) is None
    assert relation(np.zeros(4), np.ones(4)) is None
    assert relation(DENSE, NUMBERS.normal(size=(12, 5))) is None
    assert relation(DENSE, np.ones(3)) is None


def test_an_array_that_is_a_multiple_of_another_has_its_factor():
    assert ratio(DENSE, 6 * DENSE) == pytest.approx(6)
    assert ratio(DENSE, DENSE + 1) is None
