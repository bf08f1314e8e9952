"""Keras programs as people write them against the same jobs in Likewise, on this machine, now.

    PYTHONPATH=. python benchmarks/tensorflow_speed.py [repetitions]

Run in the TensorFlow environment. Prints a JSON document a benchmark, with the medians and their ratios to
Keras's; what was trained must be equal, else it leaves with 1. Ours are whole trainings by the worker's own
loop (blocks, epoch losses, early-stopping checks and progress as in a run), with the queue left out. `first`
compiles, `warm` is another seed in the same process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker.adapters import load_adapter
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.adapters.trainer import Batch
from likewise.worker.training.results import Member
from likewise.worker.training.samples import RunData
from likewise.worker.training.training import OngoingTraining

HERE = Path(__file__).parent
EPOCHS_OF_FIT = 4
"""One that warms up and three that are timed, in `tensorflow_idiomatic.py`."""
LAYERS: dict[str, list[dict[str, Any]]] = {
    "mlp": [{"type": "dense", "units": 128, "activation": "relu"}, {"type": "dense", "units": 10}],
    "conv": [
        {"type": "conv2d", "filters": 16, "kernel_size": 3, "activation": "relu"},
        {"type": "max_pooling2d", "pool_size": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 10},
    ],
}
NAMES = {"mlp": "An MLP", "conv": "A small conv net"}
SHAPES = {"mlp": (64,), "conv": (8, 8, 1)}
SAMPLES = 1797
WARM_A_TURN = 9
"""Trainings of ours for one of Keras's, which lasts a hundred times as long: single ones vary by a half."""


def main(repetitions: int = 3) -> int:
    """Print a document for each comparison; 1 where the results differ."""
    adapter = load_adapter("tensorflow")
    adapter.start(device="cpu", threads=1)
    equal = article(adapter, repetitions)
    for network in LAYERS:
        equal &= against_fit(adapter, network, repetitions)
    return 0 if equal else 1


def article(adapter: FrameworkAdapter, repetitions: int) -> bool:
    """500 epochs of y = 2x − 1."""
    x = np.arange(-1.0, 5.0, dtype=np.float32).reshape(-1, 1)
    given = {"layers.0.kernel": [[0.37]], "layers.0.bias": [0.0]}
    job = job_of(
        model={"layers": [{"type": "dense", "units": 1}]},
        loss="mse",
        optimizer={"type": "sgd", "learning_rate": 0.01},
        training={"epochs": 500},
    )
    data = RunData(
        program=compile_job(job, (1,)),
        parts={"train": Batch(x=x, y=2 * x - 1)},
        predict=np.array([[10.0]], np.float32),
        given_weights={name: np.array(value, np.float32) for name, value in given.items()},
    )
    theirs: list[float] = []
    firsts: list[float] = []
    warms: list[float] = []
    gap = 0.0
    for _ in range(repetitions):
        seconds, prediction = measured("tensorflow_newcomer.py")
        theirs.append(seconds)
        adapter.forget_programs()
        for kind in (firsts, *[warms] * WARM_A_TURN):
            begin = time.perf_counter()
            training = trained(adapter, job, data)
            (one,) = training.conclude()
            predictions = np.asarray(np.nan if one.predictions is None else one.predictions)
            kind.append(time.perf_counter() - begin)
        gap = max(gap, float(np.abs(predictions - prediction).max()))
    ours = {"ours, first (compiles)": firsts, "ours, warm": warms}
    return told("The article in TensorFlow, 500 epochs", theirs, ours, gap=gap, bar=1e-4)


def against_fit(adapter: FrameworkAdapter, network: str, repetitions: int) -> bool:
    """Epochs of a small network on 1,797 samples, batch 32, Adam."""
    job = job_of(
        model={"layers": LAYERS[network]},
        loss="categorical_crossentropy",
        optimizer="adam",
        training={"epochs": EPOCHS_OF_FIT, "batch_size": 32, "shuffle": False},
    )
    draw = np.random.default_rng(0)
    x = draw.standard_normal((SAMPLES, *SHAPES[network])).astype(np.float32)
    y = x.reshape(SAMPLES, -1)[:, :10].argmax(axis=1).astype(np.int64)
    program = compile_job(job, SHAPES[network])
    weights = {
        place.name: (0.1 * draw.standard_normal(place.shape)).astype(np.float32) for place in program.weights
    }
    data = RunData(program=program, parts={"train": Batch(x=x, y=y)}, predict=None, given_weights=weights)
    theirs, ours, gap = [], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        arrays: dict[str, Any] = {f"w{i}": array for i, array in enumerate(weights.values())}
        np.savez(file, x=x, y=y, **arrays)
        trained(adapter, job, data)
        for _ in range(repetitions):
            seconds, loss = measured("tensorflow_idiomatic.py", network, str(file))
            theirs.append(seconds)
            for _ in range(WARM_A_TURN):
                begin = time.perf_counter()
                training = trained(adapter, job, data)
                ours.append((time.perf_counter() - begin) / EPOCHS_OF_FIT)
            gap = max(gap, abs(training.losses()[-1] - loss) / loss)
    name = f"{NAMES[network]} in TensorFlow, an epoch of {SAMPLES:,} samples"
    return told(name, theirs, {"ours, warm": ours}, gap=gap, bar=1e-3)


def job_of(**parts: Any) -> Job:
    """A job that starts from given weights; its data comes apart."""
    document = {"data": {"type": "inline", "x": [0.0], "y": [0.0]}, "precision": "float32"}
    given = {"type": "values", "weights": {"layers.0.kernel": [[0.0]]}}
    return Job.model_validate_json(json.dumps(document | {"initial_weights": given} | parts))


def trained(adapter: FrameworkAdapter, job: Job, data: RunData) -> OngoingTraining:
    """The training as a worker runs it, finished."""
    training = OngoingTraining([Member(seed=0, job=job)], data=data, adapter=adapter)
    while not training.finished:
        training.advance()
    return training


def measured(program: str, *arguments: str) -> tuple[float, float]:
    """The two numbers that a program of this folder prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, HERE / program, *arguments], capture_output=True, text=True, check=True
    )
    seconds, value = done.stdout.split()
    return float(seconds), float(value)


def told(name: str, theirs: list[float], ours: dict[str, list[float]], *, gap: float, bar: float) -> bool:
    """Print a benchmark's document; whether the results are equal."""
    import keras
    import tensorflow as tf

    samples = {"Keras fit": theirs, **ours}
    rows = [
        {
            "program": program,
            "median_s": median(seconds),
            "times_faster": median(theirs) / median(seconds),
            "gap": 0.0 if program == "Keras fit" else gap,
            "samples_s": seconds,
        }
        for program, seconds in samples.items()
    ]
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    document = {"benchmark": name, "rows": rows, "equal_results": gap <= bar, "versions": versions}
    print(json.dumps(document), flush=True)
    return gap <= bar


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:] if word.isdigit())))
