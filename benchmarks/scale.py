"""What a run and a waiting queue cost Redis: commands, bytes, memory. A busy machine does not change counts.

    python benchmarks/scale.py [--runs 200] [--queued 5000] [--most 8]

Starts a private redis-server and workers of the NumPy adapter of the tests, which train next to nothing, and
prints a JSON document for each:

a worker    what an idle worker costs Redis in a second
a run       what one run costs it, from its submission to its result, beside that
workers     how many runs a second 1, 2, 4 … workers end, and how many commands Redis answers meanwhile
producers   how many runs a second 1, 2, 4 … processes submit at once, while no worker takes any
a queue     how much memory a waiting run takes, and what a look of `likewise metrics` costs beside so many
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from contextlib import ExitStack
from typing import Any

from processes import private_redis, process, until
from stack import HERE, Desk, Prepared

from likewise.producer.metrics import Reader
from likewise.producer.runs.submit import Request, submit
from likewise.producer.session import Session
from likewise.shared.connection import connect
from likewise.shared.names import PREFIX
from likewise.shared.settings import Settings

JOB = ("frameworks=[numpy]",)
COUNTED = ("commands", "bytes_in", "bytes_out")
ADAPTER = HERE.parent / "tests" / "third_adapter"


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--queued", type=int, default=5_000)
    parser.add_argument("--most", type=int, default=8, help="workers, and producers, at once")
    given = parser.parse_args()
    numbers = [2**i for i in range(given.most.bit_length())]
    with private_redis() as url, ExitStack() as workers:
        desk = Desk(url)
        start_worker(workers, desk)
        idle = idle_cost(desk)
        tell("a worker", idle)
        tell("a run", run_cost(desk, given.runs, idle))
        found = {}
        for number in numbers:
            while len(desk.ledger.workers()) < number:
                start_worker(workers, desk)
            found[str(number)] = rates(desk, given.runs * min(number, 2))
        tell("workers", found)
        workers.close()
        tell("producers", {str(number): submitted(url, number, given.runs) for number in numbers})
    with private_redis() as url:
        tell("a queue", queue_cost(url, Desk(url), given.queued))


def tell(what: str, counted: dict[str, Any]) -> None:
    """Print a document."""
    print(json.dumps({what: counted}), flush=True)


def start_worker(workers: ExitStack, desk: Desk) -> None:
    """Start one more worker of the NumPy adapter, and wait until it takes runs."""
    settings = {
        "LIKEWISE_REDIS_URL": desk.url,
        "LIKEWISE_FRAMEWORK": "numpy",
        "PYTHONPATH": f"{HERE.parent}:{ADAPTER}",
    }
    before = sum(one.state == "idle" for one in desk.ledger.workers())
    workers.enter_context(process([sys.executable, "-m", "likewise.worker"], settings))
    until(lambda: sum(one.state == "idle" for one in desk.ledger.workers()) > before)


def rates(desk: Desk, runs: int) -> dict[str, float]:
    """How many runs a second the workers end that are there, and commands and bytes a second meanwhile."""
    job = Prepared(*JOB)
    before = counters(desk.client)
    records = [desk.submit(job) for _ in range(runs)]
    ids = [run_id for record in records for run_id in record.run_ids]
    until(lambda: all(record.final for record in desk.ledger.records(ids)))
    cost = grown(before, counters(desk.client))
    ended = sorted(record.finished_s or 0.0 for record in desk.ledger.records(ids))
    middle = ended[runs // 10 : -runs // 10]  # the first were alone, the last no more than one
    return {
        "runs_a_second": round((len(middle) - 1) / (middle[-1] - middle[0]), 1),
        "commands_a_second": round(cost["commands"] / cost["at_s"]),
        "bytes_a_second": round((cost["bytes_in"] + cost["bytes_out"]) / cost["at_s"]),
    }


def submitted(url: str, producers: int, runs: int) -> float:
    """How many runs a second so many processes submit at once."""
    with multiprocessing.get_context("spawn").Pool(producers) as pool:
        times = pool.starmap(submit_many, [(url, runs)] * producers, chunksize=1)
    begin, end = min(first for first, _ in times), max(last for _, last in times)
    return round(producers * runs / (end - begin), 1)


def submit_many(url: str, runs: int) -> tuple[float, float]:
    """Submit runs of a job one after another; returns when that began and ended, by the clock of the host."""
    desk, job = Desk(url), Prepared(*JOB)
    begin = time.time()
    for _ in range(runs):
        submit(desk, job.experiment, job.runs, Request(queue_anyway=True))
    return begin, time.time()


def counters(client: Any) -> dict[str, float]:
    """What Redis has counted so far."""
    stats, memory = client.info("stats"), client.info("memory")
    return {
        "commands": float(stats["total_commands_processed"]),
        "bytes_in": float(stats["total_net_input_bytes"]),
        "bytes_out": float(stats["total_net_output_bytes"]),
        "memory": float(memory["used_memory"]),
        "at_s": time.monotonic(),
    }


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """How much each counter has grown."""
    return {name: after[name] - before[name] for name in before}


def idle_cost(desk: Desk, seconds: float = 10.0) -> dict[str, Any]:
    """What an idle worker costs Redis in a second."""
    client = desk.client
    before = counters(client)
    time.sleep(seconds)
    cost = grown(before, counters(client))
    return {f"{name}_a_second": round(cost[name] / cost["at_s"], 1) for name in COUNTED}


def run_cost(desk: Desk, runs: int, idle: dict[str, Any]) -> dict[str, Any]:
    """What a run costs, without what the worker costs anyway."""
    job = Prepared(*JOB)
    desk.result(desk.submit(job))
    before = counters(desk.client)
    records = [desk.submit(job) for _ in range(runs)]
    for record in records:
        desk.result(record)
    cost = grown(before, counters(desk.client))
    own = {
        f"{name}_a_run": round((cost[name] - idle[f"{name}_a_second"] * cost["at_s"]) / runs, 1)
        for name in COUNTED
    }
    return {"runs": runs, **own, "memory_a_run": round(cost["memory"] / runs)}


def queue_cost(url: str, desk: Desk, most: int) -> dict[str, Any]:
    """What waiting runs cost, and a look at them."""
    job = Prepared(*JOB)
    client = connect(url)
    found: dict[str, Any] = {}
    waiting = 0
    before = counters(client)
    for many in (most // 10, most):
        while waiting < many:
            submit(desk, job.experiment, job.runs, Request(queue_anyway=True))
            waiting += 1
        now = counters(client)
        found[f"memory_a_run_of_{many}"] = round((now["memory"] - before["memory"]) / many)
        session = Session(Settings(redis_url=url), redis_url=url, client=client, local=False)
        reader = Reader(session)
        for which in ("first", "next"):
            start = counters(client)
            begin = time.perf_counter()
            snapshot = reader.snapshot()
            took = time.perf_counter() - begin
            if sum(lane.runs for lane in snapshot.lanes) != many:
                raise ValueError(f"a look counts other than {many} runs")
            cost = grown(start, counters(client))
            found[f"{which}_look_at_{many}"] = {"commands": cost["commands"], "seconds": round(took, 4)}
    found["keys"] = sum(1 for _ in client.scan_iter(match=f"{PREFIX}*", count=5_000))
    return found


if __name__ == "__main__":
    main()
