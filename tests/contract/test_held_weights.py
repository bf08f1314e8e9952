"""Penalties in the loss and constraints after each update, by Keras's formulas, in every way to execute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.worker.adapters.trainer import Batch, Block

RULES: dict[str, Any] = {
    "kernel_regularizer": {"type": "l1_l2", "l1": 0.02, "l2": 0.03},
    "bias_regularizer": "l1",
    "kernel_constraint": {
        "type": "min_max_norm",
        "min_value": 0.3,
        "max_value": 0.6,
        "rate": 0.75,
        "axis": 1,
    },
    "bias_constraint": "non_neg",
}
LAYERS: list[dict[str, Any]] = [
    {"type": "dense", "units": 4, "name": "held", **RULES},
    {"type": "dense", "units": 2, "name": "head", "kernel_constraint": {"type": "unit_norm", "axis": [0, 1]}},
    {
        "type": "dense",
        "units": 2,
        "name": "last",
        "kernel_constraint": {"type": "max_norm", "max_value": 0.5},
    },
]
STEPS = 40
"""Enough for an update to be recorded and replayed."""


def norms(w: np.ndarray, *axis: int) -> np.ndarray:
    return np.sqrt((w * w).sum(axis=axis, keepdims=True))


def by_formula(x: np.ndarray, y: np.ndarray, w: dict[str, np.ndarray], rate: float) -> list[float]:
    """Train in NumPy with plain gradient descent; the weights change in place. The losses."""
    losses = []
    for _ in range(STEPS):
        h = x @ w["held.kernel"] + w["held.bias"]
        g = h @ w["head.kernel"] + w["head.bias"]
        d = g @ w["last.kernel"] + w["last.bias"] - y
        kernel, bias = w["held.kernel"], w["held.bias"]
        penalty = 0.02 * np.abs(kernel).sum() + 0.03 * (kernel**2).sum() + 0.01 * np.abs(bias).sum()
        losses.append(float((d**2).mean() + penalty))
        back = 2 * d / d.size
        middle = back @ w["last.kernel"].T
        first = middle @ w["head.kernel"].T
        w["last.kernel"] = w["last.kernel"] - rate * (g.T @ back)
        w["last.bias"] = w["last.bias"] - rate * back.sum(axis=0)
        w["head.kernel"] = w["head.kernel"] - rate * (h.T @ middle)
        w["head.bias"] = w["head.bias"] - rate * middle.sum(axis=0)
        w["held.kernel"] = kernel - rate * (x.T @ first + 0.02 * np.sign(kernel) + 0.06 * kernel)
        w["held.bias"] = np.maximum(bias - rate * (first.sum(axis=0) + 0.01 * np.sign(bias)), 0)
        n = norms(w["held.kernel"], 1)
        w["held.kernel"] = w["held.kernel"] * ((0.75 * n.clip(0.3, 0.6) + 0.25 * n) / (1e-7 + n))
        w["head.kernel"] = w["head.kernel"] / (1e-7 + norms(w["head.kernel"], 0, 1))
        n = norms(w["last.kernel"], 0)
        w["last.kernel"] = w["last.kernel"] * (n.clip(0, 0.5) / (1e-7 + n))
    return losses


@pytest.mark.parametrize("execution", ["auto", "eager", "compiled"])
def test_weights_are_kept_small_by_kerass_formulas(kit: Any, execution: str) -> None:
    job = kit.job(
        layers=LAYERS,
        optimizer={"type": "sgd", "learning_rate": 0.1},
        execution=execution,
        training={"epochs": STEPS},
    )
    x, y, weights = kit.problem(job)
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    every = np.tile(np.arange(len(x)), (STEPS, 1))
    losses = trainer.train(Block(indices=every, learning_rates=np.full(STEPS, 0.1), first_step=0))
    wanted = dict(weights)

    np.testing.assert_allclose(losses, by_formula(x, y, wanted, 0.1), rtol=1e-12)
    for name, array in trainer.weights().items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-11, atol=1e-14)


def test_the_loss_is_told_without_the_penalty_where_that_is_asked(kit: Any) -> None:
    told = {}
    for reports in (True, False):
        job = kit.job(layers=LAYERS[:1], training={"epochs": 3, "report_penalty": reports})
        x, y, weights = kit.problem(job)
        y = np.tile(y[:, :1], 4)
        trainer = kit.trainer(job, weights=weights, x=x, y=y)
        told[reports] = trainer.train(kit.block(3)), trainer.weights()
    kernel, bias = weights["held.kernel"], weights["held.bias"]
    penalty = 0.02 * np.abs(kernel).sum() + 0.03 * (kernel**2).sum() + 0.01 * np.abs(bias).sum()

    assert told[True][0][0] - told[False][0][0] == pytest.approx(penalty, rel=1e-12)
    for name, array in told[True][1].items():
        np.testing.assert_array_equal(array, told[False][1][name])


def test_a_frozen_layer_has_no_penalty_and_no_bounds(kit: Any) -> None:
    layers = [LAYERS[0] | {"trainable": False}, {"type": "dense", "units": 2, "name": "head"}]
    job = kit.job(layers=layers, training={"epochs": 3})
    plain = kit.job(
        layers=[{"type": "dense", "units": 4, "name": "held", "trainable": False}, layers[1]],
        training={"epochs": 3},
    )
    x, y, weights = kit.problem(job)
    found = [kit.trainer(one, weights=dict(weights), x=x, y=y).train(kit.block(3)) for one in (job, plain)]

    np.testing.assert_array_equal(*found)


def test_a_look_inside_shows_the_penalty_in_the_loss_and_in_the_gradients(kit: Any) -> None:
    job = kit.job(layers=LAYERS[:1])
    x, y, weights = kit.problem(job)
    y = np.tile(y[:, :1], 4)
    block = kit.block(1)
    seen = kit.observer(job, input_shape=x.shape[1:]).observe(
        weights, Batch(x, y).at(block.indices[0]), masks={}
    )
    trainer = kit.trainer(job, weights=dict(weights), x=x, y=y)

    assert seen.loss == pytest.approx(trainer.train(block)[0], rel=1e-12)
    d = x[block.indices[0]] @ weights["held.kernel"] + weights["held.bias"] - y[block.indices[0]]
    plain = x[block.indices[0]].T @ (2 * d / d.size)
    kernel = weights["held.kernel"]
    np.testing.assert_allclose(
        seen.gradients["held.kernel"], plain + 0.02 * np.sign(kernel) + 0.06 * kernel, rtol=1e-11
    )


@pytest.mark.parametrize("execution", ["auto", "eager"])
def test_a_weight_whose_gradient_is_taken_for_zero_is_moved_by_decay_alone(kit: Any, execution: str) -> None:
    job = kit.job(
        optimizer={"type": "adamw", "learning_rate": 0.1, "weight_decay": 0.5},
        execution=execution,
        training={"epochs": STEPS},
    )
    x, y, weights = kit.problem(job)
    every = np.tile(np.arange(len(x)), (STEPS, 1))
    block = Block(indices=every, learning_rates=np.full(STEPS, 0.1), first_step=0)
    after = {}
    for at_rest in ((), ("layers.0.bias",)):
        trainer = kit.trainer(job, weights=weights, x=x, y=y, zero_gradients=at_rest)
        trainer.train(block)
        after[at_rest] = trainer.weights()

    moved, rested = after.values()
    decayed = weights["layers.0.bias"] * 0.95**STEPS
    np.testing.assert_allclose(rested["layers.0.bias"], decayed, rtol=1e-12)
    assert not np.allclose(moved["layers.0.bias"], decayed, rtol=0.1)
    assert not np.allclose(rested["layers.0.kernel"], weights["layers.0.kernel"] * 0.95**STEPS, rtol=0.1)
