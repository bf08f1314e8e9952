"""The optimizers follow their published formulas, whatever the hyperparameters, by a training in NumPy."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

STEPS = 12
"""Enough for each bias correction to move and each buffer to fill."""

fractions = st.floats(0.05, 0.95)
rates = st.floats(1e-4, 0.1)
clippings = st.sampled_from(
    [
        {}, {"clip_value": 0.3}, {"clip_norm": 0.4}, {"global_clip_norm": 0.5}, {"global_clip_norm": 1e6},
        {"clip_norm": 0.4, "clip_epsilon": 0.1}, {"global_clip_norm": 0.5, "clip_epsilon": 0.1},
    ]
)  # fmt: skip
decays = st.sampled_from(
    [{}, {"weight_decay": 0.01}]
    + [{"weight_decay": 0.3, "weight_decay_kind": kind} for kind in ("coupled", "decoupled")]
)
hats, insides = (
    st.sampled_from([{}, {"epsilon_placement": "outside"}, {"epsilon_placement": place}])
    for place in ("hat", "inside")
)
conventions = st.sampled_from([{}, *({"momentum_convention": word} for word in ("velocity", "buffer"))])
epsilons = st.sampled_from([{}, {"epsilon": 1e-3}, {"epsilon": 0.5}])


KINDS = (
    "sgd", "momentum", "nesterov", "adam", "adamw", "adamax", "nadam", "rmsprop", "adagrad", "adadelta",
)  # fmt: skip


@st.composite
def optimizers(draw: st.DrawFn) -> dict[str, Any]:
    common = {"learning_rate": draw(rates)} | draw(clippings) | draw(decays)
    match draw(st.sampled_from(KINDS)):
        case "sgd":
            own: dict[str, Any] = {"type": "sgd"}
        case "momentum":
            own = {"type": "sgd", "momentum": draw(fractions)} | draw(conventions)
        case "nesterov":
            own = {"type": "sgd", "momentum": draw(fractions), "nesterov": True} | draw(conventions)
        case ("adam" | "adamw") as kind:
            own = {"type": kind, "beta_1": draw(fractions), "beta_2": draw(fractions)} | draw(epsilons)
            own["amsgrad"] = draw(st.booleans())
            own |= draw(hats)
        case "adamax":
            # a maximum that is forgotten at once divides by gradients near 0, which have few good digits
            slow = st.floats(0.6, 0.95)
            own = {"type": "adamax", "beta_1": draw(fractions), "beta_2": draw(slow)} | draw(epsilons)
            own |= draw(insides)
        case "nadam":
            own = {"type": "nadam", "beta_1": draw(fractions), "beta_2": draw(fractions)} | draw(epsilons)
            own["momentum_decay"] = draw(st.sampled_from([0.0, 0.004, 1.0, 10.0]))
            own |= draw(hats)
        case "adagrad":
            own = {"type": "adagrad"} | draw(epsilons) | draw(insides)
            own["initial_accumulator_value"] = draw(st.sampled_from([0.0, 0.1, 2.0]))
        case "adadelta":
            own = {"type": "adadelta", "rho": draw(fractions)} | draw(epsilons)
        case _:
            own = {"type": "rmsprop", "rho": draw(fractions), "centered": draw(st.booleans())} | draw(
                epsilons
            )
            own["momentum"] = draw(st.just(0.0) | fractions)
            own |= draw(insides) | draw(conventions)
    return common | own


def mse_gradients(weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    error = 2 * (x @ weights["layers.0.kernel"] + weights["layers.0.bias"] - y) / y.size
    return {"layers.0.kernel": x.T @ error, "layers.0.bias": error.sum(axis=0)}


def check_updates(kit: Any, optimizer: dict[str, Any], *, falling: bool) -> None:
    job = kit.job(optimizer=optimizer)
    x, y, weights = kit.problem(job)
    block = kit.block(STEPS)
    learning_rates = np.full(STEPS, optimizer["learning_rate"]) * (0.8 ** np.arange(STEPS) if falling else 1)
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    trainer.train(dataclasses.replace(block, learning_rates=learning_rates))

    formula = kit.formula(job.optimizer)
    for t, (rows, rate) in enumerate(zip(block.indices, learning_rates, strict=True), start=1):
        formula.update(weights, mse_gradients(weights, x[rows], y[rows]), t=t, rate=rate)
    for name, trained in trainer.weights().items():
        np.testing.assert_allclose(trained, weights[name], rtol=0, atol=1e-12 * np.abs(weights[name]).max())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    optimizer={
        "type": "rmsprop", "learning_rate": 0.00390625, "weight_decay": 0.3, "rho": 0.0546875,
        "centered": True, "momentum": 0.875,
    },
    falling=False,
)  # fmt: skip
@given(optimizer=optimizers(), falling=st.booleans())
def test_any_optimizer_follows_its_formula_step_by_step(optimizer: Any, falling: bool, kit: Any) -> None:
    check_updates(kit, optimizer, falling=falling)


def test_the_check_sees_an_epsilon_inside_the_root(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    def inside(self: Any, name: str, g: np.ndarray, *, t: int, rate: float) -> np.ndarray:  # noqa: ARG001
        v = self.keep(name, lambda v: v + (1 - self.spec.rho) * (g * g - v), g)
        return rate * g / np.sqrt(v + self.spec.epsilon)

    monkeypatch.setattr(type(kit.formula(kit.job().optimizer)), "step", inside)
    with pytest.raises(AssertionError, match="Not equal"):
        check_updates(kit, {"type": "rmsprop", "learning_rate": 0.01}, falling=False)


def test_clipping_leaves_a_gradient_of_zeros_at_zero(kit: Any) -> None:
    weights = {"layers.0.kernel": np.zeros((3, 2)), "layers.0.bias": np.zeros(2)}
    for clipping in ("clip_norm", "global_clip_norm", "clip_value"):
        job = kit.job(optimizer={"type": "sgd", "learning_rate": 0.1, clipping: 1.0})
        trainer = kit.trainer(job, weights=weights, x=np.zeros((12, 3)), y=np.zeros((12, 2)))
        trainer.train(kit.block(3))
        assert all((array == 0).all() for array in trainer.weights().values())
