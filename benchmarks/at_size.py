"""Networks of ordinary size against the plain programs of the same jobs, by `likewise bench` itself.

    python benchmarks/at_size.py --python-tensorflow PY --python-torch PY [--budget 20] [--networks mlp lstm]

The plain program of a side is what `likewise code` prints: stock layers, a stock optimizer, `fit` or a loop
over a DataLoader (`execution: stock`). Both run in the same warm worker on the same number of threads, in
turns, and each has the host to itself. Prints a JSON document a network and framework: of training without
compiling, of a whole run with building, compiling and the final outputs, and of the machine's peak, which is
the network's largest operation timed alone (`peak.py`), on one thread or on as many as the training had,
whichever is quicker. An update counts as three forward passes of multiply-adds with kernels: the gradients by
the inputs and by the kernels take one each. What else it does counts as nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from processes import private_redis
from stack import HERE, Desk, document, warm_workers

from likewise.shared.job import Job
from likewise.shared.program import compile_job

Layers = list[dict[str, Any]]
NAMES = {"tensorflow": "TensorFlow", "torch": "PyTorch"}
PICTURES, COLOURS, SEQUENCES, SHORT = (28, 28, 1), (32, 32, 3), (50, 16), (32, 16)


def dense(units: int, activation: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "dense", "units": units, **({"activation": activation} if activation else {}), **more}


def convolution(filters: int, kernel_size: int = 3, **more: Any) -> dict[str, Any]:
    return {"type": "conv2d", "filters": filters, "kernel_size": kernel_size, "padding": "same", **more}


def conv_net() -> Layers:
    pool = {"type": "max_pooling2d", "pool_size": 2}
    return [
        convolution(32, activation="relu"),
        pool,
        convolution(64, activation="relu"),
        pool,
        {"type": "flatten"},
        dense(10),
    ]


def residual_net() -> Layers:
    """ResNet-8: three blocks of two convolutions, of which two halve the picture."""
    norm, relu = {"type": "batch_norm"}, {"type": "activation", "activation": "relu"}
    layers = [convolution(16, use_bias=False), norm, relu | {"name": "block0"}]
    for block, (filters, strides) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
        before = shortcut = f"block{block - 1}"
        layers += [
            convolution(filters, strides=strides, use_bias=False, inputs=[before]),
            norm,
            relu,
            convolution(filters, use_bias=False),
            norm | {"name": f"inner{block}"},
        ]
        if strides > 1:
            shortcut = f"shortcut{block}"
            layers += [
                convolution(filters, 1, strides=strides, use_bias=False, inputs=[before]),
                norm | {"name": shortcut},
            ]
        layers += [{"type": "add", "inputs": [f"inner{block}", shortcut]}, relu | {"name": f"block{block}"}]
    return [*layers, {"type": "global_average_pooling"}, dense(10)]


def transformer() -> Layers:
    """Two encoder layers of width 64 with four heads."""
    layers = [dense(64, name="encoded0")]
    for number in (1, 2):
        before, attended, normed, fed = (
            f"encoded{number - 1}",
            f"att{number}",
            f"norm{number}",
            f"fed{number}",
        )
        layers += [
            {
                "type": "multi_head_attention",
                "num_heads": 4,
                "key_dim": 16,
                "inputs": [before],
                "name": attended,
            },
            {"type": "add", "inputs": [before, attended]},
            {"type": "layer_norm", "name": normed},
            dense(128, "relu"),
            dense(64, name=fed),
            {"type": "add", "inputs": [normed, fed]},
            {"type": "layer_norm", "name": f"encoded{number}"},
        ]
    return [*layers, {"type": "global_average_pooling"}, dense(10)]


NETWORKS: dict[str, tuple[str, Layers, tuple[int, ...], int, int]] = {
    "mlp": (
        "An MLP 784-512-512-10",
        [{"type": "flatten"}, dense(512, "relu"), dense(512, "relu"), dense(10)],
        PICTURES,
        6_400,
        128,
    ),
    "conv": ("A conv net of 32 and 64 filters on 28 × 28", conv_net(), PICTURES, 960, 64),
    "resnet": ("ResNet-8 on 32 × 32 × 3", residual_net(), COLOURS, 640, 64),
    "lstm": (
        "An LSTM of 64 units over 50 steps",
        [{"type": "lstm", "units": 64}, dense(10)],
        SEQUENCES,
        1_600,
        32,
    ),
    "gru": (
        "A GRU of 64 units over 50 steps",
        [{"type": "gru", "units": 64}, dense(10)],
        SEQUENCES,
        1_600,
        32,
    ),
    "transformer": ("A transformer of two layers, 32 × 64", transformer(), SHORT, 1_600, 32),
}
"""What it is, its layers, a sample's shape, the number of samples and of those in a batch."""

