"""`likewise workers`: who is there to train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.commands.options import AsJson

if TYPE_CHECKING:
    from shared.ledger.records import WorkerPresence


def command(
    as_json: AsJson = False,
) -> None:
    """List the live workers: what they train with, where, and what they are busy with.

    Example: likewise workers
    """
    from producer.commands._printing import print_json, say
    from producer.session import open_running
    from shared.settings import Settings

    session = open_running(Settings.from_environment())
    if session is None:
        workers: list[WorkerPresence] = []
        now = 0.0
        say("no Redis is configured and no local stack runs; `likewise up` starts one")
    else:
        with session:
            workers, now = session.ledger.census()
        if not workers:
            start = (
                "`likewise up` starts local ones"
                if session.local
                else "`likewise doctor` says how to start one"
            )
            say(f"no worker is live; {start}")
    if as_json:
        print_json({"workers": [_row(worker, now) for worker in workers]})
    elif workers:
        _print_table(workers, now)


def _row(worker: WorkerPresence, now: float) -> dict[str, Any]:
    return {
        "worker_id": worker.worker_id,
        "framework": worker.framework,
        "device": worker.device,
        "queues": list(worker.queues),
        "state": worker.state,
        "run_id": worker.run_id,
        "versions": worker.versions,
        "threads": worker.threads,
        "image": worker.image,
        "host": worker.host,
        "pid": worker.pid,
        "started_s": worker.started_s,
        "seen_s_ago": round(max(0.0, now - worker.seen_s), 3),
    }


def _print_table(workers: list[WorkerPresence], now: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("framework", "version", "device", "queues", "state", "busy with", "host", "seen"):
        table.add_column(heading, overflow="fold")
    for worker in workers:
        cells = (
            worker.framework,
            worker.versions.get(worker.framework, "–"),
            worker.device,
            ", ".join(queue.rsplit(".", maxsplit=1)[-1] for queue in worker.queues if "@" not in queue),
            worker.state,
            worker.run_id or "–",
            worker.host,
            f"{max(0.0, now - worker.seen_s):.1f} s ago",
        )
        # What a worker says of itself is text, not markup.
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
