"""Frozen layers stay as they are, in every way to execute, and batch norm does what its frozen_mode says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

LAYERS: list[dict[str, Any]] = [
    {"type": "dense", "units": 4, "trainable": False, "name": "frozen"},
    {"type": "batch_norm", "trainable": False, "momentum": 0.5, "name": "norm"},
    {"type": "dense", "units": 2, "name": "head"},
]
OPTIMIZER = {"type": "adam", "learning_rate": 0.1, "weight_decay": 0.1, "clip_norm": 0.5}
STEPS = 40
"""Enough for an update to be recorded and replayed."""


def trained(
    kit: Any, *, frozen_mode: str = "inference", execution: str = "auto"
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """The weights before and after, and the losses."""
    layers = [layer | ({"frozen_mode": frozen_mode} if layer["name"] == "norm" else {}) for layer in LAYERS]
    job = kit.job(
        layers=layers, optimizer=OPTIMIZER, execution=execution, training={"epochs": STEPS, "batch_size": 5}
    )
    x, y, weights = kit.problem(job)
    draw = np.random.default_rng(3)
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        weights[f"norm.{name}"] = np.abs(draw.standard_normal(4)) + 0.5
    ordered = {f"{at}": weights[at] for at in sorted(weights, key=list(ORDER).index)}
    trainer = kit.trainer(job, weights=ordered, x=x, y=y)
    losses = trainer.train(kit.block(STEPS))
    return ordered, trainer.weights(), losses


ORDER = dict.fromkeys(
    ("frozen.kernel", "frozen.bias", "norm.gamma", "norm.beta", "norm.moving_mean", "norm.moving_variance",
     "head.kernel", "head.bias")
)  # fmt: skip


@pytest.mark.parametrize("execution", ["auto", "eager", "compiled"])
@pytest.mark.parametrize("frozen_mode", ["inference", "training"])
def test_frozen_weights_stay_and_the_others_train(kit: Any, execution: str, frozen_mode: str) -> None:
    before, after, _ = trained(kit, frozen_mode=frozen_mode, execution=execution)
    for name in ("frozen.kernel", "frozen.bias", "norm.gamma", "norm.beta"):
        np.testing.assert_array_equal(after[name], before[name])
    for name in ("head.kernel", "head.bias"):
        assert np.abs(after[name] - before[name]).max() > 0.1
    for name in ("norm.moving_mean", "norm.moving_variance"):
        moved = not np.array_equal(after[name], before[name])
        assert moved == (frozen_mode == "training")


@pytest.mark.parametrize("frozen_mode", ["inference", "training"])
def test_a_frozen_batch_norm_normalizes_by_what_its_mode_says(kit: Any, frozen_mode: str) -> None:
    before, _, losses = trained(kit, frozen_mode=frozen_mode)
    x, y, _ = kit.problem(kit.job(layers=LAYERS))
    rows = kit.block(1).indices[0]
    h = x[rows] @ before["frozen.kernel"] + before["frozen.bias"]
    batch = h.mean(axis=0), h.var(axis=0)
    moving = before["norm.moving_mean"], before["norm.moving_variance"]
    mean, variance = moving if frozen_mode == "inference" else batch
    h = (h - mean) / np.sqrt(variance + 1e-3) * before["norm.gamma"] + before["norm.beta"]
    outputs = h @ before["head.kernel"] + before["head.bias"]
    assert losses[0] == pytest.approx(((outputs - y[rows]) ** 2).mean(), rel=1e-12)