LARGEST: dict[str, tuple[str, ...]] = {
    "mlp": ("product", "128", "784", "512"),
    "conv": ("convolution", "64", "14", "32", "64"),
    "resnet": ("convolution", "64", "32", "16", "16"),
    "lstm": ("product", "32", "64", "256"),
    "gru": ("product", "32", "64", "192"),
    "transformer": ("product", "1024", "64", "128"),
}
"""The operation that most of a network's multiply-adds are in, in the words of `peak.py`."""
PASSES = 3
"""An update's multiply-adds, in forward passes."""


def main() -> None:
    """Print a document for every network in both frameworks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python-tensorflow", required=True)
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--budget", type=int, default=20, help="seconds to time a network in one framework")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    given = parser.parse_args()
    pythons = {"tensorflow": given.python_tensorflow, "torch": given.python_torch}
    with tempfile.TemporaryDirectory() as folder, private_redis() as url:
        desk = Desk(url, programs=Path(folder))
        with warm_workers(pythons, desk):
            for network in given.networks:
                job = written(network, Path(folder))
                for framework, python in pythons.items():
                    found = timed(network, job, framework, desk, budget=given.budget)
                    threads = max(map(int, found["rows"]["threads"].split(", ")))
                    found["rows"] |= of_the_peak(network, job, [python, framework], threads, found["rows"])
                    print(json.dumps(found), flush=True)


def written(network: str, folder: Path) -> Path:
    """Write the job of a network and its data, drawn at random; the job's file."""
    _, layers, shape, samples, batch = NETWORKS[network]
    draw = np.random.default_rng(0)
    x = draw.standard_normal((samples, *shape)).astype(np.float32)
    np.savez(folder / f"{network}.npz", x=x, y=draw.integers(0, 10, samples))
    job = {
        "name": network,
        "data": {"type": "npz", "path": f"{network}.npz"},
        "model": {"layers": layers},
        "loss": "categorical_crossentropy",
        "optimizer": "adam",
        "training": {"epochs": 2, "batch_size": batch},
    }
    file = folder / f"{network}.json"
    file.write_text(json.dumps(job))
    return file


def timed(network: str, job: Path, framework: str, desk: Desk, *, budget: int) -> dict[str, Any]:
    """Time ours beside the plain program."""
    sides = f"{framework},plain={framework}:stock"
    words = ["bench", str(job), "--sides", sides, "--budget", str(budget), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "likewise.producer", *words],
        env=desk.environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    bench = json.loads(done.stdout)
    medians = {(row["side"], row["phase"]): row["median_s"] for row in bench["rows"]}
    ours_s, plain_s = medians[framework, "train"], medians["plain", "train"]
    threads = {one["threads"] for one in bench["environments"].values()}
    return document(
        f"{NETWORKS[network][0]}, in {NAMES[framework]}",
        rows={
            "ours, two epochs_s": ours_s,
            "the plain program, two epochs_s": plain_s,
            "ours, a whole warm run_s": medians[framework, "run"],
            "the plain program, a whole warm run_s": medians["plain", "run"],
            "threads": ", ".join(map(str, sorted(threads))),
            "verdict": bench["verdict"],
        },
        ratio=plain_s / ours_s,
        at_least=1.0,
    )


def of_the_peak(
    network: str, job: Path, program: list[str], threads: int, rows: dict[str, Any]
) -> dict[str, float | str]:
    """How the multiply-adds of a training compare with its largest operation alone, and which that is.

    `program` is a Python and the framework that it has.
    """
    python, framework = program
    _, _, shape, samples, _ = NETWORKS[network]
    described = Job.model_validate_json(job.read_bytes())
    each = compile_job(described, shape).multiply_adds * PASSES
    rate = each * samples * described.training.epochs / rows["ours, two epochs_s"]
    peak = 0.0
    for many in sorted({1, threads}):
        words = [python, str(HERE / "peak.py"), framework, str(many), *LARGEST[network]]
        peak = max(peak, float(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout))
    kind, *sizes = LARGEST[network]
    return {
        "multiply-adds a second, against its largest operation alone": f"{100 * rate / peak:.0f} %",
        "the largest operation alone, multiply-adds a second": f"{peak / 1e9:.1f} billion",
        "the largest operation": f"{kind} {' × '.join(sizes)}",
    }


if __name__ == "__main__":
    main()
