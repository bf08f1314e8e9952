"""From batch losses to epoch losses."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.shared.job import Training
from likewise.shared.job.training import BatchPlan
from likewise.worker.training.seed_record import EpochLosses


def plan(samples: int = 5, size: int = 2) -> BatchPlan:
    return BatchPlan.of(Training(epochs=10, batch_size=size), samples)


def test_mean_weights_batches_by_their_size() -> None:
    losses = EpochLosses(plan(), "mean")
    losses.add(np.array([1.0, 2.0]), 2)
    assert losses.finished == []
    losses.add(np.array([4.0]), 1)
    assert losses.finished == [(2 * 1.0 + 2 * 2.0 + 1 * 4.0) / 5]


def test_sum_adds_batches() -> None:
    losses = EpochLosses(plan(), "sum")
    losses.add(np.array([1.0, 2.0]), 2)
    losses.add(np.array([4.0]), 1)
    assert losses.finished == [7.0]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_per_batch_is_the_mean_of_the_batches_whatever_their_size(reduction: Any) -> None:
    losses = EpochLosses(plan(), reduction, "per_batch")
    losses.add(np.array([1.0, 2.0]), 2)
    losses.add(np.array([6.0]), 1)
    assert losses.finished == [3.0]


def test_a_sum_past_the_largest_number_is_infinite() -> None:
    losses = EpochLosses(plan(4), "sum")
    losses.add(np.array([1.7e308, 1.7e308]), 2)
    assert losses.finished == [inf]


@given(st.lists(st.floats(0, 1e6), min_size=6, max_size=6), st.integers(1, 5))
def test_cutting_changes_no_epoch_loss_and_the_sum_is_exact(values: list[float], at: int) -> None:
    cut, whole = EpochLosses(plan(6), "mean"), EpochLosses(plan(6), "mean")
    whole.add(np.array(values), 2)
    cut.add(np.array(values[:at]), 2)
    cut.add(np.array(values[at:]), 2)
    assert cut.finished == whole.finished
    first = sum((2 * Fraction(value) for value in values[:3]), Fraction(0)) / 6
    assert whole.finished[0] == pytest.approx(float(first), rel=1e-15)
