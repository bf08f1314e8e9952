"""What trainings take: the process's memory peak, and threads by the size of an update."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker import counters
from likewise.worker.adapters import load_adapter
from likewise.worker.adapters.trainer import Batch
from likewise.worker.training import resources
from likewise.worker.training.resources import threads_of
from likewise.worker.training.samples import RunData

SIZE = 200 * 1024 * 1024


def touch() -> None:
    np.ones(SIZE, dtype=np.uint8)


def test_the_peak_counts_memory_that_was_given_back() -> None:
    counters.reset_peak()
    before = counters.peak_bytes()
    assert before is not None
    touch()
    after = counters.peak_bytes()
    assert after is not None
    assert after - before > 0.9 * SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_what_a_training_needs_is_told_apart_from_what_the_process_holds() -> None:
    kept = np.ones(SIZE, dtype=np.uint8)
    held = counters.reset_peak()
    touch()
    grown = counters.grown_bytes(held)
    assert held is not None
    assert held > kept.nbytes
    assert grown is not None
    assert 0.9 * SIZE < grown < 1.2 * SIZE


def test_where_a_peak_cannot_be_forgotten_nothing_is_said_of_its_growth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(counters, "_CLEAR_REFS", tmp_path)
    assert counters.reset_peak() is None
    assert counters.grown_bytes(None) is None
    assert counters.peak_bytes() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_what_is_free_is_given_back() -> None:
    pieces = [np.ones(10_000, np.uint8) for _ in range(10_000)]  # small ones, which the allocator keeps
    pinned = pieces[-1]
    del pieces
    kept = counters.reset_peak()
    resources.give_back()
    left = counters.reset_peak()
    assert pinned.size
    assert kept is not None
    assert left is not None
    assert left < kept - 50 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_a_reset_forgets_the_peak() -> None:
    touch()
    high = counters.peak_bytes()
    counters.reset_peak()
    low = counters.peak_bytes()
    assert high is not None
    assert low is not None
    assert low < high - 0.9 * SIZE


LSTM = {"type": "lstm", "units": 3}


MODELS: dict[str, tuple[tuple[int, ...], list[Any], int]] = {
    "dense": ((5,), [{"type": "dense", "units": 4}, {"type": "dense", "units": 2}], 5 * 4 + 4 * 2),
    "dense over a sequence": ((7, 5), [{"type": "dense", "units": 4}], 7 * 5 * 4),
    "convolution": ((8, 6, 2), [{"type": "conv2d", "filters": 3, "kernel_size": 3}], 6 * 4 * 9 * 2 * 3),
    "strides": ((8, 8, 1), [{"type": "conv2d", "filters": 1, "kernel_size": 2, "strides": 2}], 4 * 4 * 4),
    "recurrent": ((7, 5), [LSTM], 7 * (5 * 12 + 3 * 12)),
    "both directions": ((7, 5), [{"type": "bidirectional", "layer": LSTM}], 2 * 7 * (5 * 12 + 3 * 12)),
    "looked up": ((7,), [{"type": "embedding", "input_dim": 1000, "output_dim": 8}], 0),
    "no kernels": ((7, 4), ["layer_norm", "flatten"], 0),
}


def job_of(layers: list[Any], **training: Any) -> Job:
    document = {
        "data": {"type": "inline", "x": [0.0], "y": [0.0]},
        "model": {"layers": layers},
        "loss": "mse",
        "optimizer": "sgd",
        "training": {"epochs": 1} | training,
    }
    return Job.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_s_products_with_kernels_are_counted(name: str) -> None:
    shape, layers, expected = MODELS[name]
    assert compile_job(job_of(layers), shape).multiply_adds == expected


def test_threads_are_shared_from_a_size_on_and_members_count_together() -> None:
    adapter, units = load_adapter("torch"), 1_000
    enough = adapter.shared_from // (units * units)
    job = job_of([{"type": "dense", "units": units}], batch_size=enough)

    def data(samples: int) -> RunData:
        part = Batch(np.zeros((samples, units)), np.zeros(samples))
        return RunData(program=compile_job(job, (units,)), parts={"train": part}, predict=None)

    assert threads_of(job, data(10 * enough), members=1, most=8, adapter=adapter) == 8
    assert threads_of(job, data(enough - 1), members=1, most=8, adapter=adapter) == 1
    assert threads_of(job, data(enough - 1), members=2, most=8, adapter=adapter) == 8


@pytest.mark.parametrize(
    ("shape", "layers", "at_once"),
    [
        ((3,), [{"type": "activation", "activation": "relu"}], 0),
        ((3,), [{"type": "dense", "units": 10}, {"type": "dense", "units": 1}], (30 * 30 + 10 * 10) / 40),
        ((8, 8, 3), [{"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same"}], 8 * 8 * 54),
        ((50, 3), [{"type": "lstm", "units": 3}], 3 * 12),
        ((50, 6), [{"type": "lstm", "units": 3}], (72 * 72 + 36 * 36) / 108),
        ((50, 3), [{"type": "bidirectional", "layer": {"type": "lstm", "units": 3}}], 3 * 12),
    ],
)
def test_what_is_multiplied_at_once_is_a_product_s_and_of_a_recurrent_layer_a_step_s(
    shape: tuple[int, ...], layers: list[dict[str, Any]], at_once: float
) -> None:
    assert compile_job(job_of(layers), shape).multiply_adds_at_once == at_once
