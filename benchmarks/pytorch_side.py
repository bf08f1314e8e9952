"""What the PyTorch benchmarks share: our training of a job, turns between programs, and the table.

Run the benchmarks in PyTorch's own environment, from the repository's folder:

    PYTHONPATH=. python benchmarks/pytorch_article.py [--json]
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from likewise.shared.draws import draw_weights
from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker.adapters import load_adapter
from likewise.worker.adapters.trainer import Batch
from likewise.worker.training.results import Member
from likewise.worker.training.samples import RunData
from likewise.worker.training.training import OngoingTraining

Weights = Mapping[str, NDArray[Any]]
Program = Callable[[], Weights]
"""Trains once from the same start, and gives the weights by a name that all programs use."""

_ADAPTER = load_adapter("torch")


def start() -> None:
    """Import everything and warm up, as a worker does before its first run."""
    _ADAPTER.start(device="cpu", threads=1)


def make_job(**parts: Any) -> Job:
    """A job whose data is handed over beside it."""
    document = {"data": {"type": "inline", "x": [0.0], "y": [0.0]}, "precision": "float32"}
    return Job.model_validate_json(json.dumps(document | parts))


def ours(job: Job, x: NDArray[Any], y: NDArray[Any], *, execution: str = "auto") -> Program:
    """A whole training as a warm worker does it: build, order, epoch losses, metrics, outputs."""
    declared = job.model_copy(update={"execution": execution})
    data = RunData(program=compile_job(declared, x.shape[1:]), parts={"train": Batch(x=x, y=y)}, predict=None)

    def train() -> Weights:
        training = OngoingTraining([Member(seed=0, job=declared)], data=data, adapter=_ADAPTER)
        while not training.finished:
            training.advance()
        (trained,) = training.conclude()
        if training.failures:
            raise training.failures[0]
        return trained.weights

    return train


def first_weights(job: Job, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The start that `ours` takes with seed 0."""
    return draw_weights(compile_job(job, x.shape[1:]), seed=0, precision=job.precision)


def compare(name: str, programs: Mapping[str, Program], *, rounds: int, tolerance: float) -> None:
    """Run the programs in turns, check that all end with the first one's weights, print the medians.

    The order turns round each time, so that a machine that slows down slows all. Exits with 1 where
    the weights differ by more than `tolerance`, relative to the largest.
    """
    ends = {program: run() for program, run in programs.items()}  # warms up, and compiles
    gaps = {program: _gap(weights, next(iter(ends.values()))) for program, weights in ends.items()}
    seconds: dict[str, list[float]] = {program: [] for program in programs}
    for turn in range(rounds):
        for program in list(programs)[:: 1 if turn % 2 else -1]:
            begin = time.perf_counter()
            programs[program]()
            seconds[program].append(time.perf_counter() - begin)
    medians = {program: statistics.median(times) for program, times in seconds.items()}
    slowest = next(iter(medians.values()))
    rows = [
        {
            "program": p,
            "median_s": medians[p],
            "times_faster": slowest / medians[p],
            "gap": gaps[p],
            "samples_s": seconds[p],
        }
        for p in programs
    ]
    equal = all(gap <= tolerance for gap in gaps.values())
    if "--json" in sys.argv:
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        print(json.dumps({"benchmark": name, "rows": rows, "equal_results": equal, "versions": versions}))
    else:
        print(f"{name}; results {'equal' if equal else 'DIFFER'}, largest gap {max(gaps.values()):.1e}")
        for row in rows:
            print(f"  {row['program']:44} {row['median_s']:9.4f} s  {row['times_faster']:6.1f} x")
    if not equal:
        raise SystemExit(1)


def _gap(weights: Weights, others: Weights) -> float:
    return max(float(np.abs(weights[k] - others[k]).max() / np.abs(others[k]).max()) for k in others)
