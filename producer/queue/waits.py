"""Why a queued run that some worker serves is not begun: its host is held, or all are busy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from shared.names import host_key

if TYPE_CHECKING:
    from shared.ledger.ledger import Ledger
    from shared.ledger.records import RunRecord, WorkerPresence


def why_waiting(record: RunRecord, workers: Sequence[WorkerPresence], *, ledger: Ledger) -> str | None:
    """In words; None where a worker is free, or trains for the same experiment, or none serves the queue."""
    queue = record.queue
    serving = [worker for worker in workers if queue in worker.queues]
    held = _held({worker.host for worker in serving}, ledger)
    if any(worker.state == "idle" and worker.host not in held for worker in serving):
        return None
    if held:
        host, holder = next(iter(held.items()))
        return f"host {host} is held for a timed run of {holder}{_which_waits(host, holder, workers)}"
    busy = [worker for worker in serving if worker.run_id is not None]
    if not busy:
        return "its worker is starting" if serving else None
    runs = ledger.records([str(worker.run_id) for worker in busy])
    experiments = sorted({run.experiment_id for run in runs})
    if record.experiment_id in experiments:
        return None
    with_what = f"experiment {experiments[0]}" if len(experiments) == 1 else f"{len(experiments)} experiments"
    return f"its {'worker is' if len(busy) == 1 else f'{len(busy)} workers are'} busy with {with_what}"


def _held(hosts: set[str], ledger: Ledger) -> dict[str, str]:
    """The hosts that a worker has to itself, or is about to, each with that worker."""
    names = sorted(hosts)
    holders = (
        cast("list[bytes | None]", ledger.client.mget([host_key(name) for name in names])) if names else []
    )
    return {name: holder.decode() for name, holder in zip(names, holders, strict=True) if holder is not None}


def _which_waits(host: str, holder: str, workers: Sequence[WorkerPresence]) -> str:
    """The holder begins when the other workers of the host are done with what they have."""
    begun = any(one.worker_id == holder and one.run_id is not None for one in workers)
    others = [one.worker_id for one in workers if one.host == host and one.run_id is not None]
    return (
        f", which waits until {' and '.join(others)} {'is' if len(others) == 1 else 'are'} done"
        if others and not begun
        else ""
    )
