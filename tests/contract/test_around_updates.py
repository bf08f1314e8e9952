"""What stands around an update: gradients of several batches, averages, outputs in training mode."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from likewise.shared.job.training import BatchPlan, accumulated
from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import EnsembleBlock

STEPS = 40
REMAINDERS = ("carry", "update", "drop", "keep")
STARTS = ("first_update", "initial_weights", "corrected")
ADAM = {"type": "adam", "learning_rate": 0.05, "weight_decay": 0.1, "clip_norm": 0.5}


def block_of(kit: Any, job: Any, plan: BatchPlan) -> Any:
    block = kit.block(STEPS)
    gathered = accumulated(job.training, plan, first_step=0, steps=STEPS)
    return dataclasses.replace(block, accumulation=gathered)


def gradients(weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    error = 2 * (x @ weights["layers.0.kernel"] + weights["layers.0.bias"] - y) / y.size
    return {"layers.0.kernel": x.T @ error, "layers.0.bias": error.sum(axis=0)}


def followed(kit: Any, job: Any, plan: BatchPlan) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The weights and their average by the formulas, group after group."""
    training, optimizer = job.training, job.optimizer
    x, y, weights = kit.problem(job)
    formula, rows = kit.formula(optimizer), kit.block(STEPS).indices
    average = {name: array.copy() for name, array in weights.items()}
    wanted, remainder = training.gradient_accumulation_steps, training.accumulation_remainder
    group: list[int] = []
    updates = 0
    for step in range(STEPS):
        within = step % plan.steps_per_epoch
        if within == 0 and remainder == "drop":
            group = []
        group.append(step)
        place = step if remainder == "carry" else within
        cut = remainder == "update" and within == plan.steps_per_epoch - 1
        if (place + 1) % wanted and not cut:
            continue
        each = [gradients(weights, x[rows[one]], y[rows[one]]) for one in group]
        sizes = [plan.batch_size_at(one) for one in group]
        shares = sizes if training.accumulation == "samples" else [1.0] * len(group)
        divisor = {"mean": wanted, "samples": sum(sizes), "sum": 1.0}[training.accumulation]
        whole = {
            name: sum(share * one[name] for share, one in zip(shares, each, strict=True)) / divisor
            for name in weights
        }
        updates += 1
        formula.update(weights, whole, t=updates, rate=0.1)
        part = 1 - optimizer.ema_momentum
        if optimizer.ema_start == "first_update" and updates == 1:
            part = 1.0
        if optimizer.ema_start == "corrected":
            part = part / (1 - optimizer.ema_momentum**updates)
        average = {name: average[name] + part * (weights[name] - average[name]) for name in weights}
        group = []
    return weights, average


def close(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-12 * np.abs(array).max())


@pytest.mark.parametrize(
    ("way", "remainder", "execution"),
    [
        *((way, cut, "auto") for way in ("mean", "samples", "sum") for cut in REMAINDERS),
        *(("samples", "keep", execution) for execution in ("eager", "compiled")),
    ],
)
def test_gathered_gradients_make_updates_by_the_formula(
    kit: Any, way: str, remainder: str, execution: str
) -> None:
    training = {
        "epochs": STEPS, "batch_size": 5, "gradient_accumulation_steps": 3, "accumulation": way,
        "accumulation_remainder": remainder,
    }  # fmt: skip
    job = kit.job(optimizer=ADAM, training=training, execution=execution)
    plan = BatchPlan.of(job.training, 34)  # 6 whole batches an epoch and one of 4
    x, y, weights = kit.problem(job)
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    trainer.train(block_of(kit, job, plan))
    close(trainer.weights(), followed(kit, job, plan)[0])


@pytest.mark.parametrize(
    ("start", "gathered", "execution"),
    [
        *((start, count, "auto") for start in STARTS for count in (1, 3)),
        *(("corrected", 3, execution) for execution in ("eager", "compiled")),
    ],
)
def test_the_average_of_the_weights_follows_the_formula(
    kit: Any, start: str, gathered: int, execution: str
) -> None:
    optimizer = ADAM | {"use_ema": True, "ema_momentum": 0.8, "ema_start": start}
    training = {"epochs": STEPS, "batch_size": 5, "gradient_accumulation_steps": gathered}
    job = kit.job(optimizer=optimizer, training=training, execution=execution)
    plan = BatchPlan.of(job.training, 35)
    x, y, weights = kit.problem(job)
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    block = block_of(kit, job, plan)
    trainer.train(block.part(0, 13))
    state = trainer.state()
    resumed = kit.trainer(job, weights=weights, x=x, y=y)
    resumed.load_state(state)
    resumed.train(block.part(13, STEPS))
    trained, average = followed(kit, job, plan)
    close(resumed.weights(), trained)
    resumed.swap_average()
    close(resumed.weights(), average)
    resumed.swap_average()
    close(resumed.weights(), trained)


@pytest.mark.parametrize("execution", ["auto", "eager", "compiled"])
@pytest.mark.parametrize("averaged", [True, False])
def test_moving_statistics_are_averaged_where_that_is_asked(kit: Any, averaged: bool, execution: str) -> None:
    optimizer = ADAM | {"use_ema": True, "ema_momentum": 0.8, "ema_buffers": averaged}
    layers = [{"type": "batch_norm", "momentum": 0.5, "name": "norm"}, {"type": "dense", "units": 2}]
    job = kit.job(layers=layers, optimizer=optimizer, execution=execution, training={"epochs": STEPS})
    x, y, _ = kit.problem(kit.job())
    weights = {one.name: np.ones(one.shape) for one in compile_job(job, (3,)).weights}
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    block, average = kit.block(6), None
    for step in range(6):
        trainer.train(block.part(step, step + 1))
        now = trainer.weights()["norm.moving_mean"]
        average = now if average is None else average + (1 - 0.8) * (now - average)
    trainer.swap_average()
    np.testing.assert_allclose(
        trainer.weights()["norm.moving_mean"], average if averaged else now, rtol=1e-12
    )
    trainer.swap_average()
    np.testing.assert_array_equal(trainer.weights()["norm.moving_mean"], now)


