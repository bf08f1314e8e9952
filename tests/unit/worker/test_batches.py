"""Batches: the order of the samples and the hash that proves it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.shared.job import Training
from likewise.shared.job.training import BatchPlan
from likewise.worker.training.blocks import BatchHash, cut
from likewise.worker.training.draws import SampleOrder


@st.composite
def plans(draw: st.DrawFn) -> BatchPlan:
    samples = draw(st.integers(1, 40))
    size = draw(st.none() | st.integers(1, samples))
    training = Training(epochs=draw(st.integers(1, 6)), batch_size=size, drop_last=draw(st.booleans()))
    return BatchPlan.of(training, samples)


def test_without_shuffling_the_samples_come_in_their_own_order() -> None:
    plan = BatchPlan.of(Training(epochs=2, batch_size=2), 4)
    order = SampleOrder(plan, shuffle=False, seed=9)
    assert order.indices(0, 4).tolist() == [[0, 1], [2, 3], [0, 1], [2, 3]]


def test_an_order_drawn_once_is_the_first_of_those_drawn_anew() -> None:
    plan = BatchPlan.of(Training(epochs=3), 20)
    anew, once = SampleOrder(plan, shuffle=True, seed=3), SampleOrder(plan, shuffle="once", seed=3)
    for epoch in (0, 2, 1):
        assert once.epoch(epoch).tolist() == anew.epoch(0).tolist()
    assert anew.epoch(1).tolist() != anew.epoch(0).tolist()


def test_shuffled_orders_never_change() -> None:
    """Results stop being comparable with older ones when this fails: say so in the changelog."""
    order = SampleOrder(BatchPlan.of(Training(epochs=2), 8), shuffle=True, seed=3)
    assert order.indices(0, 2).tolist() == [[7, 3, 5, 6, 4, 0, 2, 1], [0, 2, 6, 7, 5, 3, 4, 1]]


def test_every_place_is_equally_likely_for_a_sample() -> None:
    order = SampleOrder(BatchPlan.of(Training(epochs=1), 5), shuffle=True, seed=1)
    places = np.array([order.epoch(epoch) for epoch in range(4_000)])
    counts = np.array([np.bincount(places[:, place], minlength=5) for place in range(5)])
    assert ((counts - 800) ** 2 / 800).sum() < 39.3  # χ² of 16 degrees, 0.1 %


@given(plans(), st.integers(0, 2**63 - 1))
def test_each_epoch_sees_each_sample_once_in_an_order_of_its_own(plan: BatchPlan, seed: int) -> None:
    order = SampleOrder(plan, shuffle=True, seed=seed)
    for epoch in range(plan.epochs):
        assert sorted(order.epoch(epoch)) == list(range(plan.samples))
    if plan.samples > 20 and plan.epochs > 1:
        assert order.epoch(0).tolist() != order.epoch(1).tolist()


@given(plans(), st.booleans(), st.booleans(), st.data())
def test_cutting_into_blocks_changes_neither_the_batches_nor_their_hash(
    plan: BatchPlan, shuffle: bool, stop_at_epochs: bool, data: st.DataObject
) -> None:
    def pieces(wanted: st.SearchStrategy[int]) -> tuple[list[list[int]], str]:
        order, proof = SampleOrder(plan, shuffle=shuffle, seed=5), BatchHash(plan)
        batches: list[list[int]] = []
        step = 0
        while step < plan.steps:
            part = cut(plan, step, wanted=data.draw(wanted), stop_at_epochs=stop_at_epochs)
            indices = order.indices(step, part.steps)
            assert indices.shape == (part.steps, part.batch_size)
            batches += indices.tolist()
            proof.add(indices)
            step += part.steps
        return batches, proof.hexdigest()

    one_by_one, cut_freely = pieces(st.just(1)), pieces(st.integers(1, 30))
    assert one_by_one == cut_freely
    assert len(one_by_one[0]) == plan.steps
    assert sum(map(len, one_by_one[0])) == plan.epochs * plan.samples_per_epoch


@pytest.mark.parametrize(
    "other",
    [
        (Training(epochs=1, batch_size=3), False, ()),
        (Training(epochs=1, batch_size=4, drop_last=True), False, ()),
        (Training(epochs=1, batch_size=4), True, ()),
        (Training(epochs=1, batch_size=4), False, ((0, 1, 0.5),)),
    ],
    ids=["another batch size", "a dropped batch", "another order", "dropout"],
)
def test_other_batches_have_another_hash(
    other: tuple[Training, bool, tuple[tuple[int, int, float], ...]],
) -> None:
    def proof(training: Training, shuffle: bool, masks: tuple[tuple[int, int, float], ...]) -> str:
        plan = BatchPlan.of(training, 12)
        batch_hash = BatchHash(plan, mask_keys=masks)
        batch_hash.add(SampleOrder(plan, shuffle=shuffle, seed=0).indices(0, plan.full))
        return batch_hash.hexdigest()

    same = proof(Training(epochs=1, batch_size=4), False, ())
    assert proof(Training(epochs=9, batch_size=4), False, ()) == same
    if other[0].drop_last:  # 12 samples leave no remainder: nothing was dropped
        assert proof(*other) == same
    else:
        assert proof(*other) != same
