"""`initial_weights: framework`: each framework's own default initializers, by seed, disturbing nothing."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

LAYERS = [
    {"type": "flatten"},
    {"type": "dense", "units": 50, "activation": "relu", "kernel_initializer": "ones"},
    {"type": "dense", "units": 20, "name": "head"},
]


def drawn(kit: Any, job: Any, seed: int) -> dict[str, np.ndarray]:
    return kit.default_weights(job, input_shape=(4, 10), seed=seed)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_they_have_the_canonical_names_layouts_and_precision(precision: str, kit: Any) -> None:
    weights = drawn(kit, kit.job(layers=LAYERS, precision=precision), 0)
    assert {name: array.shape for name, array in weights.items()} == {
        "layers.1.kernel": (40, 50),
        "layers.1.bias": (50,),
        "head.kernel": (50, 20),
        "head.bias": (20,),
    }
    assert {array.dtype.name for array in weights.values()} == {precision}


def test_the_seed_decides_them(kit: Any) -> None:
    job = kit.job(layers=LAYERS)
    one, again, other = (drawn(kit, job, seed) for seed in (7, 7, 8))
    for name, array in one.items():
        np.testing.assert_array_equal(again[name], array)
    assert (other["head.kernel"] != one["head.kernel"]).all()


def test_drawing_them_leaves_every_other_generator_alone(kit: Any) -> None:
    job = kit.job(layers=LAYERS)
    random.seed(1)
    np.random.seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist())
    drawn(kit, job, 3)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
