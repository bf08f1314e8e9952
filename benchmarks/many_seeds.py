"""A thousand seeds in both frameworks with the verdict, against plain Celery with a task a seed.

    python benchmarks/many_seeds.py --redis URL --python-tensorflow PY --python-torch PY [--seeds 1000]

Ours: `likewise compare matched --seeds N`, measured as a user runs it, imports included, on warm workers
of the same Redis. Theirs: the same training written plainly (a Keras `fit`, a PyTorch loop), one Celery
task a seed, one warm worker process a framework, both at once; what takes longer decides. Of theirs
`--sample` seeds a framework are timed, one after another and alone, and scaled up, since a thousand take
minutes in PyTorch and hours in Keras. `--frameworks torch` compares PyTorch alone.
Prints medians and their ratio, and how far the final losses of one seed lie apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Time both and print the ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", required=True, help="an empty Redis with warm workers of ours")
    parser.add_argument("--python-tensorflow", required=True)
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=4, help="seeds a framework of theirs that are timed")
    parser.add_argument("--frameworks", default="tensorflow,torch")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    frameworks = given.frameworks.split(",")
    ours = [_ours(given.redis, frameworks, given.seeds) for _ in range(given.repeats + 1)][1:]  # one warms up
    ours_s = statistics.median(ours)
    losses = _final_losses(given.redis, frameworks)
    pythons = {"tensorflow": given.python_tensorflow, "torch": given.python_torch}
    theirs = {name: _theirs(given.redis, name, pythons[name], sample=given.sample) for name in frameworks}
    theirs_s = max(statistics.median(seconds) for seconds, _ in theirs.values()) * given.seeds
    document = {
        "seeds": given.seeds,
        "frameworks": frameworks,
        "ours_s": round(ours_s, 3),
        "ours_samples_s": [round(seconds, 3) for seconds in ours],
        "plain_seeds_sampled": given.sample,
        "plain_celery_s": round(theirs_s, 1),
        "plain_seed_samples_s": {
            name: [round(one, 3) for one in seconds] for name, (seconds, _) in theirs.items()
        },
        "ratio": round(theirs_s / ours_s, 1),
        "final_loss_gap": max(abs(losses[name] - loss) / loss for name, (_, loss) in theirs.items()),
    }
    print(json.dumps(document, indent=2))


def _ours(redis_url: str, frameworks: list[str], seeds: int) -> float:
    """Seconds of the whole command."""
    begin = time.perf_counter()
    _compare(redis_url, frameworks, "--seeds", str(seeds))
    return time.perf_counter() - begin


def _final_losses(redis_url: str, frameworks: list[str]) -> dict[str, float]:
    """From the start that the plain programs have: kernel 0.37, bias 0."""
    start = "{type: values, weights: {layers.0.kernel: [[0.37]], layers.0.bias: [0.0]}}"
    runs = _compare(redis_url, frameworks, "--set", f"initial_weights={start}")["runs"]
    return {name: runs[name][0]["final_loss"] for name in frameworks}


def _compare(redis_url: str, frameworks: list[str], *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "producer.cli", "compare", "matched", "--no-twin", "--json", "--set",
               f"frameworks=[{','.join(frameworks)}]", *words]  # fmt: skip
    told = subprocess.run(command, env=_environment(redis_url), check=True, capture_output=True)
    document: dict[str, Any] = json.loads(told.stdout)
    return document


def _theirs(redis_url: str, framework: str, python: str, *, sample: int) -> tuple[list[float], float]:
    """Seconds of each sampled task from sending to its result, and its final loss."""
    import celery

    app = celery.Celery("plain", broker=redis_url, backend=redis_url)
    queue = f"plain-{framework}"
    with tempfile.TemporaryDirectory() as folder:
        worker = subprocess.Popen(
            [python, "-m", "celery", "-A", f"plain_tasks_{framework}", "worker", "--pool=solo", "-Q", queue,
             "-n", f"{queue}@%h", "--loglevel=ERROR"],
            env=_environment(redis_url) | {"PYTHONPATH": str(HERE)},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            loss = app.send_task("train", args=[0], queue=queue).get(timeout=300)
            seconds = []
            for seed in range(sample):
                begin = time.perf_counter()
                app.send_task("train", args=[seed], queue=queue).get(timeout=300)
                seconds.append(time.perf_counter() - begin)
        finally:
            worker.terminate()
            worker.wait(timeout=30)
    return seconds, float(loss)


def _environment(redis_url: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")},
        "LIKEWISE_REDIS_URL": redis_url,
        "PLAIN_REDIS": redis_url,
        "PYTHONPATH": str(HERE.parent),
    }


if __name__ == "__main__":
    main()
