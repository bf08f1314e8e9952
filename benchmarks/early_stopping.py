"""What early stopping costs that brings the best weights back, against as many epochs without it.

    python benchmarks/early_stopping.py --framework torch [--repeats 15]    # in that framework's environment

Trains each job in turns, in one process on one thread, for about a tenth of a second: the article's, whose
epochs are one update each and whose loss stops falling long before the end, and a small network on
minibatches. Prints a JSON document a job: `ratio` is the median over the turns of with to without, at most
1.05 is wanted. The losses must be the same.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from adapter_side import started_adapter

from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.adapters.trainer import Batch
from likewise.worker.training.results import Member
from likewise.worker.training.samples import RunData
from likewise.worker.training.training import OngoingTraining

TARGET = 1.05
PATIENCE = 1_000_000
"""Never runs out, so that both trainings have the same epochs."""
SAMPLES, FEATURES, CLASSES = 1_797, 64, 10
"""The digits data set has these sizes; what the numbers are makes no difference to the time."""
BOUND = (
    "Copies of the state on the way, and training again from one of them to the best epoch, are calls of "
    "their own: the shorter a training, the more they weigh."
)
JOBS: dict[str, dict[str, Any]] = {
    "the article's job": {
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "loss": "mse",
        "optimizer": {"type": "sgd", "learning_rate": 0.01},
        "training": {"epochs": 5_000},
    },
    "an MLP": {
        "model": {
            "layers": [
                {"type": "dense", "units": 128, "activation": "relu"},
                {"type": "dense", "units": CLASSES},
            ]
        },
        "loss": "categorical_crossentropy",
        "optimizer": "adam",
        "training": {"epochs": 20, "batch_size": 32, "shuffle": True},
    },
}


def samples_of(name: str) -> Batch:
    """What a job trains on."""
    if name == "the article's job":
        x = np.arange(-1.0, 5.0, dtype=np.float32)[:, None]
        return Batch(x=x, y=2 * x - 1)
    draw = np.random.default_rng(0)
    x = draw.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
    return Batch(x=x, y=x[:, :CLASSES].argmax(axis=1).astype(np.int64))


def trained(job: dict[str, Any], part: Batch, adapter: FrameworkAdapter) -> tuple[float, list[float]]:
    """Seconds from the build to the outputs, and the losses."""
    document = {"data": {"type": "inline", "x": [0.0], "y": [0.0]}, "metrics": [], **job}
    parsed = Job.model_validate_json(json.dumps(document))
    begin = time.perf_counter()
    data = RunData(program=compile_job(parsed, part.x.shape[1:]), parts={"train": part}, predict=None)
    training = OngoingTraining([Member(seed=0, job=parsed)], data=data, adapter=adapter)
    while not training.finished:
        training.advance()
    training.conclude()
    return time.perf_counter() - begin, training.losses()


def measured(name: str, adapter: FrameworkAdapter, *, repeats: int) -> dict[str, Any]:
    """Return the document of a job."""
    off, part = JOBS[name], samples_of(name)
    rule = {"monitor": "loss", "patience": PATIENCE, "restore_best_weights": True}
    on = off | {"training": off["training"] | {"early_stopping": rule}}
    expected = trained(off, part, adapter)[1]  # compiles
    times = []
    for turn in range(repeats):
        one, other = (trained(job, part, adapter) for job in ((on, off) if turn % 2 else (off, on)))
        if not one[1] == other[1] == expected:
            raise ValueError(f"{name}: the losses differ")
        times.append((one[0], other[0]) if turn % 2 else (other[0], one[0]))
    on_s, off_s = np.median(times, axis=0)
    ratio = float(np.median([with_it / without for with_it, without in times]))
    return {
        "what": f"Early stopping with the best weights back, {name}",
        "framework": adapter.name,
        "epochs": off["training"]["epochs"],
        "best_epoch": int(np.argmin(expected)) + 1,
        "on_s": on_s,
        "off_s": off_s,
        "ratio": ratio,
        "target": f"at most {TARGET}",
        "met": "yes" if ratio <= TARGET else "no",
        "bound": BOUND,
    }


def main() -> None:
    """Measure early stopping and print what it costs."""
    adapter, repeats = started_adapter(__doc__, repeats=15)
    for name in JOBS:
        print(json.dumps(measured(name, adapter, repeats=repeats)))


if __name__ == "__main__":
    main()
