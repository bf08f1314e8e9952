"""Threads by size: what an update costs, and what a process may use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.job import Job
from shared.program import compile_job
from worker.adapters.base import Batch
from worker.service import machine as counted
from worker.training.resources import SHARED_FROM, threads_of
from worker.training.samples import RunData

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
    units = 1_000
    enough = SHARED_FROM // (units * units)
    job = job_of([{"type": "dense", "units": units}], batch_size=enough)

    def data(samples: int) -> RunData:
        return RunData(parts={"train": Batch(np.zeros((samples, units)), np.zeros(samples))}, predict=None)

    assert threads_of(job, data(10 * enough), members=1, most=8) == 8
    assert threads_of(job, data(enough - 1), members=1, most=8) == 1
    assert threads_of(job, data(enough - 1), members=2, most=8) == 8


def test_a_container_s_quota_bounds_the_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = len(os.sched_getaffinity(0))
    monkeypatch.setattr(counted, "_QUOTA", tmp_path / "cpu.max")
    assert counted.cores() == own
    for written, expected in {
        "max 100000": own,
        "50000 100000": 1,
        "100000 100000": 1,
        "9900000 100000": own,
    }.items():
        (tmp_path / "cpu.max").write_text(f"{written}\n")
        assert counted.cores() == expected
        assert counted.half_of_the_cores() == max(1, expected // 2)
