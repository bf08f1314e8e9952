"""Ten thousand runs submitted at once: the producer's memory, Redis use a run, seconds to submit and collect.

    python benchmarks/many_runs.py --python-torch PY [--runs 10000] [--workers 2]

Starts a private redis-server, submits one experiment of so many runs of one epoch each, starts warm workers
and collects as they train. Prints a JSON document. Memory is that of the producer's process; what a run needs
in Redis is its record and its document while it is queued, and its result and progress besides at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from processes import private_redis
from stack import Desk, Prepared, document, worker

from likewise.producer.runs.follow import follow
from likewise.producer.runs.results import results
from likewise.producer.runs.submit import RunMaker, new_id, submit_runs
from likewise.shared.names import lane_of, messages_key


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python-tensorflow")  # given to every benchmark of the service
    parser.add_argument("--python-torch", required=True)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with private_redis() as url, ExitStack() as stack:
        desk = Desk(url)
        print(json.dumps(measure(desk, given, stack)))


def measure(desk: Desk, given: argparse.Namespace, stack: ExitStack) -> dict[str, Any]:
    """Submit many runs, train them and collect their results."""
    job = Prepared("frameworks=[torch]", "training.epochs=1")
    desk.ledger.workers()  # connects
    redis_before, producer_before = redis_bytes(desk), resident_bytes()
    begin = time.perf_counter()
    maker = RunMaker(desk)
    (first,) = maker.runs(job.runs["torch"], (0,))
    runs = [first.model_copy(update={"run_id": new_id()}) for _ in range(given.runs)]
    record = submit_runs(desk, maker, job.experiment, runs)
    submit_s = time.perf_counter() - begin
    redis_queued, producer_queued = redis_bytes(desk), resident_bytes()
    del runs
    for _ in range(given.workers):
        stack.enter_context(worker("torch", given.python_torch, desk))
    waiting = desk.client.llen(messages_key(lane_of("train.torch.any", "normal")))
    begin = time.perf_counter()
    updates = sum(1 for _ in follow(record, ledger=desk.ledger, client=desk.client))
    train_s = time.perf_counter() - begin
    producer_followed = resident_bytes()
    begin = time.perf_counter()
    succeeded = sum(result.status == "succeeded" for result in results(record, ledger=desk.ledger))
    collect_s = time.perf_counter() - begin
    if succeeded != given.runs:
        raise SystemExit(f"{given.runs - succeeded} of {given.runs} runs did not succeed")
    return document(
        f"{given.runs:,} runs submitted at once",
        rows={
            "submitted in_s": submit_s,
            "submitted a second": given.runs / submit_s,
            f"trained by {given.workers} workers in_s": train_s,
            "trained a second": waiting / train_s,
            "collected in_s": collect_s,
            "collected a second": given.runs / collect_s,
            "updates followed": str(updates),
            "producer's memory before, MiB": mib(producer_before),
            "producer's memory with all submitted, MiB": mib(producer_queued),
            "producer's memory with all followed, MiB": mib(producer_followed),
            "producer's memory with all collected, MiB": mib(resident_bytes()),
            "Redis bytes a queued run": str(round((redis_queued - redis_before) / given.runs)),
            "Redis bytes a finished run, result included": str(
                round((redis_bytes(desk) - redis_before) / given.runs)
            ),
            "subscriptions left": str(len(desk.client.pubsub_channels())),
        },
        bound="Each run trains one epoch, so what a worker does around a training takes nearly all of the "
        "time. A finished run stays in Redis for LIKEWISE_RETENTION_DAYS, or until `likewise delete`.",
    )


def mib(size: int) -> str:
    return f"{size / 2**20:.0f}"


def redis_bytes(desk: Desk) -> int:
    return int(desk.client.info("memory")["used_memory"])


def resident_bytes() -> int:
    """Return the memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    main()
