"""Every fast path is held to the bars of the plain one: compiled programs, and seeds trained together.

Each case is trained with `execution: auto`, compiled, and as one member of an ensemble.
What is fast must equal what is plain in its own framework, and what is fast in the other frameworks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

HEAD = {"type": "dense", "units": 3}
DROPPED = [
    {"type": "dense", "units": 8, "activation": "gelu"},
    {"type": "dropout", "rate": 0.5},
    HEAD,
]
CONVOLVED = [
    {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same"},
    {"type": "batch_norm", "momentum": 0.9},
    {"type": "activation", "activation": "relu"},
    {"type": "max_pooling2d", "pool_size": 2},
    {"type": "flatten"},
    HEAD,
]
LSTM = [{"type": "lstm", "units": 4}, HEAD]
MOMENTUM = {"type": "sgd", "learning_rate": 0.02, "momentum": 0.9}
SCHEDULE = {"schedule": {"type": "exponential", "decay_steps": 7, "decay_rate": 0.5, "warmup": 4}}
MODELS: dict[str, tuple[float, dict[str, Any]]] = {
    "adam": (5e-7, {"optimizer": {"type": "adam", "learning_rate": 0.002}}),
    "dropout, momentum, schedule": (5e-7, {"layers": DROPPED, "optimizer": MOMENTUM | SCHEDULE}),
    "convolution, batch norm": (
        1e-5,
        {"layers": CONVOLVED, "input_shape": [6, 6, 2], "optimizer": MOMENTUM},
    ),
    "lstm": (5e-7, {"layers": LSTM, "input_shape": [5, 3], "optimizer": MOMENTUM}),
}
"""Name, float32's bar, and the case."""
IN_FLOAT32 = ("adam", "convolution, batch norm")
"""Each program takes PyTorch seconds to compile."""
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "compiled": {"execution": "compiled"},
    "together": {"together": True, "training": {"epochs": 1_000, "shuffle": True}},
}
"""Shuffled, members have batches of their own; in many epochs all layers train together."""
FAST = [(name, way) for name in MODELS for way in tuple(WAYS)[1:]]
FAULTS: dict[str, dict[str, Any]] = {
    "the other member's learning rate": WAYS["together"] | {"member": 0},
    "other dropout masks": {"execution": "compiled", "mask_seed": 4},
}
"""What a fast path could get wrong in the case with dropout."""


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], make_case: Callable[..., Any]) -> Any:
    """By framework, then by `<precision> <model>, <way>/<array>`."""
    one_size = {"first_batch": 8}  # one program to compile, not two
    cases = []
    for name, (_, case) in MODELS.items():
        for precision, steps in {"float64": 50, "float32": 100}.items():
            if precision == "float32" and name not in IN_FLOAT32:
                continue
            shared = case | one_size | {"precision": precision, "steps": steps}
            data = f"{precision} {name}"
            cases += [make_case(f"{data}, {way}", data_of=data, **shared, **own) for way, own in WAYS.items()]
    _, dropout = MODELS["dropout, momentum, schedule"]
    data = "float64 dropout, momentum, schedule"
    cases += [
        make_case(f"{data}, {fault}", data_of=data, steps=50, **one_size, **dropout, **own)
        for fault, own in FAULTS.items()
    ]
    return train(cases)


MAY_BE_REFUSED = ("needs a C++ compiler", "needs Python's headers")
"""What a machine may lack; an adapter that begins to refuse anything else fails."""


def compared(case: str, way: str, trained: Any, pairs: Callable[..., Any]) -> Iterator[Any]:
    """A way beside the plain one in each framework that has it, then beside each other framework's."""
    able = {name: arrays for name, arrays in trained.items() if f"{case}, {way}/refused" not in arrays}
    refused = [str(arrays[f"{case}, {way}/refused"]) for name, arrays in trained.items() if name not in able]
    assert not [reason for reason in refused if not any(words in reason for words in MAY_BE_REFUSED)], refused
    assert able, "no framework can train it so"
    for arrays in able.values():
        yield from pairs("fast", {"plain": as_fast(case, "plain", arrays), way: as_fast(case, way, arrays)})
    if len(able) > 1:
        yield from pairs("fast", {name: as_fast(case, way, arrays) for name, arrays in able.items()})


def as_fast(case: str, way: str, arrays: Any) -> dict[str, np.ndarray]:
    """The arrays of a way under one name for all."""
    prefix = f"{case}, {way}/"
    return {key.replace(prefix, "fast/"): array for key, array in arrays.items() if key.startswith(prefix)}


@pytest.mark.parametrize(("name", "way"), FAST)
def test_in_float64_the_first_step_agrees_to_1e_12_and_fifty_to_1e_10(
    name: str, way: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    for pair in compared(f"float64 {name}", way, trained, pairs):
        assert pair.difference("start") == 0
        assert pair.first_update_difference() <= 1e-12
        assert pair.difference("first") <= 1e-12
        one, other = pair.both("losses")
        assert abs(one[0] - other[0]) <= 1e-12 * abs(one[0])
        for what in ("losses", "end", "outputs"):
            assert pair.difference(what) <= 1e-10


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, way in FAST if name in IN_FLOAT32])
def test_in_float32_the_first_loss_agrees_to_4_ulps_and_a_hundred_steps_to_the_bar(
    name: str, way: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    for pair in compared(f"float32 {name}", way, trained, pairs):
        assert pair.difference("start") == 0
        assert pair.first_loss_ulps() <= 4
        assert pair.difference("end") <= MODELS[name][0]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_fast_path_breaks_the_bar(fault: str, trained: Any, pairs: Callable[..., Any]) -> None:
    found = list(compared("float64 dropout, momentum, schedule", fault, trained, pairs))
    inside = found[: len(trained)]
    assert all(pair.difference("end") > 1e-10 for pair in inside)


def test_each_fast_path_is_what_it_is_called(trained: Any) -> None:
    for arrays in trained.values():
        for key, array in arrays.items():
            if key.endswith("/execution"):
                way = key.removesuffix("/execution").rpartition(", ")[2]
                assert str(array).startswith({"compiled": "compiled", "together": "vectorised"}.get(way, ""))
