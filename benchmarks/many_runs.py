"""Ten thousand runs submitted at once: memory of the producer, Redis use a run, seconds a run.

    python benchmarks/many_runs.py --redis URL [--runs 10000]

Submits small experiments of one run each to an empty Redis without workers, then reads all their records
and payloads as `collect` does. Prints one JSON document, with what each thousand added.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

from producer.data import prepare_all
from producer.data.prepared import PreparedRun
from producer.job.jobfile import read_experiment
from producer.job.resolve import resolve
from producer.queue.submit import submit
from shared.blobs import BlobStore
from shared.celery_app import make_app
from shared.connection import connect
from shared.ledger import Ledger


def main() -> None:
    """Print one JSON document, with an entry a thousand runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", required=True)
    parser.add_argument("--runs", type=int, default=10_000)
    given = parser.parse_args()
    client = connect(given.redis)
    ledger = Ledger(client, retention_s=3600)
    app = make_app(given.redis, retention_s=3600)
    blobs = BlobStore(client, url=None, redis_limit_bytes=2**20, retention_s=3600)
    loaded = read_experiment("matched", ["frameworks=[torch]"])
    jobs = resolve(loaded.experiment)
    data = prepare_all(jobs, loaded.base)
    prepared = {name: PreparedRun(job=job, data=data[name]) for name, job in jobs.items()}
    run_ids: list[str] = []
    thousands: list[dict[str, float]] = []
    before = client.info("memory")["used_memory"]
    for first in range(0, given.runs, 1_000):
        begin = time.perf_counter()
        many = min(1_000, given.runs - first)
        for _ in range(many):
            record = submit(
                loaded.experiment, prepared, ledger=ledger, blobs=blobs, app=app, queue_anyway=True
            )
            run_ids += record.run_ids
        seconds = time.perf_counter() - begin
        used = client.info("memory")["used_memory"] - before
        thousands.append({
            "runs": len(run_ids),
            "seconds_a_run": round(seconds / many, 5),
            "redis_bytes_a_run": round(used / len(run_ids)),
            "producer_peak_mib": _peak_mib(),
        })  # fmt: skip
    begin = time.perf_counter()
    found = sum(not record.final for record in ledger.records(run_ids))
    missing = sum(payload is None for payload in ledger.payloads(run_ids))
    read = {
        "records": found,
        "without_result": missing,
        "seconds": round(time.perf_counter() - begin, 3),
        "producer_peak_mib": _peak_mib(),
    }
    print(json.dumps({"submitted": thousands, "read": read}, indent=2))


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
