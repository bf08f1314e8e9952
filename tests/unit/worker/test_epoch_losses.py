"""From batch losses to epoch losses, and the patience that watches them."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.job import EarlyStopping, Training
from shared.job.schedule import ReduceOnPlateauSchedule
from shared.job.training import BatchPlan
from worker.training.monitor import Patience
from worker.training.seed_record import EpochLosses


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


def test_patience_runs_out_after_that_many_epochs_without_a_fall() -> None:
    patience = Patience(EarlyStopping(monitor="loss", patience=2))
    story = []
    for value in [3.0, 2.0, 2.0, 1.5, 1.6, 1.7]:
        improved = patience.improved(value)
        story.append((improved, patience.exhausted))
    assert story == [
        (True, False),
        (True, False),
        (False, False),
        (True, False),
        (False, False),
        (False, True),
    ]


def test_a_fall_by_min_delta_or_less_is_no_improvement() -> None:
    patience = Patience(EarlyStopping(monitor="loss", patience=2, min_delta=0.5))
    assert [patience.improved(value) for value in [3.0, 2.5, 2.4]] == [True, False, True]


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 4), st.integers(0, 2), st.integers(0, 30))
def test_patience_takes_many_epochs_as_it_takes_each(
    values: list[int], enough: int, delta: int, at: int
) -> None:
    rule = EarlyStopping(monitor="loss", patience=enough, min_delta=float(delta))
    one_by_one, at_once = Patience(rule), Patience(rule)
    story: list[bool] = []
    for value in values:
        if one_by_one.exhausted:
            break
        story.append(one_by_one.improved(value))
    best, taken = at_once.take(values[:at])
    if not at_once.exhausted:
        later, more = at_once.take(values[at:])
        best, taken = best if later is None else taken + later, taken + more
    assert taken == len(story)
    assert best == max((place for place, improved in enumerate(story) if improved), default=None)
    assert at_once.state() == one_by_one.state()
    assert at_once.left == one_by_one.left


def plateau(**fields: Any) -> Patience:
    return Patience(ReduceOnPlateauSchedule(type="reduce_on_plateau", monitor="loss", **fields))


def test_patience_that_must_be_exceeded_waits_one_epoch_longer() -> None:
    reached = plateau(patience=2, min_delta=0.0)
    exceeded = plateau(patience=2, min_delta=0.0, patience_rule="exceeded")
    story = []
    for value in [3.0, 3.0, 3.0, 3.0]:
        reached.improved(value), exceeded.improved(value)
        story.append((reached.exhausted, exceeded.exhausted))
    assert story == [(False, False), (False, False), (True, False), (True, True)]


def test_a_relative_min_delta_is_a_share_of_the_best() -> None:
    relative = plateau(min_delta=0.1, min_delta_kind="relative")
    assert [relative.improved(value) for value in [100.0, 91.0, 89.0, 80.2, 80.0]] == [
        True, False, True, False, True
    ]  # fmt: skip
    whole = plateau(min_delta=1.0, min_delta_kind="relative")
    assert [whole.improved(value) for value in [3.0, 0.1]] == [True, False]
