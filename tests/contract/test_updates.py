"""The optimizers follow their published formulas, whatever the hyperparameters, by a training in NumPy."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
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
    + [
        {"weight_decay": 0.3, "weight_decay_kind": kind} | group
        for kind in ("coupled", "decoupled")
        for group in ({"exclude_from_weight_decay": ["bias"]}, {"include_in_weight_decay": ["bias"]})
    ]
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
            own["bias_correction"] = draw(st.booleans())
            own |= draw(hats)
        case "adamax":
            # a maximum that is forgotten at once divides by gradients near 0, which have few good digits
            slow = st.floats(0.6, 0.95)
            own = {"type": "adamax", "beta_1": draw(fractions), "beta_2": draw(slow)} | draw(epsilons)
            own |= draw(insides)
            own["bias_correction"] = draw(st.booleans())
        case "nadam":
            own = {"type": "nadam", "beta_1": draw(fractions), "beta_2": draw(fractions)} | draw(epsilons)
            own["momentum_decay"] = draw(st.sampled_from([0.0, 0.004, 1.0, 10.0]))
            own["bias_correction"] = draw(st.booleans())
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
            own["initial_accumulator_value"] = draw(st.sampled_from([0.0, 0.1, 1.0]))
            own |= draw(insides) | draw(conventions)
    return common | own


def mse_gradients(weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    error = 2 * (x @ weights["layers.0.kernel"] + weights["layers.0.bias"] - y) / y.size
    return {"layers.0.kernel": x.T @ error, "layers.0.bias": error.sum(axis=0)}


def check_updates(kit: Any, optimizer: dict[str, Any], *, falling: bool) -> None:
    job = kit.job(optimizer=optimizer)
    x, y, weights = kit.problem(job)
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    trainer.train(dataclasses.replace(kit.block(STEPS), learning_rates=learning_rates(optimizer, falling)))
    expected = followed(kit, optimizer, falling=falling)
    for name, trained in trainer.weights().items():
        np.testing.assert_allclose(trained, expected[name], rtol=0, atol=tolerance(expected[name]))


def learning_rates(optimizer: dict[str, Any], falling: bool) -> np.ndarray:
    return np.full(STEPS, optimizer["learning_rate"]) * (0.8 ** np.arange(STEPS) if falling else 1)


def tolerance(weights: np.ndarray) -> float:
    return float(1e-12 * np.abs(weights).max())


def followed(
    kit: Any, optimizer: dict[str, Any], *, falling: bool, rounding: float = 0.0
) -> dict[str, np.ndarray]:
    """The weights by the formula; each gradient is off by up to `rounding` of itself."""
    job = kit.job(optimizer=optimizer)
    x, y, weights = kit.problem(job)
    formula = kit.formula(job.optimizer)
    draw = np.random.default_rng(0)
    rates = learning_rates(optimizer, falling)
    for t, (rows, rate) in enumerate(zip(kit.block(STEPS).indices, rates, strict=True), start=1):
        gradients = {
            name: g * (1 + rounding * draw.uniform(-1, 1, g.shape))
            for name, g in mse_gradients(weights, x[rows], y[rows]).items()
        }
        formula.update(weights, gradients, t=t, rate=rate)
    return weights


def is_steady(kit: Any, optimizer: dict[str, Any], *, falling: bool) -> bool:
    """Whether roundings of the gradients leave the formula's own weights within half the tolerance.

    A centred RMSProp with a tiny rho does not where gradients hardly change: it divides by their variance.
    """
    exact, rounded = (followed(kit, optimizer, falling=falling, rounding=r) for r in (0.0, 4e-16))
    return all(np.abs(exact[name] - rounded[name]).max() < tolerance(exact[name]) / 2 for name in exact)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    optimizer={
        "type": "rmsprop", "learning_rate": 0.00390625, "weight_decay": 0.3, "rho": 0.0546875,
        "centered": True, "momentum": 0.875,
    },
    falling=False,
)  # fmt: skip
@example(
    optimizer={"type": "rmsprop", "learning_rate": 1e-4, "rho": 0.125, "centered": True, "clip_value": 0.3},
    falling=False,
)
@given(optimizer=optimizers(), falling=st.booleans())
def test_any_optimizer_follows_its_formula_step_by_step(optimizer: Any, falling: bool, kit: Any) -> None:
    assume(is_steady(kit, optimizer, falling=falling))
    check_updates(kit, optimizer, falling=falling)


def test_nearly_all_optimizers_are_steady_enough_to_be_checked(kit: Any) -> None:
    seen = []

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(optimizer=optimizers(), falling=st.booleans())
    def look(optimizer: Any, falling: bool) -> None:
        seen.append(is_steady(kit, optimizer, falling=falling))

    look()
    assert np.mean(seen) > 0.9


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
