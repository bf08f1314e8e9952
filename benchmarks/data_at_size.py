"""What data of ordinary size cost beside the training: time from a cold file to the verdict, and memory.

    python benchmarks/data_at_size.py --python-tensorflow PY --python-torch PY [--repeats 3]

`likewise compare --no-twin` trains an epoch in both frameworks, on a file that nobody has read before, and as
many updates on a file of the same columns with few samples. What the first takes longer, less what its
workers say that they spent on building, compiling, training and predicting, is what the data cost: read,
hashed, stored, fetched.
The memory is the peak of the command and of each worker above that with few samples, in workers that are new.
Prints a JSON document a file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from processes import private_redis
from stack import Desk, document, warm_workers

FEW = 640
MLP: list[dict[str, Any]] = [
    {"type": "flatten"},
    *({"type": "dense", "units": 512, "activation": "relu"} for _ in range(2)),
]
CONVOLUTIONS: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 32, "kernel_size": 3, "activation": "relu"},
    {"type": "max_pooling2d", "pool_size": 2},
    {"type": "flatten"},
]
CLASSIFIER = {
    "loss": "categorical_crossentropy",
    "optimizer": {"type": "adam", "learning_rate": 0.001},
    "training": {"epochs": 1, "batch_size": 64},
}
REGRESSION = {
    "loss": "mse",
    "optimizer": {"type": "adam", "learning_rate": 0.001},
    "training": {"epochs": 1, "batch_size": 256},
}


@dataclass(frozen=True)
class Spent:
    """It is what one comparison took, and the most memory that it had."""

    whole_s: float
    trained_s: float
    """Of the side that took longer, from building to the final outputs."""
    command_bytes: int
    worker_bytes: dict[str, int]

    @property
    def beside_s(self) -> float:
        return self.whole_s - self.trained_s


def main() -> None:
    """Measure each file and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python-tensorflow", required=True)
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    pythons = {"tensorflow": given.python_tensorflow, "torch": given.python_torch}
    for name, least, write, samples in (
        ("Bytes of MNIST's shape, an MLP", 0.15, bytes_of(28, 28, layers=MLP), 60_000),
        ("Bytes of CIFAR-10's shape, a conv net", 0.15, bytes_of(32, 32, 3, layers=CONVOLUTIONS), 50_000),
        ("A CSV file of 1,000,000 rows and 50 columns", None, table_of(50), 1_000_000),
    ):
        print(
            json.dumps(measured(name, write, samples, pythons, repeats=given.repeats, most=least)), flush=True
        )


Writer = Callable[[Path, int, int], tuple[dict[str, Any], int]]
"""It writes a file of so many samples, drawn by a seed; returns its job and the bytes of the samples."""


def bytes_of(*shape: int, layers: list[dict[str, Any]]) -> Writer:
    def write(folder: Path, samples: int, seed: int) -> tuple[dict[str, Any], int]:
        draw = np.random.default_rng(seed)
        x = draw.integers(0, 256, (samples, *shape), dtype=np.uint8)
        np.savez(folder / "data.npz", x=x, y=draw.integers(0, 10, samples, dtype=np.uint8))
        data = {"type": "npz", "path": "data.npz", "scale": 255}
        return {
            "data": data,
            "model": {"layers": [*layers, {"type": "dense", "units": 10}]},
        } | CLASSIFIER, x.nbytes

    return write


def table_of(columns: int) -> Writer:
    def write(folder: Path, samples: int, seed: int) -> tuple[dict[str, Any], int]:
        values = np.random.default_rng(seed).normal(size=(samples, columns)).round(4)
        arrow_csv.write_csv(pa.table({f"c{i}": values[:, i] for i in range(columns)}), folder / "data.csv")
        data = {"type": "csv", "path": "data.csv", "target": "c0"}
        layers = [{"type": "dense", "units": 16, "activation": "relu"}, {"type": "dense", "units": 1}]
        return {"data": data, "model": {"layers": layers}} | REGRESSION, values.nbytes

    return write


def measured(
    name: str, write: Writer, samples: int, pythons: dict[str, str], *, repeats: int, most: float | None
) -> dict[str, Any]:
    """What the data of one file cost, in time over several files, and in memory over the first."""
    with private_redis() as url, tempfile.TemporaryDirectory() as folder:
        desk = Desk(url, arrays=Path(folder, "arrays"))
        with warm_workers(pythons, desk):
            few = [
                compared(desk, Path(folder), write, FEW, seed, epochs=samples // FEW)[0]
                for seed in range(repeats + 1)
            ][1:]
            (first, size), *more = [
                compared(desk, Path(folder), write, samples, seed) for seed in range(repeats)
            ]
    many = [first, *(spent for spent, _ in more)]
    little_s = statistics.median(spent.beside_s for spent in few)
    data_s = statistics.median(spent.beside_s for spent in many) - little_s
    whole_s = statistics.median(spent.whole_s for spent in many)
    base = few[-1]
    peaks = {"the command": (first.command_bytes, base.command_bytes)} | {
        f"the worker of {framework}": (first.worker_bytes[framework], base.worker_bytes[framework])
        for framework in pythons
    }
    memory = {
        f"memory of {who}, above that with few samples, by the data's size": (peak - before) / size
        for who, (peak, before) in peaks.items()
    }
    updating_s = statistics.median(spent.beside_s for spent in many)
    return document(
        name,
        rows={
            "from the file to the verdict_s": whole_s,
            "of it building, compiling, training and predicting_s": whole_s - updating_s,
            "of it the data: read, hashed, stored and fetched_s": data_s,
            "of it the rest, as with few samples_s": little_s,
            "size of the samples, MB": size / 1e6,
            **memory,
        },
        ratio=data_s / whole_s if most is not None else updating_s / 20,
        at_most=1.0 if most is None else most,
        bound="The ratio is the data's part of the whole."
        if most is not None
        else "The ratio is what passes beside the training, to the 20 s in which the first update is due.",
    )


def compared(
    desk: Desk, folder: Path, write: Writer, samples: int, seed: int, *, epochs: int = 1
) -> tuple[Spent, int]:
    """Compare both frameworks on a new file; returns what it took, and the samples' bytes."""
    job, size = write(folder, samples, seed)
    job["training"] = job["training"] | {"epochs": epochs}
    (folder / "job.yaml").write_text(json.dumps(job))
    words = [sys.executable, "-m", "likewise.producer", "compare", "job.yaml", "--no-twin", "--json"]
    program = (
        "import json, resource, subprocess, sys;"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE);"
        "most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024;"
        "print(json.dumps([most, json.loads(done.stdout)]))"
    )
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=desk.environment(), cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    whole_s = time.perf_counter() - begin
    most, found = json.loads(done.stdout)
    runs = {framework: run[0] for framework, run in found["runs"].items()}
    spent = [sum(v for key, v in run["timings"].items() if key != "queue_s") for run in runs.values()]
    workers = {framework: run["peak_bytes"] for framework, run in runs.items()}
    return Spent(whole_s=whole_s, trained_s=max(spent), command_bytes=most, worker_bytes=workers), size


if __name__ == "__main__":
    main()
