"""A training cut into blocks: their length, what they cover, that no number depends on it, their hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.shared.job import Job, Training
from likewise.shared.job.training import BatchPlan
from likewise.shared.program import Mask
from likewise.worker.adapters.trainer import Block
from likewise.worker.training import blocks
from likewise.worker.training.blocks import (
    LOOK_S,
    MARK_BYTE_S,
    MARK_S,
    MOST_BYTES,
    SHARE,
    TARGET_S,
    Pace,
    cut,
)
from likewise.worker.training.feeds import BatchHash, MaskSource, SampleOrder
from tests.listed import Seed

Jobs = Callable[..., Job]


def hard_job(job_of: Jobs, **fields: Any) -> Job:
    """All that could depend on the cutting: shuffling, dropout, a partial batch, a schedule."""
    return job_of(
        **{
            "model": {
                "layers": [{"type": "dropout", "rate": 0.3}, {"type": "dense", "units": 1}],
            },
            "optimizer": {
                "type": "sgd",
                "learning_rate": 0.05,
                "schedule": {"type": "cosine", "decay_steps": 40, "warmup": 3},
            },
            "training": {"epochs": 6, "batch_size": 8, "shuffle": True},
            **fields,
        }
    )


def numbers(seed: Seed) -> dict[str, Any]:
    """A result without its clocks."""
    return seed.model_dump(exclude={"timings", "peak_bytes", "grown_bytes"})


@pytest.mark.parametrize("size", [30, 32], ids=["partial last batch", "full batches"])
@pytest.mark.parametrize("validated", [False, True])
def test_numbers_do_not_depend_on_how_a_training_is_cut(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, size: int, validated: bool
) -> None:
    held_out = {"validation": lab.samples(9, 1)} if validated else {}
    run = lab.run(hard_job(job_of), train=lab.samples(size), seeds=(1, 2), **held_out)
    as_usual = lab.train(run)
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "TARGET_S", 0.0)  # one step a block
        step_by_step = lab.train(run)
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "MOST_BYTES", 3 * 8 * (8 + 3 * 4))  # three steps a block
        in_threes = lab.train(run)
    assert as_usual.status == "succeeded"
    for cut_otherwise in (step_by_step, in_threes):
        assert [numbers(seed) for seed in lab.seeds(cut_otherwise)] == [
            numbers(seed) for seed in lab.seeds(as_usual)
        ]


def test_a_wrong_step_count_would_change_the_numbers(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the test above: a block that is told the wrong step draws other masks."""
    run = lab.run(hard_job(job_of), train=lab.samples(32))
    right = lab.only(lab.train(run))
    draw = MaskSource.block

    def late(self: MaskSource, *, first_step: int, steps: int, batch_size: int) -> Any:
        return draw(self, first_step=first_step + 1, steps=steps, batch_size=batch_size)

    monkeypatch.setattr(MaskSource, "block", late)
    assert lab.only(lab.train(run)).losses != right.losses


def test_blocks_cover_all_steps_in_order_on_the_declared_batches(lab: Any, job_of: Jobs) -> None:
    blocks: list[Block] = []
    build = lab.adapter.build

    def recording(*args: Any, **kwargs: Any) -> Any:
        trainer = build(*args, **kwargs)
        train = trainer.train
        trainer.train = lambda block: (blocks.append(block), train(block))[1]
        return trainer

    lab.adapter.build = recording
    run = lab.run(hard_job(job_of), train=lab.samples(30))
    assert lab.train(run).status == "succeeded"
    step = 0
    for block in blocks:
        count, size = block.indices.shape
        assert block.first_step == step
        assert block.learning_rates.shape == (count,)
        assert block.masks["layers.0"].shape == (count, size, 3)
        step += count
    assert step == 6 * 4
    first = MaskSource(
        [Mask(index=0, path="layers.0", rate=0.3, shape=(3,))], seed=0, precision="float32"
    ).block(first_step=0, steps=1, batch_size=8)
    assert np.array_equal(blocks[0].masks["layers.0"], first["layers.0"])
    seen = np.concatenate([block.indices.ravel() for block in blocks]).reshape(6, 30)
    assert (np.sort(seen, axis=1) == np.arange(30)).all()


def test_the_epoch_loss_is_that_of_all_its_samples(lab: Any, job_of: Jobs) -> None:
    """With a tiny learning rate the weights stand still, so the epoch's loss is the set's."""
    fields = {"optimizer": {"type": "sgd", "learning_rate": 1e-30}, "precision": "float64"}
    for reduction, count in (("mean", 1), ("sum", 30)):
        job = job_of(
            loss={"type": "mse", "reduction": reduction},
            training={"epochs": 2, "batch_size": 8, "shuffle": True},
            **fields,
        )
        seed = lab.only(lab.train(lab.run(job, train=lab.samples(30))))
        expected = seed.metrics["train"]["rmse"] ** 2 * count
        assert seed.losses == pytest.approx([expected, expected], rel=1e-12)