def test_members_average_moving_statistics_as_alone(kit: Any) -> None:
    optimizer = ADAM | {"use_ema": True, "ema_momentum": 0.8, "ema_buffers": True}
    layers = [{"type": "batch_norm", "momentum": 0.5, "name": "norm"}, {"type": "dense", "units": 2}]
    job = kit.job(layers=layers, optimizer=optimizer, training={"epochs": STEPS})
    x, y, _ = kit.problem(kit.job())
    weights = {one.name: np.ones(one.shape) for one in compile_job(job, (3,)).weights}
    alone = kit.trainer(job, weights=weights, x=x, y=y)
    stacked = {name: np.stack([array, array]) for name, array in weights.items()}
    ensemble = kit.ensemble(job, optimizers=[job.optimizer] * 2, weights=stacked, x=x, y=y)
    block = kit.block(6)
    alone.train(block)
    ensemble.train(
        EnsembleBlock(
            indices=block.indices, learning_rates=np.stack([block.learning_rates] * 2), first_step=0
        )
    )
    alone.swap_average()
    ensemble.swap_average()
    for name, array in ensemble.weights().items():
        np.testing.assert_allclose(array[1], alone.weights()[name], rtol=1e-12, atol=1e-14)


def test_members_gather_and_average_as_alone(kit: Any) -> None:
    optimizers = [ADAM | {"use_ema": True, "ema_momentum": m, "beta_1": 0.5} for m in (0.5, 0.9)]
    training = {"epochs": STEPS, "batch_size": 5, "gradient_accumulation_steps": 3}
    jobs = [kit.job(optimizer=optimizer, training=training) for optimizer in optimizers]
    plan = BatchPlan.of(jobs[0].training, 35)
    x, y, weights = kit.problem(jobs[0])
    stacked = {name: np.stack([array, array]) for name, array in weights.items()}
    ensemble = kit.ensemble(jobs[0], optimizers=[job.optimizer for job in jobs], weights=stacked, x=x, y=y)
    block = block_of(kit, jobs[0], plan)
    ensemble.train(
        EnsembleBlock(
            indices=block.indices,
            learning_rates=np.stack([block.learning_rates] * 2),
            first_step=0,
            accumulation=block.accumulation,
        )
    )
    for swapped in (False, True):
        found = ensemble.weights()
        for member, job in enumerate(jobs):
            wanted = followed(kit, job, plan)[swapped]
            close({name: array[member] for name, array in found.items()}, wanted)
        ensemble.swap_average()


LAYERS: list[dict[str, Any]] = [
    {"type": "dense", "units": 4, "name": "hidden"},
    {"type": "batch_norm", "name": "norm"},
    {"type": "dropout", "rate": 0.5, "name": "drop"},
    {"type": "dense", "units": 2, "name": "head"},
]


def normed(kit: Any, execution: str) -> tuple[Any, np.ndarray, Any, dict[str, np.ndarray]]:
    """A job with batch norm and dropout, its samples and weights."""
    job = kit.job(layers=LAYERS, execution=execution)
    x, y, weights = kit.problem(job)
    draw = np.random.default_rng(3)
    norm = {f"norm.{end}": draw.uniform(0.5, 1.5, 4) for end in NORM}
    hidden = {name: array for name, array in weights.items() if name.startswith("hidden")}
    head = {name: array for name, array in weights.items() if name.startswith("head")}
    return job, x, y, hidden | norm | head


NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def in_training(weights: dict[str, np.ndarray], x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    h = x @ weights["hidden.kernel"] + weights["hidden.bias"]
    h = (h - h.mean(axis=0)) / np.sqrt(h.var(axis=0) + 1e-3) * weights["norm.gamma"] + weights["norm.beta"]
    return h * mask @ weights["head.kernel"] + weights["head.bias"]


@pytest.mark.parametrize("execution", ["auto", "eager", "compiled"])
def test_outputs_in_training_mode_are_of_the_batch_and_move_nothing(kit: Any, execution: str) -> None:
    job, x, y, weights = normed(kit, execution)
    mask = np.random.default_rng(5).integers(0, 2, (12, 4)) * 2.0
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    before = trainer.outputs(x)
    np.testing.assert_allclose(trainer.outputs(x, {"drop": mask}), in_training(weights, x, mask), rtol=1e-11)
    np.testing.assert_array_equal(trainer.outputs(x), before)
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(array, weights[name])


def test_members_give_outputs_in_training_mode_as_alone(kit: Any) -> None:
    job, x, y, weights = normed(kit, "auto")
    masks = np.random.default_rng(5).integers(0, 2, (2, 12, 4)) * 2.0
    stacked = {name: np.stack([array, array * 1.5]) for name, array in weights.items()}
    ensemble = kit.ensemble(job, optimizers=[job.optimizer] * 2, weights=stacked, x=x, y=y)
    found = ensemble.outputs(x, {"drop": masks})
    for member in range(2):
        own = {name: array[member] for name, array in stacked.items()}
        np.testing.assert_allclose(found[member], in_training(own, x, masks[member]), rtol=1e-11)
    for name, array in ensemble.weights().items():
        np.testing.assert_array_equal(array, stacked[name])
