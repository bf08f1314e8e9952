"""A training cut into blocks: the numbers do not depend on how, and the blocks cover the declared batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shared.job import Job
from shared.program import Mask
from tests.listed import Seed
from worker.adapters.base import Block
from worker.training import blocks
from worker.training.draws import MaskSource

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
