"""The tables of native defaults against the frameworks that are installed: every row has a check.

A row whose source is a signature, `package.name(argument=default)`, is compared with that signature. One
whose source can be evaluated, `package.Class(1, 1).attribute`, is compared with what that gives. What no
signature shows is looked at in the framework itself, by the functions of `native_checks/<framework>.py`
and by the drawing of weights below. A row that none of these reaches fails.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import re
import runpy
from collections.abc import Callable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.job.native import NativeDefault, native_table
from likewise.producer.job.resolve import resolve
from likewise.shared.draws import draw_weights
from likewise.shared.job import Experiment, Job
from likewise.shared.program import compile_job
from likewise.worker.adapters import adapter_names

HERE = Path(__file__).parent
SIGNATURE = re.compile(r"([\w.]+)\((\w+)=(.*)\)")
ATTRIBUTE = re.compile(r"[\w.]+\([\d, ]+\)\.\w+")
Check = Callable[[str, Any], None]


def rows(framework: str) -> dict[str, NativeDefault]:
    """Each row by `section.field`."""
    return {f"{s}.{f}": row for s, fields in native_table(framework).items() for f, row in fields.items()}


INSTALLED = [name for name in adapter_names() if importlib.util.find_spec(name) is not None]


@pytest.fixture(scope="session")
def framework(request: pytest.FixtureRequest) -> str:
    """In the place of the suite's own, which could not be crossed with rows."""
    name: str = request.param
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each row of each table; a framework that is not installed here is another run's."""
    if "place" in metafunc.fixturenames:
        places = [(name, place) for name in INSTALLED for place in rows(name)]
        metafunc.parametrize(("framework", "place"), places, indirect=["framework"], scope="session")
    else:
        metafunc.parametrize("framework", INSTALLED, indirect=True, scope="session")


@cache
def looked_at(framework: str) -> dict[str, Check]:
    """What is looked at in the framework itself, by a pattern of rows."""
    checks: dict[str, Check] = runpy.run_path(str(HERE / "native_checks" / f"{framework}.py"))["CHECKS"]
    return checks


def named(dotted: str) -> Any:
    """What a dotted name stands for, with its packages imported."""
    words = dotted.split(".")
    for length in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            found = getattr(found, word)
        return found
    raise ModuleNotFoundError(dotted)


def by_signature(row: NativeDefault) -> bool:
    """Compare a row with the signature that its source names; False where it names none."""
    match = SIGNATURE.fullmatch(row.source)
    if match is None:
        return False
    name, argument, text = match.groups()
    default = inspect.signature(named(name)).parameters[argument].default
    assert default == ast.literal_eval(text), f"{name} has {argument}={default!r}"
    compare(row, argument, default)
    return True


def by_evaluation(row: NativeDefault) -> bool:
    """Compare a row with what its source evaluates to; False where it is not of that kind."""
    if ATTRIBUTE.fullmatch(row.source) is None:
        return False
    package = row.source.partition(".")[0]
    found = eval(row.source, {package: named(package)})
    compare(row, "it", found)
    return True


def compare(row: NativeDefault, name: str, found: Any) -> None:
    """Whether the row's value is what was found, by the row's formula where it has one."""
    if row.formula is not None:
        found = eval(row.formula, {}, {name: found})
    word = isinstance(row.value, dict) and list(row.value) == ["type"]
    assert (row.value["type"] if word else row.value) == found  # type: ignore[call-overload,index]


def check(kit: Any, framework: str, place: str, row: NativeDefault) -> None:
    """Hold a row against the framework by everything that reaches it."""
    reached = by_signature(row) or by_evaluation(row)
    for pattern, look in looked_at(framework).items():
        if fnmatch(place, pattern):
            look(place, row.value)
            reached = True
    if place.startswith("optimizer.") and place.endswith(UPDATE_RULES):
        compare_updates(kit, framework, place, row)
        reached = True
    if place.startswith("layer.") and place.endswith("_initializer"):
        compare_draws(kit, framework, place, row)
        reached = True
    assert reached, f"nothing checks {place} of {framework}: {row.source}"


def test_a_row_is_what_the_installed_framework_does(kit: Any, framework: str, place: str) -> None:
    check(kit, framework, place, rows(framework)[place])


