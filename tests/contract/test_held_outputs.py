"""Penalties of layers' outputs, by the formulas of `shared.job.regularizers`, in every way to execute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.worker.adapters.trainer import Batch, Block, EnsembleBlock

STEPS = 40
"""Enough for an update to be recorded and replayed."""


def layers(reduction: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "dense", "units": 4, "name": "hidden", "activation": "relu",
            "activity_regularizer": {"type": "l1", "l1": 0.02, "reduction": reduction},
        },
        {
            "type": "dense", "units": 2, "name": "head",
            "activity_regularizer": {"type": "l1_l2", "l1": 0.01, "l2": 0.03},
        },
    ]  # fmt: skip


def computed(x: np.ndarray, w: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    hidden = np.maximum(x @ w["hidden.kernel"] + w["hidden.bias"], 0)
    return hidden, hidden @ w["head.kernel"] + w["head.bias"]


def penalty(x: np.ndarray, w: dict[str, np.ndarray], reduction: str) -> float:
    hidden, outputs = computed(x, w)
    every = 0.02 * hidden.sum() / (len(x) if reduction == "mean" else 1)
    return float(every + (0.01 * np.abs(outputs).sum() + 0.03 * (outputs**2).sum()) / len(x))


def by_formula(
    x: np.ndarray, y: np.ndarray, w: dict[str, np.ndarray], reduction: str, steps: int = STEPS
) -> list[float]:
    """Train in NumPy with plain gradient descent; the weights change in place. The losses."""
    losses = []
    for _ in range(steps):
        hidden, outputs = computed(x, w)
        losses.append(float(((outputs - y) ** 2).mean()) + penalty(x, w, reduction))
        back = 2 * (outputs - y) / y.size + (0.01 * np.sign(outputs) + 0.06 * outputs) / len(x)
        middle = back @ w["head.kernel"].T + 0.02 / (len(x) if reduction == "mean" else 1)
        middle = middle * (hidden > 0)
        w["head.kernel"] = w["head.kernel"] - 0.1 * (hidden.T @ back)
        w["head.bias"] = w["head.bias"] - 0.1 * back.sum(axis=0)
        w["hidden.kernel"] = w["hidden.kernel"] - 0.1 * (x.T @ middle)
        w["hidden.bias"] = w["hidden.bias"] - 0.1 * middle.sum(axis=0)
    return losses


def job_of(kit: Any, reduction: str = "mean", **changes: Any) -> Any:
    training = {"epochs": STEPS} | changes.pop("training", {})
    return kit.job(
        layers=layers(reduction),
        optimizer={"type": "sgd", "learning_rate": 0.1},
        training=training,
        **changes,
    )


@pytest.mark.parametrize(
    ("execution", "reduction"), [("auto", "mean"), ("eager", "sum"), ("compiled", "mean")]
)
def test_outputs_are_kept_small_by_the_formula(kit: Any, execution: str, reduction: str) -> None:
    kit.needs("activity_regularizer")
    job = job_of(kit, reduction, execution=execution)
    x, y, weights = kit.problem(job)
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    every = np.tile(np.arange(len(x)), (STEPS, 1))
    losses = trainer.train(Block(indices=every, learning_rates=np.full(STEPS, 0.1), first_step=0))
    wanted = dict(weights)

    np.testing.assert_allclose(losses, by_formula(x, y, wanted, reduction), rtol=1e-12)
    for name, array in trainer.weights().items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-11, atol=1e-14)
    rest = penalty(x, wanted, reduction)
    assert trainer.penalty(x).sum() == pytest.approx(rest, rel=1e-11)


def test_the_penalty_of_outputs_is_told_or_not_as_asked(kit: Any) -> None:
    kit.needs("activity_regularizer")
    told = {}
    for reports in (True, False):
        job = job_of(kit, training={"report_penalty": reports})
        x, y, weights = kit.problem(job)
        trainer = kit.trainer(job, weights=dict(weights), x=x, y=y)
        block = Block(indices=np.arange(len(x))[None], learning_rates=np.full(1, 0.1), first_step=0)
        told[reports] = trainer.train(block)[0], trainer.weights()

    assert told[True][0] - told[False][0] == pytest.approx(penalty(x, weights, "mean"), rel=1e-11)
    for name, array in told[True][1].items():
        np.testing.assert_array_equal(array, told[False][1][name])


def test_a_look_inside_has_the_penalty_of_outputs_in_loss_and_gradients(kit: Any) -> None:
    kit.needs("activity_regularizer")
    job = job_of(kit, "sum")
    x, y, weights = kit.problem(job)
    observer = kit.observer(job, input_shape=x.shape[1:])
    seen = observer.observe(weights, Batch(x, y), masks={})
    after = dict(weights)
    (loss,) = by_formula(x, y, after, "sum", steps=1)

    assert seen.loss == pytest.approx(loss, rel=1e-12)
    for name, gradient in seen.gradients.items():
        np.testing.assert_allclose(gradient, (weights[name] - after[name]) / 0.1, rtol=1e-9, atol=1e-12)


def test_many_members_have_penalties_of_their_own(kit: Any) -> None:
    kit.needs("activity_regularizer")
    job = job_of(kit)
    x, y, weights = kit.problem(job)
    starts = [weights, {name: array * 0.5 for name, array in weights.items()}]
    stacked = {name: np.stack([start[name] for start in starts]) for name in weights}
    ensemble = kit.ensemble(job, optimizers=[job.optimizer] * 2, weights=stacked, x=x, y=y)
    block = EnsembleBlock(
        indices=np.tile(np.arange(len(x)), (STEPS, 1)), learning_rates=np.full((2, STEPS), 0.1), first_step=0
    )
    losses = ensemble.train(block)

    for member, start in enumerate(starts):
        own = dict(start)
        np.testing.assert_allclose(losses[member], by_formula(x, y, own, "mean"), rtol=1e-11)
        assert ensemble.penalty(x)[member].sum() == pytest.approx(penalty(x, own, "mean"), rel=1e-11)
