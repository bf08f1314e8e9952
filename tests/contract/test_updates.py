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
    [{}, {"clip_value": 0.3}, {"clip_norm": 0.4}, {"global_clip_norm": 0.5}, {"global_clip_norm": 1e6}]
)
decays = st.sampled_from([{}, {"weight_decay": 0.01}, {"weight_decay": 0.3}])
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
            own = {"type": "sgd", "momentum": draw(fractions)}
        case "nesterov":
            own = {"type": "sgd", "momentum": draw(fractions), "nesterov": True}
        case ("adam" | "adamw") as kind:
            own = {"type": kind, "beta_1": draw(fractions), "beta_2": draw(fractions)} | draw(epsilons)
            own["amsgrad"] = draw(st.booleans())
        case "adamax":
            own = {"type": "adamax", "beta_1": draw(fractions), "beta_2": draw(fractions)} | draw(epsilons)
        case "nadam":
            own = {"type": "nadam", "beta_1": draw(fractions), "beta_2": draw(fractions)} | draw(epsilons)
            own["momentum_decay"] = draw(st.sampled_from([0.0, 0.004, 1.0, 10.0]))
        case "adagrad":
            own = {"type": "adagrad"} | draw(epsilons)
            own["initial_accumulator_value"] = draw(st.sampled_from([0.0, 0.1, 2.0]))
        case "adadelta":
            own = {"type": "adadelta", "rho": draw(fractions)} | draw(epsilons)
        case _:
            own = {"type": "rmsprop", "rho": draw(fractions), "centered": draw(st.booleans())} | draw(
                epsilons
            )
            own["momentum"] = draw(st.just(0.0) | fractions)
    return common | own


@dataclasses.dataclass
class NumPyOptimizer:
    """The formulas of `shared.spec.optimizer`, written out again."""

    spec: Any
    state: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def clipped(self, gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        o = self.spec
        norms = {name: np.linalg.norm(g) for name, g in gradients.items()}
        whole = np.sqrt(sum(norm**2 for norm in norms.values()))
        if o.clip_value:
            return {name: np.clip(g, -o.clip_value, o.clip_value) for name, g in gradients.items()}
        if o.clip_norm:
            return {name: g * min(1, o.clip_norm / norms[name]) for name, g in gradients.items()}
        if o.global_clip_norm:
            return {name: g * min(1, o.global_clip_norm / whole) for name, g in gradients.items()}
        return gradients

    def update(
        self, weights: dict[str, np.ndarray], gradients: dict[str, np.ndarray], *, t: int, rate: float
    ) -> None:
        o = self.spec
        for name, clipped in self.clipped(gradients).items():
            w, g = weights[name], clipped
            if o.type == "adamw":
                w = w - rate * o.weight_decay * w
            else:
                g = g + o.weight_decay * w
            weights[name] = w - self.step(name, g, t=t, rate=rate)

    def step(self, name: str, g: np.ndarray, *, t: int, rate: float) -> np.ndarray:
        o = self.spec
        if o.type == "sgd":
            v = self.keep(f"v {name}", lambda v: o.momentum * v - rate * g, g)
            return rate * g - o.momentum * v if o.nesterov else -v
        if o.type == "rmsprop":
            wide = g.astype(np.longdouble)  # the difference below loses digits
            v = self.keep(f"v {name}", lambda v: v + (1 - o.rho) * (wide * wide - v), wide)
            if o.centered:
                v = v - self.keep(f"a {name}", lambda a: a + (1 - o.rho) * (wide - a), wide) ** 2
            v = v.astype(np.float64)
            u = g / (np.sqrt(np.maximum(v, 0)) + o.epsilon)
            return rate * self.keep(f"b {name}", lambda b: o.momentum * b + u, g)
        if o.type == "adagrad":
            v = self.keep(f"v {name}", lambda v: v + g * g, g, start=o.initial_accumulator_value)
            return rate * g / (np.sqrt(v) + o.epsilon)
        if o.type == "adadelta":
            v = self.keep(f"v {name}", lambda v: v + (1 - o.rho) * (g * g - v), g)
            d = self.state.get(f"d {name}", 0.0)
            u = np.sqrt((d + o.epsilon) / (v + o.epsilon)) * g
            self.keep(f"d {name}", lambda d: d + (1 - o.rho) * (u * u - d), g)
            return rate * u
        return self.adam_step(name, g, t=t, rate=rate)

    def adam_step(self, name: str, g: np.ndarray, *, t: int, rate: float) -> np.ndarray:
        o = self.spec
        m = self.keep(f"m {name}", lambda m: m + (1 - o.beta_1) * (g - m), g)
        if o.type == "adamax":
            u = self.keep(f"u {name}", lambda u: np.maximum(o.beta_2 * u, np.abs(g)), g)
            return rate / (1 - o.beta_1**t) * m / (u + o.epsilon)
        v = self.keep(f"v {name}", lambda v: v + (1 - o.beta_2) * (g * g - v), g)
        if o.type == "nadam":
            mu = o.beta_1 * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) * o.momentum_decay))
            step = mu[t] * m / (1 - mu.prod()) + (1 - mu[t - 1]) * g / (1 - mu[:t].prod())
            return rate * step / (np.sqrt(v / (1 - o.beta_2**t)) + o.epsilon)
        if o.amsgrad:
            v = self.keep(f"h {name}", lambda h: np.maximum(h, v), g)
        return rate / (1 - o.beta_1**t) * m / (np.sqrt(v) / np.sqrt(1 - o.beta_2**t) + o.epsilon)

    def keep(self, slot: str, change: Any, like: np.ndarray, *, start: float = 0.0) -> np.ndarray:
        self.state[slot] = change(self.state.get(slot, np.full_like(like, start)))
        return self.state[slot]


