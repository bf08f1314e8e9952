"""Fingerprints: equal for equal tensors, and as far apart as the tensors are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.results.trace import LARGEST, NUMBERS, PROJECTIONS, SIZE
from worker.training.tracing import Fingerprinter

TAKE = Fingerprinter().take
LONG = 3 * 2**16 + 7


def apart(a, b):
    return np.abs(TAKE(a) - TAKE(b))[:PROJECTIONS].max()


def test_a_fingerprint_has_the_largest_value_and_the_size():
    found = TAKE(np.array([[1.0, -3.0], [2.0, 0.5]]))
    assert (found.shape, found[LARGEST], found[SIZE]) == ((NUMBERS,), 3.0, 4)
    assert TAKE(np.zeros((0, 3)))[SIZE] == 0
    np.testing.assert_array_equal(TAKE(2.0), TAKE(np.array([2.0])))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, LONG), st.integers(0, 10**6), st.floats(1e-9, 1.0))
def test_one_element_that_differs_is_seen_wherever_it_stands(size, place, by):
    array = np.random.default_rng(size).standard_normal(size)
    other = array.copy()
    other[place % size] += by
    # the largest of four factors is below 0.05 once in 160,000 draws
    assert 0.05 * by < apart(array, other) <= 1.001 * by + 1e-12


@pytest.mark.parametrize("size", [10, 70_000])
def test_values_that_changed_places_are_told_apart(size):
    array = np.arange(size, dtype=float)
    assert apart(array, np.roll(array, 1)) > 1.0


def test_two_processes_factors_are_the_same_and_pinned():
    np.testing.assert_array_equal(Fingerprinter().take(np.arange(5.0)), TAKE(np.arange(5.0)))
    assert TAKE(np.ones(1))[0] == pytest.approx(FIRST, abs=1e-15)


FIRST = -0.14168730987942557
