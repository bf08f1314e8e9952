"""How the samples of an epoch fall into batches."""

from __future__ import annotations

from likewise.shared.job import Training
from likewise.shared.job.training import BatchPlan


def test_a_partial_last_batch_is_kept() -> None:
    plan = BatchPlan.of(Training(epochs=2, batch_size=4), 10)
    assert [plan.batch_size_at(step) for step in range(plan.steps)] == [4, 4, 2, 4, 4, 2]
    assert plan.samples_per_epoch == 10


def test_a_partial_last_batch_is_dropped_on_request() -> None:
    plan = BatchPlan.of(Training(epochs=2, batch_size=4, drop_last=True), 10)
    assert [plan.batch_size_at(step) for step in range(plan.steps)] == [4, 4, 4, 4]
    assert plan.samples_per_epoch == 8


def test_without_a_batch_size_an_epoch_is_one_step_on_the_whole_set() -> None:
    plan = BatchPlan.of(Training(epochs=3), 6)
    assert (plan.steps, plan.steps_per_epoch, plan.batch_size_at(0)) == (3, 1, 6)


def test_a_batch_size_above_the_samples_is_one_partial_batch() -> None:
    plan = BatchPlan.of(Training(epochs=3, batch_size=100), 6)
    assert (plan.steps, plan.largest_batch, plan.batch_size_at(2)) == (3, 6, 6)


def test_dropping_the_only_batch_leaves_no_step() -> None:
    assert BatchPlan.of(Training(epochs=3, batch_size=100, drop_last=True), 6).steps == 0
