"""Samples stay as they are stored, such as bytes; each batch is cast and rescaled, to the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import Batch, EnsembleBlock

LAYERS = [{"type": "dense", "units": 4, "activation": "tanh"}, {"type": "dense", "units": 2}]
CONVOLUTION = [
    {"type": "conv2d", "filters": 3, "kernel_size": 3, "activation": "relu"},
    "flatten",
    {"type": "dense", "units": 2},
]
LONG = {"epochs": 20, "batch_size": 5}
"""60 updates of the 12 samples, for which PyTorch records one."""


def stored(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    low, high = (-100, 100) if dtype == "int8" else (0, 256)
    return np.random.default_rng(3).integers(low, high, (12, *shape)).astype(dtype)


def declared(**changes: Any) -> dict[str, Any]:
    return {"type": "inline", "x": [0.0], "y": [0.0], **changes}


def rescaled(x: np.ndarray, precision: str, mean: Any = 0.0, scale: Any = 1.0) -> np.ndarray:
    """As it is computed in float64 and rounded once."""
    return ((x.astype(np.float64) - np.array(mean)) / np.array(scale)).astype(precision)


@pytest.mark.parametrize("execution", ["auto", "eager", "compiled"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float16"])
def test_narrow_samples_train_to_the_bits_of_the_same_numbers_in_the_runs_precision(
    execution: str, dtype: str, kit: Any
) -> None:
    job = kit.job(layers=LAYERS, precision="float32", execution=execution, training=LONG)
    narrow = kit.job(
        layers=LAYERS, precision="float32", execution=execution, training=LONG, data=declared(scale=255)
    )
    x = stored((3,), dtype)
    _, y, weights = kit.problem(job)
    wide = kit.trainer(job, weights=weights, x=rescaled(x, "float32", scale=255), y=y)
    kept = kit.trainer(narrow, weights=weights, x=x, y=y)
    for first in (0, 30):
        block = kit.block(30, first_step=first, rate=0.01)
        assert kept.train(block).tobytes() == wide.train(block).tobytes()
    for name, array in wide.weights().items():
        assert kept.weights()[name].tobytes() == array.tobytes(), name
    assert (
        kept.outputs(x.astype("float32")).tobytes()
        == wide.outputs(rescaled(x, "float32", scale=255)).tobytes()
    )


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_mean_and_a_scale_a_channel_are_applied_in_that_order(precision: str, kit: Any) -> None:
    mean, scale = [120.0, 100.0], [64.0, 32.0]  # powers of two: each step is exact in both precisions
    job = kit.job(layers=CONVOLUTION, precision=precision)
    narrow = kit.job(layers=CONVOLUTION, precision=precision, data=declared(mean=mean, scale=scale))
    x = stored((5, 4, 2), "uint8")
    program = compile_job(job, (5, 4, 2))
    draw = np.random.default_rng(1)
    weights = {w.name: draw.normal(0, 0.1, w.shape).astype(precision) for w in program.weights}
    _, y, _ = kit.problem(job)
    wide = kit.trainer(job, weights=weights, x=rescaled(x, precision, mean, scale), y=y)
    kept = kit.trainer(narrow, weights=weights, x=x, y=y)
    block = kit.block(4, rate=0.01)
    assert kept.train(block).tobytes() == wide.train(block).tobytes()


def test_an_ensemble_and_an_observer_take_stored_samples_too(kit: Any) -> None:
    job = kit.job(layers=LAYERS, precision="float32")
    narrow = kit.job(layers=LAYERS, precision="float32", data=declared(scale=255))
    x = stored((3,), "uint8")
    wide_x = rescaled(x, "float32", scale=255)
    _, y, weights = kit.problem(job)
    stacked = {name: np.stack([array, 2 * array]) for name, array in weights.items()}
    optimizers = [job.optimizer] * 2
    wide, kept = (
        kit.ensemble(one, optimizers=optimizers, weights=stacked, x=rows, y=y)
        for one, rows in ((job, wide_x), (narrow, x))
    )
    alone = kit.block(3)
    block = EnsembleBlock(
        indices=alone.indices, learning_rates=np.stack([alone.learning_rates] * 2), first_step=0
    )
    assert kept.train(block).tobytes() == wide.train(block).tobytes()

    seen, expected = (
        kit.observer(one, input_shape=(3,)).observe(weights, Batch(rows, y), masks={})
        for one, rows in ((narrow, x), (job, wide_x))
    )
    assert seen.loss == expected.loss
    for name, gradient in expected.gradients.items():
        assert seen.gradients[name].tobytes() == gradient.tobytes()


def test_large_samples_mapped_from_a_file_train_as_those_in_memory(kit: Any, tmp_path: Any) -> None:
    job = kit.job(layers=["flatten", *LAYERS], precision="float32", data=declared(scale=255))
    x = np.random.default_rng(0).integers(0, 256, (12, 500, 400), np.uint8)
    x.tofile(tmp_path / "x")
    file = np.memmap(tmp_path / "x", np.uint8, mode="c", shape=x.shape)
    draw = np.random.default_rng(1)
    weights = {
        w.name: draw.normal(0, 0.001, w.shape).astype("float32")
        for w in compile_job(job, x.shape[1:]).weights
    }
    _, y, _ = kit.problem(job)
    in_memory = kit.trainer(job, weights=weights, x=x, y=y)
    mapped = kit.trainer(job, weights=weights, x=np.asarray(file), y=y)
    block = kit.block(3, rate=1e-4)
    assert mapped.train(block).tobytes() == in_memory.train(block).tobytes()
