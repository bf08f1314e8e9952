"""What the service itself costs: round trip, the command's start, a second replica.

    python benchmarks/service.py --python-tensorflow PY --python-torch PY [--repeats 15]

Starts a private redis-server and real workers, and prints one JSON document of medians and ratios:

round_trip    submit to result less the training itself, against a plain Celery no-op task on the same
              Redis with the same settings of pool and prefetch; and the time to submit one of many
command       `likewise compare matched` on warm workers against the bare import of what it needs
replicas      independent jobs by two workers against one

Both sides of a ratio are measured in turns, so that a drift of the machine falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import celery

from producer.data import prepare_all
from producer.data.prepared import PreparedRun
from producer.job.jobfile import read_experiment
from producer.job.resolve import resolve
from producer.queue.collect import collect
from producer.queue.follow import follow
from producer.queue.submit import submit
from shared.blobs import BlobStore
from shared.celery_app import make_app
from shared.connection import connect
from shared.errors import RedisError
from shared.ledger import Ledger
from shared.records import ExperimentRecord
from shared.result import RunResult, Timings

HERE = Path(__file__).resolve().parent
IMPORTS = "import celery, redis, pydantic, typer, numpy"
READY_S = 120.0
JOB = ("frameworks=[torch]", "execution=eager")
LONG = (*JOB, "training.epochs=4000")
"""Trains for about half a second."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python-tensorflow", required=True)
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=24, help="independent jobs for the replicas")
    given = parser.parse_args()
    with ExitStack() as stack:
        url = stack.enter_context(private_redis())
        desk = Desk(url)
        stack.enter_context(worker("torch", given.python_torch, desk))
        document = {
            "load_before": os.getloadavg()[0],
            "round_trip": round_trip(desk, given.python_torch, repeats=given.repeats),
        }
        one_s = finish_all(desk, given.jobs)
        with worker("torch", given.python_torch, desk):
            two_s = finish_all(desk, given.jobs)
        document["replicas"] = {"jobs": given.jobs, "one_s": one_s, "two_s": two_s, "ratio": one_s / two_s}
        stack.enter_context(worker("tensorflow", given.python_tensorflow, desk))
        document["command"] = command(url, repeats=given.repeats)
    print(json.dumps(rounded(document), indent=2))


class Desk:
    """A producer's connections to the private Redis."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = connect(url)
        self.ledger = Ledger(self.client, retention_s=3600)
        self.app = make_app(url, retention_s=3600)
        self._blobs = BlobStore(self.client, url=None, redis_limit_bytes=2**20, retention_s=3600)

    def submit(self, *changes: str) -> ExperimentRecord:
        loaded = read_experiment("matched", list(changes))
        jobs = resolve(loaded.experiment)
        data = prepare_all(jobs, loaded.base)
        prepared = {name: PreparedRun(job=job, data=data[name]) for name, job in jobs.items()}
        return submit(loaded.experiment, prepared, ledger=self.ledger, blobs=self._blobs, app=self.app)

    def result(self, record: ExperimentRecord) -> RunResult:
        """Follow to the end and collect. Raises ValueError for a run that failed."""
        for _ in follow(record, ledger=self.ledger, client=self.client):
            pass
        (result,) = collect(record, app=self.app, ledger=self.ledger)
        if result.failure is not None:
            raise ValueError(result.failure.message)
        return result


def round_trip(desk: Desk, python: str, *, repeats: int) -> dict[str, float]:
    """Ours, less what the worker says it spent on building, training and predicting; and plain Celery's."""
    with plain_worker(desk.url, python) as plain:
        ours, theirs = in_turns(lambda: overhead_s(desk), lambda: no_op_s(plain), repeats=repeats)
        begin = time.perf_counter()
        for _ in range(500):
            plain.send_task("nothing", queue="plain")
        plain_enqueue_s = (time.perf_counter() - begin) / 500
        plain.control.purge()
    begin = time.perf_counter()
    records = [desk.submit(*JOB, "training.epochs=1") for _ in range(100)]
    enqueue_s = (time.perf_counter() - begin) / len(records)
    for record in records:
        desk.result(record)
    return {"ours_s": ours, "plain_s": theirs, "ratio": ours / theirs,
            "submit_s": enqueue_s, "plain_send_s": plain_enqueue_s}  # fmt: skip