def test_every_look_belongs_to_a_row(framework: str) -> None:
    for pattern in looked_at(framework):
        assert any(fnmatch(place, pattern) for place in rows(framework)), pattern


OTHERS: dict[str, Any] = {
    "hat": "outside",
    "inside": "outside",
    "velocity": "buffer",
    "buffer": "velocity",
    "coupled": "decoupled",
    "decoupled": "coupled",
    "orthogonal": {"type": "orthogonal", "gain": 1.01},
    "zeros": {"type": "constant", "value": 1e-9},
    "ones": {"type": "constant", "value": 1.001},
    "linear": "relu",
    "mean": "sum",
    "valid": "same",
}
"""A wrong value for what has no numbers to spoil."""


def spoiled(place: str, value: Any) -> Any:  # noqa: PLR0911 -- one a kind of value
    """The value with something wrong about it."""
    if value == "outside":
        return "hat" if place.split(".")[1] in ("adam", "adamw", "nadam") else "inside"
    match value:
        case bool():
            return not value
        case int() | float():
            return value * 1000 if value else 1e-3
        case dict() if len(value) == 1:
            return OTHERS.get(value["type"], {"type": "variance_scaling", "scale": 1.2})
        case dict():
            numbers = {name: item for name, item in value.items() if isinstance(item, float) and item}
            return value | {name: item * 1.2 for name, item in numbers.items()}
        case None:
            return 3
        case _:
            return OTHERS.get(value, f"not {value}")


def test_a_wrong_value_in_a_row_is_found(kit: Any, framework: str, place: str) -> None:
    row = rows(framework)[place]
    wrong = row.model_copy(update={"value": spoiled(place, row.value)})
    with pytest.raises((AssertionError, KeyError)):
        check(kit, framework, place, wrong)


def test_a_row_without_a_check_is_found(kit: Any, framework: str) -> None:
    unchecked = NativeDefault(value=1, source="hearsay")
    with pytest.raises(AssertionError, match="nothing checks"):
        check(kit, framework, "optimizer.sgd.zeal", unchecked)


def native_job(framework: str, **parts: Any) -> Job:
    """A small job with these parts and the framework's own defaults."""
    document = {
        "data": {"type": "inline", "x": [0.0], "y": [0.0]},
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "loss": "mse",
        "optimizer": "sgd",
        "training": {"epochs": 1},
        "precision": "float64",
        "frameworks": [framework],
        "defaults": "native",
    }
    return resolve(Experiment.model_validate_json(json.dumps(document | parts)))[framework]


# Updates: the framework's own optimizer beside the formula with the row's value.

OWN = runpy.run_path(str(HERE / "test_own_optimizers.py"))
UPDATE_RULES = (
    "epsilon_placement", "momentum_convention", "weight_decay_kind", "clip_epsilon", "momentum_decay",
)  # fmt: skip
WRITTEN: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.5},
    **dict.fromkeys(("adam", "adamw", "adamax", "nadam"), OWN["MOMENTS"]),
    "rmsprop": OWN["ROOT"] | {"momentum": 0.5},
    "adagrad": OWN["ADAGRAD"],
    "adadelta": OWN["ROOT"],
}
"""What a job must write for the conventions to show; epsilons are large."""


def compare_updates(kit: Any, framework: str, place: str, row: NativeDefault) -> None:
    """Eight updates under a falling rate, with decay and, where it is asked about, clipping."""
    _, kind, field = place.split(".")
    clipping = {"global_clip_norm": 0.5} if field == "clip_epsilon" else {}
    optimizer = {"type": kind} | OWN["COMMON"] | WRITTEN[kind] | clipping | {field: row.value}
    resolved = native_job(framework, optimizer=optimizer).optimizer.model_dump(exclude_none=True)
    name = next(name for name, (ours, _) in OWN[STOCK[framework]].items() if ours == kind)
    train = OWN[f"train_{STOCK[framework].lower()}"]
    fields = {word: value for word, value in resolved.items() if word != "type"}
    # of Nadam's momentum both frameworks keep some number in float32
    bound = 1e-7 if kind == "nadam" else 1e-13
    assert OWN["difference"](kit, train, name, kind, fields) < bound


STOCK = {"tensorflow": "KERAS", "torch": "TORCH"}


# Drawn weights: many, from the framework's own layers and by the declared distribution.

