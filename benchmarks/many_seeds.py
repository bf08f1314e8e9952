"""A thousand seeds in both frameworks with the verdict, against plain Celery with a task a seed.

    python benchmarks/many_seeds.py --python-tensorflow PY --python-torch PY [--seeds 1000] [--sample 2]

Ours: `likewise compare matched --seeds N --no-twin`, the whole command with its imports, on warm workers of a
private Redis. Theirs: the same training written plainly (a Keras `fit`, a PyTorch loop), one Celery task a
seed, one warm worker process a framework, both at once; what takes longer decides. Of theirs a sample of the
seeds is timed, one after another and each framework alone, and scaled up, since a thousand take minutes in
PyTorch and hours in Keras. Prints a JSON document for both frameworks and one for PyTorch alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from processes import private_redis, process
from stack import HERE, Desk, document, plain_app, seconds, warm_workers

START = "{type: values, weights: {layers.0.kernel: [[0.37]], layers.0.bias: [0.0]}}"
"""Which the plain programs have."""


def main() -> None:
    """Time both and print a document for each set of frameworks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python-tensorflow", required=True)
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=2, help="seeds a framework of theirs that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    pythons = {"tensorflow": given.python_tensorflow, "torch": given.python_torch}
    with private_redis() as url:
        desk = Desk(url)
        theirs = {name: plain(desk, name, python, sample=given.sample) for name, python in pythons.items()}
        with warm_workers(pythons, desk):
            for frameworks in (list(pythons), ["torch"]):
                print(json.dumps(against(desk, frameworks, theirs, given)), flush=True)


def against(
    desk: Desk,
    frameworks: Sequence[str],
    theirs: dict[str, tuple[list[float], float]],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """One comparison; the first of ours warms up."""
    ours = [
        seconds(lambda: compare(desk, frameworks, "--seeds", str(given.seeds)))
        for _ in range(given.repeats + 1)
    ][1:]
    ours_s = statistics.median(ours)
    a_seed = {name: statistics.median(theirs[name][0]) for name in frameworks}
    theirs_s = max(a_seed.values()) * given.seeds
    told = compare(desk, frameworks, "--set", f"initial_weights={START}")["runs"]
    gaps = [abs(told[name][0]["final_loss"] / theirs[name][1] - 1) for name in frameworks]
    return document(
        f"{given.seeds:,} seeds in {' and '.join(frameworks)} with the verdict",
        rows={
            "the command_s": ours_s,
            **{f"plain Celery, one seed in {name}_s": value for name, value in a_seed.items()},
            f"plain Celery, {given.seeds:,} seeds, scaled up from {given.sample}_s": theirs_s,
            "largest gap between the final losses of one seed": f"{max(gaps):.1e}",
        },
        ratio=theirs_s / ours_s,
        at_least=50.0,
        bound="Nearly all of it is Keras's `fit`; the next table has PyTorch alone."
        if len(frameworks) > 1
        else "",
    )


def compare(desk: Desk, frameworks: Sequence[str], *words: str) -> dict[str, Any]:
    """What the command prints."""
    command = [sys.executable, "-m", "likewise.producer", "compare", "matched", "--no-twin", "--json",
               "--set", f"frameworks=[{','.join(frameworks)}]", *words]  # fmt: skip
    told = subprocess.run(command, env=desk.environment(), check=True, capture_output=True)
    document: dict[str, Any] = json.loads(told.stdout)
    return document


def plain(desk: Desk, framework: str, python: str, *, sample: int) -> tuple[list[float], float]:
    """Seconds of each sampled task from sending to its result, and its final loss."""
    app = plain_app(desk.url)
    queue = f"plain-{framework}"
    words = ["-m", "celery", "-A", f"plain_tasks_{framework}", "worker", "--pool=solo", "-Q", queue,
             "-n", f"{queue}@%h", "--loglevel=ERROR"]  # fmt: skip

    def train(seed: int) -> float:
        return float(app.send_task("train", args=[seed], queue=queue).get(timeout=300))

    with (
        tempfile.TemporaryDirectory() as folder,
        process([python, *words], {"PLAIN_REDIS": desk.url, "PYTHONPATH": str(HERE), "TMPDIR": folder}),
    ):
        loss = train(0)
        return [seconds(lambda seed=seed: train(seed)) for seed in range(sample)], loss  # type: ignore[misc]


if __name__ == "__main__":
    main()
