"""What a run and a waiting queue cost Redis: commands, bytes, memory. A busy machine does not change counts.

    python benchmarks/scale.py [--runs 200] [--queued 5000]

Starts a private redis-server and a worker of the NumPy adapter of the tests, which trains next to nothing,
and prints a JSON document for each:

a worker   what an idle worker costs Redis in a second
a run      what one run costs it, from its submission to its result, beside that
a queue    how much memory a waiting run takes, and what a look of `likewise metrics` costs beside so many
"""

from __future__ import annotations

import argparse
import json
import sys
import time
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
    given = parser.parse_args()
    with private_redis() as url:
        desk = Desk(url)
        settings = {
            "LIKEWISE_REDIS_URL": url,
            "LIKEWISE_FRAMEWORK": "numpy",
            "PYTHONPATH": f"{HERE.parent}:{ADAPTER}",
        }
        with process([sys.executable, "-m", "likewise.worker"], settings):
            until(lambda: any(one.state == "idle" for one in desk.ledger.workers()))
            idle = idle_cost(desk)
            print(json.dumps({"a worker": idle}))
            print(json.dumps({"a run": run_cost(desk, given.runs, idle)}))
        print(json.dumps({"a queue": queue_cost(url, desk, given.queued)}))


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
