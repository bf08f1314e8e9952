"""Where the timed runs go: to one host that trains in every framework, or no winner could be named. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.display import both
from producer.queue.routing import refuse_unserved
from shared.errors import NoWorkerError, UsageError
from shared.names import host_queue, train_queue

if TYPE_CHECKING:
    from shared.job.experiment import Device
    from shared.ledger.records import WorkerPresence

DEVICES = ("cuda", "cpu")
"""The faster one first, for jobs whose device is auto."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A framework's: the queue that only workers of that device on that host serve."""

    host: str
    device: str
    queue: str


def sites_for(
    devices: Mapping[str, Device], workers: Sequence[WorkerPresence], *, host: str | None = None
) -> dict[str, Site]:
    """A site for each framework, given the device of its job: all on one host where there is such a host.

    Of several such hosts the one with the fewest busy workers, or the `host` asked for. Raises
    NoWorkerError where a framework has no worker, UsageError for a host without a live worker.
    """
    queues = {
        name: train_queue(name, "any" if device == "auto" else device) for name, device in devices.items()
    }
    refuse_unserved(queues, workers)
    on: dict[str, list[WorkerPresence]] = {}
    for worker in workers:
        on.setdefault(worker.host, []).append(worker)
    if host is not None and host not in on:
        raise UsageError(f"--host is {host!r}; live workers are on {both(sorted(on))}")
    by_load = sorted(on, key=lambda name: (sum(one.state == "busy" for one in on[name]), name))
    for name in by_load if host is None else [host]:
        if found := _on_one(name, devices, on[name]):
            return found
    if host is not None:
        there = both(sorted({f"{one.framework} on {one.device}" for one in on[host]}))
        raise NoWorkerError(
            f"host {host} has no worker for {' or '.join(_unserved(devices, on[host]))}; it has {there}"
        )
    return {
        name: next(iter(found.values()))
        for name, device in devices.items()
        for found in [_first(_on_one(one, {name: device}, on[one]) for one in by_load)]
    }


def _on_one(
    host: str, devices: Mapping[str, Device], workers: Sequence[WorkerPresence]
) -> dict[str, Site] | None:
    """A site there for every framework, on the same device where that is left open; None if one has none."""
    if _unserved(devices, workers):
        return None
    served = {name: _devices(name, device, workers) for name, device in devices.items()}
    common = [device for device in DEVICES if all(device in found for found in served.values())]
    return {
        name: Site(host=host, device=device, queue=host_queue(name, device, host))
        for name, found in served.items()
        for device in [(common or found)[0]]
    }


def _unserved(devices: Mapping[str, Device], workers: Sequence[WorkerPresence]) -> list[str]:
    return [name for name, device in devices.items() if not _devices(name, device, workers)]


def _devices(framework: str, wanted: Device, workers: Sequence[WorkerPresence]) -> list[str]:
    there = {one.device for one in workers if one.framework == framework}
    return [device for device in DEVICES if device in there and wanted in ("auto", device)]


def _first(found: Iterable[dict[str, Site] | None]) -> dict[str, Site]:
    return next(one for one in found if one is not None)