def test_the_order_and_the_start_have_seeds_of_their_own_where_they_are_declared(
    lab: Any, job_of: Jobs
) -> None:
    shuffled = {"epochs": 2, "batch_size": 8, "shuffle": True}

    def hashes(seed: int, **fields: Any) -> tuple[str, str]:
        job = job_of(**{"training": shuffled, **fields})
        found = lab.only(lab.train(lab.run(job, train=lab.samples(30), seeds=(seed,)))).hashes
        return found.initial_weights, found.batches

    start, order = hashes(0)
    other_start, other_order = hashes(1)
    assert start != other_start
    assert order != other_order
    assert hashes(1, training=shuffled | {"shuffle_seed": 0}) == (other_start, order)
    assert hashes(1, initial_weights={"type": "shared", "seed": 0}) == (start, other_order)


def test_a_dropped_last_batch_is_not_trained_on(lab: Any, job_of: Jobs) -> None:
    def hashed(drop_last: bool) -> str:
        job = job_of(training={"epochs": 2, "batch_size": 8, "drop_last": drop_last})
        return lab.only(lab.train(lab.run(job, train=lab.samples(30)))).hashes.batches

    assert hashed(True) != hashed(False)


@pytest.mark.parametrize("size", [30, 32], ids=["partial last batch", "full batches"])
def test_where_a_training_diverges_does_not_depend_on_the_cutting(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    job = job_of(optimizer={"type": "sgd", "learning_rate": 5.0}, training={"epochs": 99, "batch_size": 8})
    run = lab.run(job, train=lab.samples(size))
    as_usual = lab.only(lab.train(run))
    monkeypatch.setattr(blocks, "TARGET_S", 0.0)
    assert as_usual.failure.reason == "diverged"
    assert numbers(lab.only(lab.train(run))) == numbers(as_usual)


def plan(samples: int, size: int | None, epochs: int = 3) -> BatchPlan:
    return BatchPlan.of(Training(epochs=epochs, batch_size=size), samples)


def sizes(of: BatchPlan, *, wanted: int, stop_at_epochs: bool = False) -> list[tuple[int, int]]:
    step, found = 0, []
    while step < of.steps:
        part = cut(of, step, wanted=wanted, stop_at_epochs=stop_at_epochs)
        found.append((part.steps, part.batch_size))
        step += part.steps
    return found


def test_a_block_goes_on_over_epochs_where_nothing_needs_a_look() -> None:
    assert sizes(plan(6, None), wanted=100) == [(3, 6)]
    assert sizes(plan(6, 2), wanted=5) == [(5, 2), (4, 2)]


def test_a_block_ends_with_the_epoch_where_something_needs_a_look() -> None:
    assert sizes(plan(6, 2), wanted=100, stop_at_epochs=True) == [(3, 2)] * 3


def test_a_partial_batch_is_a_block_of_its_own() -> None:
    assert sizes(plan(7, 2, epochs=2), wanted=100) == [(3, 2), (1, 1)] * 2


@given(st.floats(1e-6, 10.0), st.integers(1, 1000))
def test_a_block_comes_to_last_about_the_target_whatever_a_step_costs(
    step_s: float, bytes_per_step: int
) -> None:
    pace = Pace(bytes_per_step=bytes_per_step)
    for _ in range(12):
        pace.learn(pace.wanted, pace.wanted * step_s)
    most = MOST_BYTES // bytes_per_step
    assert pace.wanted * step_s <= max(TARGET_S, step_s) * (1 + 1e-9)
    assert (pace.wanted + 2) * step_s > TARGET_S or pace.wanted == most


def test_a_block_grows_gradually_and_shrinks_at_once() -> None:
    pace = Pace(bytes_per_step=1)
    grown = []
    for _ in range(4):
        grown.append(pace.wanted)
        pace.learn(pace.wanted, 1e-9)
    assert grown == [1, 8, 64, 512]
    pace.learn(4096, 4096 * 0.1)
    assert pace.wanted == 2


def test_a_block_stays_within_its_memory_but_has_at_least_one_step() -> None:
    pace = Pace(bytes_per_step=MOST_BYTES // 3)
    for _ in range(5):
        pace.learn(pace.wanted, 1e-9)
    assert pace.wanted == 3
    huge = Pace(bytes_per_step=10 * MOST_BYTES)
    huge.learn(1, 1e-9)
    assert huge.wanted == 1


def test_looks_and_marks_are_as_dear_as_what_they_save() -> None:
    pace = Pace(bytes_per_step=1)
    pace.learn(10_000, 1.0)
    assert pace.until_look(trained_s=0.0) == int(LOOK_S / SHARE / 1e-4)
    assert pace.until_mark(trained_s=0.0, state_bytes=0) == int(MARK_S / SHARE / 1e-4)
    later_s = 64.0
    assert pace.until_look(trained_s=later_s) == later_s * SHARE / 1e-4
    assert pace.until_mark(trained_s=later_s, state_bytes=0) == later_s * SHARE / 1e-4


def test_marks_of_large_weights_stand_far_apart() -> None:
    pace = Pace(bytes_per_step=1)
    pace.learn(10_000, 1.0)
    megabyte_s = 2**20 * MARK_BYTE_S
    apart_s = 1e-4 * pace.until_mark(trained_s=0.0, state_bytes=100 * 2**20)
    assert 100 * megabyte_s <= apart_s * SHARE <= 101 * megabyte_s


def test_a_first_update_alone_sets_no_marks() -> None:
    pace = Pace(bytes_per_step=1)
    pace.learn(1, 10.0)
    assert pace.until_mark(trained_s=10.0, state_bytes=0) == pace.most


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
