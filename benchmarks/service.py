"""What the service itself costs: round trip, the command's start, a second replica.

    python benchmarks/service.py --python-tensorflow PY --python-torch PY [--repeats 15]

Starts a private redis-server and real workers, and prints a JSON document for each:

round trip    submit to result less the training itself, against a plain Celery no-op task on the same
              Redis; and the time to submit one of many
command       `likewise compare matched` on warm workers against the bare import of what it needs
replicas      independent jobs by two warm workers of one thread against one, measured before and after;
              beside it the same trainings in one and in two plain processes without a service, which is
              what this machine lets a second worker bring at most

Sides of a ratio are measured in turns, so that a drift of the machine falls on both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import celery
import numpy as np
from processes import READY_S, clean, private_redis, process
from stack import (
    HERE,
    Desk,
    Prepared,
    document,
    in_turns,
    plain_app,
    seconds,
    timings_of,
    warm_workers,
    worker,
)

IMPORTS = "import celery, redis, pydantic, typer, numpy"
JOB = ("frameworks=[torch]", "execution=eager")
PARTS = ("round_trip", "command", "replicas")
OF_A_JOB_S = 1.0
"""Training of one job for the replicas, about."""


def main() -> None:
    """Measure the service and print what it does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python-tensorflow", required=True)
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=8, help="independent jobs for the replicas")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    with private_redis() as url:
        desk = Desk(url)
        with warm_workers({"torch": given.python_torch}, desk):
            if "round_trip" in given.parts:
                tell(round_trip(desk, given.python_torch, repeats=4 * given.repeats))
            if "replicas" in given.parts:
                tell(replicas(desk, given.python_torch, jobs=given.jobs))
            if "command" in given.parts:
                with worker("tensorflow", given.python_tensorflow, desk):
                    tell(command(desk, repeats=given.repeats))


def tell(measured: dict[str, Any]) -> None:
    print(json.dumps(measured), flush=True)


def round_trip(desk: Desk, python: str, *, repeats: int) -> dict[str, Any]:
    """Ours, less what the worker says it spent on building, training and predicting; and plain Celery's."""
    job = Prepared(*JOB, "training.epochs=1")

    def ours() -> float:
        begin = time.perf_counter()
        result = desk.result(desk.submit(job))
        whole_s = time.perf_counter() - begin
        spent = timings_of(result)
        return whole_s - spent.build_s - spent.compile_s - spent.train_s - spent.predict_s

    with plain_worker(desk.url, python) as plain:
        ours_s, plain_s = in_turns(
            ours,
            lambda: seconds(lambda: plain.send_task("nothing", queue="plain").get(timeout=60)),
            repeats=repeats,
        )
        plain_send_s = seconds(lambda: [plain.send_task("nothing", queue="plain") for _ in range(500)]) / 500
        plain.control.purge()
    begin = time.perf_counter()
    records = [desk.submit(job) for _ in range(200)]
    submit_s = (time.perf_counter() - begin) / len(records)
    for record in records:
        desk.result(record)
    return document(
        "A warm round trip, submit to result less the training",
        rows={
            "ours_s": ours_s,
            "plain Celery, a task that does nothing_s": plain_s,
            "ours, submission alone_s": submit_s,
            "plain Celery, sending alone_s": plain_send_s,
        },
        ratio=ours_s / plain_s,
        at_most=2.0,
        bound="A run takes three steps in Redis more than a Celery task, each answered before the next: its "
        "record is written before the message is sent, a worker claims it, and its arrays are stored.",
    )


