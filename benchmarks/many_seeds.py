"""A thousand seeds in both frameworks with the verdict, against plain Celery with a task a seed.

    python benchmarks/many_seeds.py --redis URL --python-tensorflow PY --python-torch PY [--seeds 1000]

Ours: `likewise compare matched --seeds N`, measured as a user runs it, imports included, on warm workers
of the same Redis. Theirs: the same training written plainly (a Keras `fit`, a PyTorch loop), one Celery
task a seed, two worker processes, one a framework, warm. Of theirs a sample of `--sample` seeds is timed
and scaled up, since a thousand take minutes; that the cost is even is seen by halves of the sample.
Prints the medians and their ratio. Both must come to the same final losses.
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
RATE, EPOCHS = 0.01, 500
FRAMEWORKS = ("tensorflow", "torch")


def main() -> None:
    """Time both and print the ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", required=True, help="an empty Redis with warm workers of ours")
    parser.add_argument("--python-tensorflow", required=True)
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=20, help="seeds of the plain tasks that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    ours = [_ours(given.redis, given.seeds) for _ in range(given.repeats + 1)][1:]  # the first warms up
    pythons = {"tensorflow": given.python_tensorflow, "torch": given.python_torch}
    theirs = _theirs(given.redis, pythons, sample=given.sample)
    ours_s = statistics.median(seconds for seconds, _ in ours)
    theirs_s = statistics.median(theirs["halves_s"]) * 2 / given.sample * given.seeds
    loss = ours[-1][1]
    print(  # noqa: T201
        json.dumps(
            {
                "seeds": given.seeds,
                "ours_s": round(ours_s, 3),
                "ours_samples_s": [round(seconds, 3) for seconds, _ in ours],
                "plain_celery_s": round(theirs_s, 1),
                "plain_halves_s": [round(seconds, 3) for seconds in theirs["halves_s"]],
                "sampled_seeds": given.sample,
                "ratio": round(theirs_s / ours_s, 1),
                "final_loss_gap": max(
                    abs(loss[name] - theirs["loss"][name]) / loss[name] for name in FRAMEWORKS
                ),
            },
            indent=2,
        )
    )


def _ours(redis_url: str, seeds: int) -> tuple[float, dict[str, float]]:
    """Seconds of the command, and the final loss of a start that both know (kernel 0.37, bias 0)."""
    start = "initial_weights={type: values, weights: {layers.0.kernel: [[0.37]], layers.0.bias: [0.0]}}"
    command = [sys.executable, "-m", "producer.cli", "compare", "matched", "--seeds", str(seeds), "--json"]
    begin = time.perf_counter()
    subprocess.run([*command, "--no-twin"], env=_environment(redis_url), check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    one = [*command[:5], "--set", start, "--json", "--no-twin"]
    told = subprocess.run(one, env=_environment(redis_url), check=True, capture_output=True)
    runs = json.loads(told.stdout)["runs"]
    return seconds, {name: runs[name][0]["final_loss"] for name in FRAMEWORKS}


def _theirs(redis_url: str, pythons: dict[str, str], *, sample: int) -> dict[str, Any]:
    """Seconds of each half of the sampled seeds, in both frameworks at once, and their final losses."""
    import celery

    app = celery.Celery("plain", broker=redis_url, backend=redis_url)
    with tempfile.TemporaryDirectory() as folder:
        workers = [
            subprocess.Popen(
                [python, "-m", "celery", "-A", f"plain_tasks_{name}", "worker", "--pool=solo", "-Q",
                 f"plain-{name}", "-n", f"plain-{name}@%h", "--loglevel=ERROR"],
                env=_environment(redis_url) | {"PYTHONPATH": str(HERE)},
                cwd=folder,
            )
            for name, python in pythons.items()
        ]  # fmt: skip
        try:
            warm = [app.send_task("train", args=[0], queue=f"plain-{name}") for name in FRAMEWORKS]
            losses = dict(zip(FRAMEWORKS, (one.get(timeout=300) for one in warm), strict=True))
            halves = []
            for half in range(2):
                seeds = range(half * sample // 2, (half + 1) * sample // 2)
                begin = time.perf_counter()
                sent = [
                    app.send_task("train", args=[seed], queue=f"plain-{name}")
                    for seed in seeds
                    for name in FRAMEWORKS
                ]
                for one in sent:
                    one.get(timeout=600)
                halves.append(time.perf_counter() - begin)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(timeout=30)
    return {"halves_s": halves, "loss": losses}


def _environment(redis_url: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")},
        "LIKEWISE_REDIS_URL": redis_url,
        "PLAIN_REDIS": redis_url,
        "PYTHONPATH": str(HERE.parent),
    }


if __name__ == "__main__":
    main()
