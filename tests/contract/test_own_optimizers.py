"""Each framework's own optimizers are the declared formulas, under the conventions that are said to be its.

This is what makes `hat`, `inside`, `buffer` and `decoupled` words for something: the stock optimizers run on
a sequence of gradients beside the formulas in NumPy. The numbers are powers of 2, since Keras takes its
constants through float32, and the epsilons are large, so that a wrong place shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter

from likewise.shared.job import Optimizer

OPTIMIZER: TypeAdapter[Optimizer] = TypeAdapter(Optimizer)
CONVENTIONS = ("epsilon_placement", "momentum_convention", "weight_decay_kind")
STEPS = 8
RATES = [2.0**-5] * 4 + [2.0**-7] * 4
"""The rate falls, so that a velocity and a buffer part."""
COMMON = {"learning_rate": RATES[0], "weight_decay": 2.0**-3}
MOMENTS = {"beta_1": 0.75, "beta_2": 0.875, "epsilon": 2.0**-4}
ROOT = {"rho": 0.875, "epsilon": 2.0**-4}
ADAGRAD = {"initial_accumulator_value": 0.125, "epsilon": 2.0**-4}

KERAS_ADAM = MOMENTS | {"epsilon_placement": "hat", "weight_decay_kind": "decoupled"}
KERAS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("sgd", {"momentum": 0.5}),
    "SGD nesterov": ("sgd", {"momentum": 0.5, "nesterov": True}),
    "Adam": ("adam", KERAS_ADAM),
    "Adam amsgrad": ("adam", KERAS_ADAM | {"amsgrad": True}),
    "AdamW": ("adamw", KERAS_ADAM),
    "Adamax": ("adamax", MOMENTS | {"epsilon_placement": "outside"}),
    "Nadam": ("nadam", MOMENTS | {"epsilon_placement": "outside", "momentum_decay": 1.0}),
    "RMSprop": ("rmsprop", ROOT | {"epsilon_placement": "inside"}),
    "RMSprop centered momentum": (
        "rmsprop",
        ROOT
        | {"epsilon_placement": "inside", "momentum": 0.5, "momentum_convention": "velocity"}
        | {"centered": True},
    ),
    "Adagrad": ("adagrad", ADAGRAD | {"epsilon_placement": "inside"}),
    "Adadelta": ("adadelta", ROOT),
}
TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("sgd", {"momentum": 0.5, "momentum_convention": "buffer"}),
    "SGD nesterov": ("sgd", {"momentum": 0.5, "nesterov": True, "momentum_convention": "buffer"}),
    "Adam": ("adam", MOMENTS),
    "Adam amsgrad": ("adam", MOMENTS | {"amsgrad": True}),
    "AdamW": ("adamw", MOMENTS),
    "Adamax": ("adamax", MOMENTS | {"epsilon_placement": "inside"}),
    "NAdam": ("nadam", MOMENTS | {"momentum_decay": 2.0**-8}),
    "RMSprop": ("rmsprop", ROOT),
    "RMSprop centered momentum": ("rmsprop", ROOT | {"momentum": 0.5, "centered": True}),
    "Adagrad": ("adagrad", ADAGRAD),
    "Adadelta": ("adadelta", ROOT),
}
CLIPPINGS: list[dict[str, Any]] = [{"clip_norm": 0.5}, {"global_clip_norm": 0.5}, {"clip_value": 0.25}]


def fixed(name: str) -> set[str]:
    """What neither framework leaves to choose in its own optimizer, or what stands around its update."""
    around = {"exclude_from_weight_decay", "include_in_weight_decay"}
    around |= {"use_ema", "ema_momentum", "ema_start", "ema_use", "ema_buffers"}
    return {"bias_correction"} | around | (set() if name == "Adagrad" else {"initial_accumulator_value"})


def train_keras(name: str, fields: dict[str, Any], gradients: list[Any], start: list[Any]) -> list[Any]:
    """The weights after Keras's own optimizer."""
    import keras
    import tensorflow as tf

    names = {"clip_norm": "clipnorm", "global_clip_norm": "global_clipnorm", "clip_value": "clipvalue"}
    left_out = {*CONVENTIONS, "clip_epsilon", "momentum_decay"} | fixed(name)
    options = {names.get(field, field): value for field, value in fields.items() if field not in left_out}
    optimizer = getattr(keras.optimizers, name)(**options)
    weights = [keras.Variable(array, dtype="float64") for array in start]
    optimizer.build(weights)
    for rate, step in zip(RATES, gradients, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(g) for g in step])
    return [weight.numpy() for weight in weights]