def replicas(desk: Desk, python: str, *, jobs: int) -> dict[str, Any]:
    """One worker, two, and one again."""
    probe = timings_of(desk.result(desk.submit(Prepared(*JOB, "training.epochs=2000"))))
    epochs = round(2000 * OF_A_JOB_S / probe.train_s)
    job, short = Prepared(*JOB, f"training.epochs={epochs}"), Prepared(*JOB, "training.epochs=50")

    def finish_all() -> float:
        return seconds(lambda: [desk.result(record) for record in [desk.submit(job) for _ in range(jobs)]])

    halves = [jobs // 2, jobs - jobs // 2]
    one = [finish_all()]
    alone = [plain_s(python, epochs, [jobs])]
    with worker("torch", python, desk):
        for record in [desk.submit(short) for _ in range(20)]:
            desk.result(record)
        both = [finish_all()]
        together = [plain_s(python, epochs, halves)]
        both.append(finish_all())
        together.append(plain_s(python, epochs, halves))
    one.append(finish_all())
    alone.append(plain_s(python, epochs, [jobs]))
    ratio = sum(one) / sum(both)
    (alone_s, alone_cpu_s), (together_s, together_cpu_s) = np.sum(alone, axis=0), np.sum(together, axis=0)
    ceiling = alone_s / together_s
    return document(
        "Two replicas against one, independent jobs",
        rows={
            f"one worker, {jobs} jobs_s": sum(one) / 2,
            f"two workers, {jobs} jobs_s": sum(both) / 2,
            f"one plain process, {jobs} trainings_s": alone_s / 2,
            f"two plain processes, {jobs} trainings_s": together_s / 2,
            "times as fast, two plain processes": ceiling,
            "CPU time of a training side by side, of that alone": together_cpu_s / alone_cpu_s,
        },
        ratio=ratio,
        at_least=1.7,
        bound=f"Two plain processes without a service are {ceiling:.2f} times as fast as one on this "
        f"machine; the service reaches {100 * ratio / ceiling:.0f} % of that.",
    )


def plain_s(python: str, epochs: int, shares: Sequence[int]) -> tuple[float, float]:
    """Seconds in which processes that train side by side do their shares of the jobs, and of CPU time."""
    with train_plainly(python, epochs, shares) as started:
        begin = time.perf_counter()
        for one in started:
            print("go", file=one.stdin, flush=True)
        cpu_s = sum(float(said(one)) for one in started)
        return time.perf_counter() - begin, cpu_s


@contextmanager
def train_plainly(python: str, epochs: int, shares: Sequence[int]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ready to train."""
    started = [
        subprocess.Popen(
            [python, HERE / "plain_training.py", "torch", str(epochs), str(jobs)],
            env=clean() | {"PYTHONPATH": str(HERE.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for jobs in shares
    ]
    try:
        for one in started:
            said(one)
        yield started
    finally:
        for one in started:
            one.kill()
            one.communicate()


def said(one: subprocess.Popen[str]) -> str:
    """Return its next line. Raises RuntimeError where it ended."""
    line = one.stdout.readline().strip() if one.stdout else ""
    if not line:
        raise RuntimeError("plain_training.py ended early")
    return line


def command(desk: Desk, *, repeats: int) -> dict[str, Any]:
    """The whole command on warm workers, and the import that is its bar."""

    def run(*words: str) -> float:
        return seconds(
            lambda: subprocess.run(
                [sys.executable, *words], env=desk.environment(), check=True, capture_output=True
            )
        )

    compare = ("-m", "likewise.producer", "compare", "matched")
    ours_s, lean_s, import_s = in_turns(
        lambda: run(*compare), lambda: run(*compare, "--no-twin"), lambda: run("-c", IMPORTS), repeats=repeats
    )
    return document(
        "The command `likewise compare matched` on warm workers",
        rows={
            "the command_s": ours_s,
            "the command with --no-twin_s": lean_s,
            f'python -c "{IMPORTS}"_s': import_s,
        },
        ratio=ours_s / import_s,
        at_most=3.0,
        bound="Beyond those imports the command loads Celery's application, Rich and its own hundred "
        "pydantic models, while the runs train.",
    )


@contextmanager
def plain_worker(url: str, python: str) -> Iterator[celery.Celery]:
    """A Celery worker with one process and a task that does nothing."""
    words = ["-m", "celery", "-A", "plain_tasks_nothing", "worker", "--concurrency=1", "-Q", "plain",
             "-n", "plain@%h", "--loglevel=ERROR"]  # fmt: skip
    with process([python, *words], {"PLAIN_REDIS": url, "PYTHONPATH": str(HERE)}):
        app = plain_app(url)
        app.send_task("nothing", queue="plain").get(timeout=READY_S)
        yield app


if __name__ == "__main__":
    main()