def overhead_s(desk: Desk) -> float:
    begin = time.perf_counter()
    result = desk.result(desk.submit(*JOB, "training.epochs=1"))
    seconds = time.perf_counter() - begin
    spent = timings_of(result)
    return seconds - spent.build_s - spent.compile_s - spent.train_s - spent.predict_s


def timings_of(result: RunResult) -> Timings:
    """Of its only seed. Raises ValueError where it has none."""
    timings = result.seeds[0].timings
    if timings is None:
        raise ValueError("a run without timings")
    return timings


def no_op_s(plain: celery.Celery) -> float:
    begin = time.perf_counter()
    plain.send_task("nothing", queue="plain").get(timeout=60)
    return time.perf_counter() - begin


def finish_all(desk: Desk, jobs: int) -> float:
    """Seconds from the first submission to the last result."""
    begin = time.perf_counter()
    for record in [desk.submit(*LONG) for _ in range(jobs)]:
        desk.result(record)
    return time.perf_counter() - begin


def command(url: str, *, repeats: int) -> dict[str, float]:
    """The whole command on warm workers, and the import that is its bar."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")},
        "LIKEWISE_REDIS_URL": url,
        "PYTHONPATH": str(HERE.parent),
    }

    def seconds(*words: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True)
        return time.perf_counter() - begin

    ours = ("-m", "producer", "compare", "matched")
    plain_s, bare_s = in_turns(lambda: seconds(*ours), lambda: seconds("-c", IMPORTS), repeats=repeats)
    lean_s = statistics.median(seconds(*ours, "--no-twin") for _ in range(repeats))
    return {"compare_s": plain_s, "no_twin_s": lean_s, "import_s": bare_s,
            "ratio": plain_s / bare_s, "no_twin_ratio": lean_s / bare_s}  # fmt: skip


def in_turns(first: Callable[[], float], second: Callable[[], float], *, repeats: int) -> tuple[float, float]:
    """The medians of two, each measured right after the other, the first pair to warm up."""
    pairs = [(first(), second()) for _ in range(repeats + 1)][1:]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


@contextmanager
def private_redis() -> Iterator[str]:
    """A redis-server with a password and an append-only file; its URL."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port, password = probe.getsockname()[1], secrets.token_hex(8)
        probe.close()
        program = shutil.which("redis-server")
        if program is None:
            sys.exit("there is no redis-server on PATH")
        words = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", password, "--appendonly", "yes",
                 "--save", "", "--dir", folder]  # fmt: skip
        with process([program, *words], {}):
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            until(lambda: reachable(url))
            yield url


def reachable(url: str) -> bool:
    try:
        connect(url).close()
    except RedisError:
        return False
    return True


@contextmanager
def worker(framework: str, python: str, desk: Desk) -> Iterator[None]:
    """One more worker of ours, warm."""
    before = len(desk.ledger.workers())
    settings = {
        "LIKEWISE_REDIS_URL": desk.url,
        "LIKEWISE_FRAMEWORK": framework,
        "PYTHONPATH": str(HERE.parent),
    }
    with process([python, "-m", "worker"], settings):
        until(lambda: sum(one.state == "idle" for one in desk.ledger.workers()) > before)
        yield


@contextmanager
def plain_worker(url: str, python: str) -> Iterator[celery.Celery]:
    """A Celery worker with one process and a task that does nothing."""
    words = ["-m", "celery", "-A", "plain_tasks_nothing", "worker", "--concurrency=1", "-Q", "plain",
             "-n", "plain@%h", "--loglevel=ERROR"]  # fmt: skip
    with process([python, *words], {"PLAIN_REDIS": url, "PYTHONPATH": str(HERE)}):
        app = celery.Celery("plain", broker=url, backend=url)
        app.send_task("nothing", queue="plain").get(timeout=READY_S)
        yield app


@contextmanager
def process(words: Sequence[str], settings: dict[str, str]) -> Iterator[None]:
    """A process that ends with the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")}
    started = subprocess.Popen(
        words, env=kept | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        started.terminate()
        started.wait(timeout=60)


def until(reached: Callable[[], bool]) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + READY_S
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"not ready within {READY_S:.0f} s")
        time.sleep(0.05)


def rounded(value: Any) -> Any:
    """Numbers with as many digits as mean something."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
