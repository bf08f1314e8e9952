"""Which queue a run waits in, and whether a live worker serves it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from shared.errors import NoWorkerError
from shared.names import train_queue

if TYPE_CHECKING:
    from shared.job import Job
    from shared.ledger.records import WorkerPresence


def queue_of(framework: str, job: Job) -> str:
    """Return where a job's runs wait: any worker of the framework takes them, or one with the device."""
    return train_queue(framework, "any" if job.device == "auto" else job.device)


def refuse_unserved(queues: Mapping[str, str], workers: Sequence[WorkerPresence]) -> None:
    """Raise NoWorkerError if some queue has no live worker."""
    served = {queue for worker in workers for queue in worker.queues}
    missing = [
        side if queue.endswith(".any") else f"{side} on {queue.rpartition('.')[2]}"
        for side, queue in queues.items()
        if queue not in served
    ]
    if not missing:
        return
    live = ", ".join(f"{worker.framework} on {worker.device} ({worker.host})" for worker in workers)
    raise NoWorkerError(
        f"no live worker serves {' or '.join(missing)}; live workers: {live or 'none'}. "
        "Start one, or submit with --queue-anyway to wait for it"
    )