def train_torch(name: str, fields: dict[str, Any], gradients: list[Any], start: list[Any]) -> list[Any]:
    """The weights after PyTorch's own optimizer, behind PyTorch's own clipping."""
    import torch

    names = {"learning_rate": "lr", "epsilon": "eps"} | ({"rho": "alpha"} if name == "RMSprop" else {})
    left_out = {*CONVENTIONS, "clip_epsilon", "global_clip_norm", "clip_value"} | fixed(name)
    options = {names.get(field, field): value for field, value in fields.items() if field not in left_out}
    if "beta_1" in options:
        options["betas"] = (options.pop("beta_1"), options.pop("beta_2"))
    weights = [torch.tensor(array, requires_grad=True) for array in start]
    optimizer = getattr(torch.optim, name)(weights, **options)
    for rate, step in zip(RATES, gradients, strict=True):
        for weight, g in zip(weights, step, strict=True):
            weight.grad = torch.tensor(g)
        if "global_clip_norm" in fields:
            torch.nn.utils.clip_grad_norm_(weights, fields["global_clip_norm"])
        if "clip_value" in fields:
            torch.nn.utils.clip_grad_value_(weights, fields["clip_value"])
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return [weight.detach().numpy() for weight in weights]


def difference(
    kit: Any,
    train: Callable[..., list[Any]],
    name: str,
    kind: str,
    fields: dict[str, Any],
    *,
    fault: dict[str, str] | None = None,
) -> float:
    """How far a stock optimizer ends from the formula, relative to the largest weight.

    `fault` is planted in the formula alone.
    """
    draw = np.random.default_rng(4)
    start = [draw.standard_normal((3, 2)), draw.standard_normal(2)]
    gradients = [[draw.standard_normal(w.shape) * 10.0 ** draw.integers(-2, 1) for w in start]] * 2
    gradients += [[draw.standard_normal(w.shape) for w in start] for _ in range(STEPS - 2)]
    found = train(name.split(maxsplit=1)[0], fields, gradients, start)
    formula = kit.formula(OPTIMIZER.validate_python({"type": kind} | fields | (fault or {})))
    weights = {str(place): array.copy() for place, array in enumerate(start)}
    for t, (rate, step) in enumerate(zip(RATES, gradients, strict=True), start=1):
        formula.update(weights, {str(place): g for place, g in enumerate(step)}, t=t, rate=rate)
    gap = max(float(np.abs(a - b).max()) for a, b in zip(found, weights.values(), strict=True))
    return gap / max(float(np.abs(array).max()) for array in start)


@pytest.fixture
def train(framework: str) -> Callable[..., list[Any]]:
    """The stock training of the framework under test."""
    return {"tensorflow": train_keras, "torch": train_torch}[framework]


def stock(framework: str, name: str) -> tuple[str, dict[str, Any]]:
    """The declared optimizer that is said to be a framework's own; skips what the framework has not."""
    table = {"tensorflow": KERAS, "torch": TORCH}[framework]
    if name not in table:
        pytest.skip(f"{framework} has no {name}")
    kind, fields = table[name]
    decoupled = framework == "tensorflow" or kind == "adamw"
    return kind, COMMON | fields | ({"weight_decay_kind": "decoupled"} if decoupled else {})


NAMES = sorted({*KERAS, *TORCH})


@pytest.mark.parametrize("name", NAMES)
def test_a_stock_optimizer_is_the_formula_of_its_conventions(
    name: str, framework: str, train: Any, kit: Any
) -> None:
    kind, fields = stock(framework, name)
    # of Nadam's momentum both frameworks keep some number in float32
    assert difference(kit, train, name, kind, fields) <= (1e-7 if kind == "nadam" else 1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_and_of_no_other_conventions(name: str, framework: str, train: Any, kit: Any) -> None:
    kind, fields = stock(framework, name)
    declared = OPTIMIZER.validate_python({"type": kind} | fields)
    for field in CONVENTIONS:
        if field == "momentum_convention" and not getattr(declared, "momentum", 0.0):
            continue
        words = get_args(type(declared).model_fields[field].annotation) if hasattr(declared, field) else ()
        for word in words:
            if word != getattr(declared, field):
                assert difference(kit, train, name, kind, fields, fault={field: word}) > 1e-5, word


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=lambda clipping: next(iter(clipping)))
def test_stock_clipping_is_the_declared_one(
    clipping: dict[str, Any], framework: str, train: Any, kit: Any
) -> None:
    if framework == "torch" and "clip_norm" in clipping:
        pytest.skip("PyTorch clips by the norm of all gradients alone")
    fields = {"learning_rate": RATES[0]} | clipping
    own = {"clip_epsilon": 1e-6 if framework == "torch" else 0.0}
    assert difference(kit, train, "SGD", "sgd", fields | own) <= 1e-13
    if "global_clip_norm" in clipping:
        other = {"clip_epsilon": 1e-6 - own["clip_epsilon"]}
        assert difference(kit, train, "SGD", "sgd", fields | other) > 1e-9