def mse_gradients(weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    error = 2 * (x @ weights["layers.0.kernel"] + weights["layers.0.bias"] - y) / y.size
    return {"layers.0.kernel": x.T @ error, "layers.0.bias": error.sum(axis=0)}


def check_updates(kit: Any, optimizer: dict[str, Any], *, falling: bool) -> None:
    job = kit.job(optimizer=optimizer)
    x, y, weights = kit.problem(job)
    block = kit.block(STEPS)
    learning_rates = np.full(STEPS, optimizer["learning_rate"]) * (0.8 ** np.arange(STEPS) if falling else 1)
    trainer = kit.adapter.build(job, input_shape=(3,), weights=weights, x=x, y=y)
    trainer.train(dataclasses.replace(block, learning_rates=learning_rates))

    formula = NumPyOptimizer(job.optimizer)
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
    def inside(self: NumPyOptimizer, name: str, g: np.ndarray, *, t: int, rate: float) -> np.ndarray:  # noqa: ARG001
        v = self.keep(name, lambda v: v + (1 - self.spec.rho) * (g * g - v), g)
        return rate * g / np.sqrt(v + self.spec.epsilon)

    monkeypatch.setattr(NumPyOptimizer, "step", inside)
    with pytest.raises(AssertionError, match="Not equal"):
        check_updates(kit, {"type": "rmsprop", "learning_rate": 0.01}, falling=False)


def test_clipping_leaves_a_gradient_of_zeros_at_zero(kit: Any) -> None:
    weights = {"layers.0.kernel": np.zeros((3, 2)), "layers.0.bias": np.zeros(2)}
    for clipping in ("clip_norm", "global_clip_norm", "clip_value"):
        job = kit.job(optimizer={"type": "sgd", "learning_rate": 0.1, clipping: 1.0})
        trainer = kit.adapter.build(
            job, input_shape=(3,), weights=weights, x=np.zeros((12, 3)), y=np.zeros((12, 2))
        )
        trainer.train(kit.block(3))
        assert all((array == 0).all() for array in trainer.weights().values())