SIZES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "dense": ((60,), {"units": 90}),
    "conv1d": ((9, 12), {"filters": 40, "kernel_size": 5}),
    "conv2d": ((5, 6, 12), {"filters": 30, "kernel_size": [2, 3]}),
    "conv3d": ((3, 2, 2, 6), {"filters": 20, "kernel_size": [3, 2, 1]}),
    "depthwise_conv1d": ((6, 40), {"kernel_size": 5, "depth_multiplier": 3}),
    "depthwise_conv2d": ((5, 6, 40), {"kernel_size": [2, 3], "depth_multiplier": 3}),
    "separable_conv1d": ((6, 30), {"filters": 30, "kernel_size": 5, "depth_multiplier": 2}),
    "separable_conv2d": ((5, 6, 30), {"filters": 30, "kernel_size": [2, 3], "depth_multiplier": 2}),
    "conv1d_transpose": ((6, 12), {"filters": 30, "kernel_size": 5}),
    "conv2d_transpose": ((5, 6, 12), {"filters": 30, "kernel_size": [2, 3]}),
    "conv3d_transpose": ((3, 2, 2, 6), {"filters": 20, "kernel_size": [3, 2, 1]}),
    "layer_norm": ((7,), {}),
    "batch_norm": ((7,), {}),
    "rms_norm": ((7,), {}),
    "group_norm": ((5, 8), {"groups": 4}),
    "instance_norm": ((5, 8), {"affine": True}),
    "prelu": ((7,), {}),
    "embedding": ((3,), {"input_dim": 200, "output_dim": 30}),
    "multi_head_attention": ((4, 24), {"num_heads": 3, "key_dim": 8}),
    "simple_rnn": ((3, 30), {"units": 60}),
    "lstm": ((3, 20), {"units": 40}),
    "gru": ((3, 20), {"units": 40}),
}
"""A sample's shape and a layer's required settings."""

TENSORS = {
    "recurrent_initializer": "recurrent_kernel",
    "output_initializer": "attention_output.kernel",
    "depthwise_initializer": "depthwise_kernel",
    "pointwise_initializer": "pointwise_kernel",
    "multi_head_attention.kernel_initializer": "query.kernel",
    "multi_head_attention.bias_initializer": "query.bias",
}
"""The tensor that an initializer draws, where it has another name."""


def compare_draws(kit: Any, framework: str, place: str, row: NativeDefault) -> None:
    """The framework's own initial weights against those of the row, by their distributions."""
    _, kind, field = place.split(".")
    shape, settings = SIZES[kind]
    layer = {"type": kind, "name": "it", **settings, field: row.given(settings)}
    if kind == "lstm" and framework_of_forget_bias(framework):
        layer["unit_forget_bias"] = True
    job = native_job(framework, model={"layers": [layer]})
    own_name = TENSORS.get(field, field.removesuffix("_initializer"))
    name = f"it.{TENSORS.get(f'{kind}.{field}', own_name)}"
    own, ours = [], []
    for seed in range(20):
        own.append(kit.default_weights(job, input_shape=shape, seed=seed)[name])
        ours.append(draw_weights(compile_job(job, shape), seed=seed, precision="float64")[name])
    if isinstance(row.value, dict) and row.value["type"] == "orthogonal":
        gram = own[0] @ own[0].T
        assert np.allclose(gram, ours[0] @ ours[0].T, atol=1e-6), "one of them is not orthogonal"
    same_distribution(np.concatenate(own, axis=None), np.concatenate(ours, axis=None))


def framework_of_forget_bias(framework: str) -> bool:
    """Whether the framework starts the forget gate's bias at 1."""
    return rows(framework)["layer.lstm.unit_forget_bias"].value is True


def same_distribution(one: np.ndarray, other: np.ndarray) -> None:
    """Kolmogorov and Smirnov's largest distance, which chance exceeds once in 10 000; and the ends."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        np.testing.assert_array_equal(one, other)
        return
    every = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(sample), every, side="right") / sample.size for sample in (one, other)]
    bound = np.sqrt(-0.5 * np.log(0.5e-4) * (one.size + other.size) / (one.size * other.size))
    assert abs(shares[0] - shares[1]).max() < bound
    assert one.std() == pytest.approx(other.std(), rel=0.04)
