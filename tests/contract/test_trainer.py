"""A trainer's obligations: blocks, copies, precision, executions."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.worker.adapters.trainer import Block

ADAM = {"type": "adam", "learning_rate": 0.01}
LAYERS = [
    {"type": "dense", "units": 4, "activation": "tanh"},
    {"type": "dropout", "rate": 0.5, "name": "drop"},
    {"type": "dense", "units": 2},
]


def some_masks(steps: int, precision: str = "float64") -> dict[str, np.ndarray]:
    return {"drop": (np.random.default_rng(2).integers(0, 2, (steps, 5, 4)) * 2.0).astype(precision)}


def cut(block: Block, begin: int, end: int) -> Block:
    return dataclasses.replace(
        block,
        indices=block.indices[begin:end],
        learning_rates=block.learning_rates[begin:end],
        first_step=begin,
        masks={path: mask[begin:end] for path, mask in block.masks.items()},
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, 14), max_size=5, unique=True),
    execution=st.sampled_from(["auto", "eager"]),
    precision=st.sampled_from(["float32", "float64"]),
)
def test_the_numbers_do_not_depend_on_how_steps_are_cut_into_blocks(
    cuts: list[int], execution: str, precision: str, kit: Any
) -> None:
    job = kit.job(layers=LAYERS, optimizer=ADAM, execution=execution, precision=precision)
    block = kit.block(15, masks=some_masks(15, precision))
    whole, parts = kit.build(job), kit.build(job)
    losses = whole.train(block)
    bounds = [0, *sorted(cuts), 15]
    pieces = [parts.train(cut(block, a, b)) for a, b in itertools.pairwise(bounds)]
    assert np.concatenate(pieces).tobytes() == losses.tobytes()
    for name, array in whole.weights().items():
        assert parts.weights()[name].tobytes() == array.tobytes()


def test_batches_may_change_their_size_from_block_to_block(kit: Any) -> None:
    job = kit.job()
    x, y, _ = kit.problem(job)
    trainer = kit.build(job)
    for first_step, batch in enumerate((12, 5, 1, 5, 12)):
        weights = trainer.weights()
        block = kit.block(1, batch=batch, first_step=first_step)
        (loss,) = trainer.train(block)
        rows = block.indices[0]
        assert loss == pytest.approx(kit.reference(job).loss(weights, x[rows], y[rows]), rel=1e-13)


def test_each_loss_is_that_of_its_batch_before_the_update(kit: Any) -> None:
    job = kit.job(layers=LAYERS, optimizer=ADAM)
    x, y, _ = kit.problem(job)
    trainer, single = kit.build(job), kit.build(job)
    block = kit.block(6, masks=some_masks(6))
    losses = trainer.train(block)
    assert losses.dtype == np.float64
    assert losses.shape == (6,)
    for step in range(6):
        rows, mask = block.indices[step], {"drop": block.masks["drop"][step]}
        assert losses[step] == pytest.approx(
            kit.reference(job).loss(single.weights(), x[rows], y[rows], mask), rel=1e-12
        )
        single.train(cut(block, step, step + 1))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_everything_is_in_the_run_s_precision(precision: str, kit: Any) -> None:
    job = kit.job(precision=precision)
    x, *_ = kit.problem(job)
    trainer = kit.build(job)
    assert trainer.train(kit.block(2)).dtype == np.float64
    assert trainer.outputs(x).dtype == precision
    assert trainer.outputs(x).shape == (12, 2)
    assert trainer.outputs(x[:1]).shape == (1, 2)
    assert trainer.outputs(x[:0]).shape == (0, 2)
    assert {array.dtype.name for array in trainer.weights().values()} == {precision}


def test_weights_come_back_as_they_were_given_in_the_canonical_layout(kit: Any) -> None:
    job = kit.job(layers=LAYERS)
    _, _, weights = kit.problem(job)
    returned = kit.build(job).weights()
    assert list(returned) == ["layers.0.kernel", "layers.0.bias", "layers.2.kernel", "layers.2.bias"]
    for name, array in weights.items():
        np.testing.assert_array_equal(returned[name], array)


def test_weights_are_copies_both_ways(kit: Any) -> None:
    job = kit.job()
    x, y, weights = kit.problem(job)
    given = {name: array.copy() for name, array in weights.items()}
    trainer = kit.trainer(job, weights=given, x=x, y=y)
    trainer.train(kit.block(3))
    for name, array in weights.items():
        np.testing.assert_array_equal(given[name], array)
    kept = trainer.weights()
    frozen = {name: array.copy() for name, array in kept.items()}
    trainer.train(kit.block(3, first_step=3))
    for name, array in frozen.items():
        np.testing.assert_array_equal(kept[name], array)
        kept[name][:] = 99.0
        assert not (trainer.weights()[name] == 99.0).any()


def test_loading_weights_replaces_all_of_them_and_keeps_the_optimizer_s_state(kit: Any) -> None:
    job = kit.job(optimizer={"type": "sgd", "learning_rate": 0.1, "momentum": 0.9})
    _, _, weights = kit.problem(job)
    moving, fresh = kit.build(job), kit.build(job)
    moving.train(kit.block(3))
    moving.load_weights(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(moving.weights()[name], array)
    (loss_moving,) = moving.train(kit.block(1, first_step=3))
    (loss_fresh,) = fresh.train(kit.block(1, first_step=3))
    assert loss_moving == loss_fresh
    assert any((moving.weights()[name] != fresh.weights()[name]).any() for name in weights)


def test_a_loss_that_overflows_is_returned_and_not_raised(kit: Any) -> None:
    trainer = kit.build(kit.job(optimizer={"type": "sgd", "learning_rate": 1e200}))
    losses = trainer.train(kit.block(6, rate=1e200))
    assert not np.isfinite(losses).all()


def test_after_forgetting_programs_a_training_compiles_again_to_the_same_numbers(kit: Any) -> None:
    job = kit.job(training={"epochs": 1, "batch_size": 5, "drop_last": True}, execution="compiled")
    before = kit.build(job)
    losses = before.train(kit.block(3))
    assert not kit.build(job).compiles
    kit.adapter.forget_programs()
    after = kit.build(job)
    assert after.compiles
    np.testing.assert_array_equal(after.train(kit.block(3)), losses)
    assert not after.compiles
    before.train(kit.block(3, first_step=3))  # it goes on


@pytest.mark.parametrize("execution", ["auto", "eager", "compiled"])
def test_every_execution_gives_the_same_numbers_and_says_what_it_is(execution: str, kit: Any) -> None:
    trainer = kit.build(kit.job(layers=LAYERS, optimizer=ADAM, execution=execution))
    plain = kit.build(kit.job(layers=LAYERS, optimizer=ADAM))
    block = kit.block(10, masks=some_masks(10))
    np.testing.assert_allclose(trainer.train(block), plain.train(block), rtol=1e-13)
    for name, array in plain.weights().items():
        np.testing.assert_allclose(trainer.weights()[name], array, rtol=1e-13, atol=1e-15)
    assert trainer.execution.startswith(("eager", "compiled") if execution == "auto" else execution)
    assert not (trainer.compiles and trainer.execution.startswith("eager"))


def test_two_trainers_at_once_do_not_disturb_each_other(kit: Any) -> None:
    job = kit.job(optimizer=ADAM)
    alone = kit.build(job).train(kit.block(8))
    first, second = kit.build(job), kit.build(job, seed=1)
    mixed = []
    for step in range(8):
        mixed.append(first.train(kit.block(1, first_step=step)))
        second.train(kit.block(1, first_step=step))
    assert np.concatenate(mixed).tobytes() == alone.tobytes()
