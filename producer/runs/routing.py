"""Which queue a run waits in, and which live workers can train it. Pure.

A side needs a framework, and it may need a version and a device. Any live worker that offers them will do.
Timed runs go further: to the workers of one host that has every side, or no winner could be named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from likewise.producer.display import both
from likewise.shared.errors import NoWorkerError, UsageError
from likewise.shared.names import environment_key, host_queue, kind_of, train_queue

if TYPE_CHECKING:
    from likewise.shared.job import Job
    from likewise.shared.job.side import Device, Side
    from likewise.shared.ledger.records import WorkerPresence
    from likewise.shared.run import Run

DEVICES = ("cuda", "mps", "cpu")
"""The faster device comes first, for jobs whose device is auto."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """It says what a side asks of the worker that trains it."""

    label: str
    """It names the side."""
    framework: str
    device: Device
    version: str | None = None
    """A version, or a pattern such as `2.13.*`; if it is None, any will do."""
    requirements: tuple[str, ...] = ()
    """Packages in versions of their own, with which its worker must have been started."""

    @classmethod
    def of_side(cls, side: Side, job: Job) -> Need:
        """Return what a side asks for, by its declaration and its resolved job."""
        return cls(
            label=side.label,
            framework=side.framework,
            device=job.device,
            version=side.version,
            requirements=side.requirements,
        )

    @classmethod
    def of_run(cls, run: Run) -> Need:
        """Return what a run asks for."""
        return cls(
            label=run.side,
            framework=run.framework,
            device=run.job.device,
            version=run.version,
            requirements=run.requirements,
        )

    def met_by(self, worker: WorkerPresence) -> bool:
        """Return whether a worker offers all of it."""
        return (
            worker.takes_runs
            and worker.framework == self.framework
            and self.device in ("auto", worker.device, worker.place)
            and (self.version is None or _is_version(worker.version, self.version))
            and train_queue(self._environment(worker.version), worker.device) in worker.queues
        )

    def settled(self, workers: Sequence[WorkerPresence]) -> Need:
        """Return the same with a version in full, the newest that a live worker offers.

        Raises NoWorkerError for a pattern that no live worker meets.
        """
        if self.version is None:
            return self
        offered = {
            _public(worker.version)
            for worker in workers
            if self.met_by(worker) and worker.version is not None
        }
        if not offered and "*" in self.version:
            raise NoWorkerError(
                f"no live worker serves {self}; to wait for one, name the version in full; live workers: "
                f"{_live(workers)}"
            )
        return replace(self, version=_newest(offered) if offered else self.version)

    def queue(self) -> str:
        """Return the queue that such a run waits in; the version is one in full."""
        device = "any" if self.device == "auto" else self.device
        return train_queue(self._environment(self.version), device)

    def host_queue(self, device: str, host: str) -> str:
        """Return the queue of its timed runs, which that host's workers alone may train."""
        return host_queue(self._environment(self.version), device, host)

    def _environment(self, version: str | None) -> str:
        """Return the environment that it asks for, as queues name it; in this version if for one."""
        return environment_key(self.framework, version if self.version else None, self.requirements)

    def __str__(self) -> str:
        words = [self.framework, *([self.version] if self.version else [])]
        if self.requirements:
            words += ["with", both(list(self.requirements))]
        if self.device != "auto":
            words += ["on", self.device]
        asked = " ".join(words)
        return asked if self.label == self.framework else f"{self.label} ({asked})"


@dataclass(frozen=True, kw_only=True)
class Site:
    """It says where a side's timed runs go: the queue that only that host's workers of that device serve."""

    host: str
    device: str
    queue: str


def common_device(needs: Iterable[Need], workers: Sequence[WorkerPresence]) -> str | None:
    """Return the device for the sides that leave it open: the fastest that each of them can have.

    None where no worker offers a choice, so that such runs go to whichever is free first.
    """
    served = [_kinds(need, workers) for need in needs if need.device == "auto"]
    if all(len(kinds) < 2 for kinds in served):
        return None
    return next((kind for kind in DEVICES if all(kind in kinds for kinds in served)), None)


def threads_alone(needs: Sequence[Need], workers: Sequence[WorkerPresence]) -> int | None:
    """Return how many threads each run may take where all go to one worker, one after another.

    None where others may train at the same time: runs go to several workers, or another of the host is busy.
    """
    serving = [worker for worker in workers if any(need.met_by(worker) for need in needs)]
    if len(serving) != 1 or not all(need.met_by(serving[0]) for need in needs):
        return None
    (own,) = serving
    beside = [worker for worker in workers if worker.host == own.host and worker.worker_id != own.worker_id]
    return None if any(worker.state == "busy" for worker in beside) else own.threads_alone


def refuse_unserved(needs: Iterable[Need], workers: Sequence[WorkerPresence]) -> None:
    """Raise NoWorkerError, with what the live workers offer, if one of the needs is met by none of them."""
    missing = [need for need in needs if not any(need.met_by(worker) for worker in workers)]
    if missing:
        raise NoWorkerError(_unserved(missing, workers))


def sites_for(
    needs: Sequence[Need], workers: Sequence[WorkerPresence], *, host: str | None = None
) -> dict[str, Site]:
    """Return a site for each side, by its label: all on one host where there is such a host.

    Of several such hosts it is the one with the fewest busy workers, or the `host` asked for. Raises
    NoWorkerError where a side has no worker, UsageError for a host without a live worker.
    """
    refuse_unserved(needs, workers)
    needs = [need.settled(workers) for need in needs]
    on: dict[str, list[WorkerPresence]] = {}
    for worker in workers:
        on.setdefault(worker.host, []).append(worker)
    if host is not None and host not in on:
        raise UsageError(f"--host is {host!r}; live workers are on {both(sorted(on))}")
    by_load = sorted(on, key=lambda name: (sum(one.state == "busy" for one in on[name]), name))
    for name in by_load if host is None else [host]:
        if found := _on_one(name, needs, on[name]):
            return found
    if host is not None:
        lacking = " or ".join(str(need) for need in needs if not _devices(need, on[host]))
        there = both(sorted({_offer(worker) for worker in on[host]}))
        raise NoWorkerError(f"host {host} has no worker for {lacking}; it has {there}")
    return {
        need.label: next(found[need.label] for name in by_load if (found := _on_one(name, [need], on[name])))
        for need in needs
    }


def _on_one(host: str, needs: Sequence[Need], workers: Sequence[WorkerPresence]) -> dict[str, Site]:
    """Return a site there for every side, on one device where that is left open; none if a side has none.

    Of several GPUs it is one and the same that all sides take, where they can.
    """
    served = {need: _devices(need, workers) for need in needs}
    if not all(served.values()):
        return {}
    kind = next((kind for kind in DEVICES if all(_has(kind, found) for found in served.values())), None)
    sites = {}
    for need, found in served.items():
        own = [device for device in found if kind in (None, kind_of(device))]
        beside = [one for one in served.values() if _has(kind_of(own[0]), one)]
        device = next((device for device in own if all(device in one for one in beside)), own[0])
        sites[need.label] = Site(host=host, device=device, queue=need.host_queue(device, host))
    return sites


def _has(kind: str, devices: Iterable[str]) -> bool:
    return any(kind_of(device) == kind for device in devices)


def _devices(need: Need, workers: Sequence[WorkerPresence]) -> list[str]:
    """Return the devices on which workers serve a side, the fastest first, each GPU by its number."""
    there = {worker.place for worker in workers if need.met_by(worker)}
    return sorted(there, key=lambda device: (DEVICES.index(kind_of(device)), len(device), device))


def _kinds(need: Need, workers: Sequence[WorkerPresence]) -> list[str]:
    return list(dict.fromkeys(map(kind_of, _devices(need, workers))))


def _unserved(missing: Sequence[Need], workers: Sequence[WorkerPresence]) -> str:
    return (
        f"no live worker serves {' or '.join(map(str, missing))}; live workers: {_live(workers)}. "
        "Start one, or submit with --queue-anyway to wait for it"
    )


def _live(workers: Sequence[WorkerPresence]) -> str:
    return ", ".join(f"{_offer(worker)} ({_where(worker)})" for worker in workers) or "none"


def _where(worker: WorkerPresence) -> str:
    return worker.host if worker.takes_runs else f"{worker.host}, {worker.state}"


def _offer(worker: WorkerPresence) -> str:
    """Return what a worker offers: `torch 2.13.0 on cpu`."""
    version = f" {_public(worker.version)}" if worker.version else ""
    packages = f" with {both(list(worker.requirements))}" if worker.requirements else ""
    return f"{worker.framework}{version}{packages} on {worker.place}"


def _is_version(version: str | None, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return version is not None and SpecifierSet(f"=={wanted}", prereleases=True).contains(_public(version))


def _newest(versions: Iterable[str]) -> str:
    from packaging.version import Version

    return max(versions, key=Version)


def _public(version: str) -> str:
    """Return a version without what a build adds to it, such as `+cpu`."""
    return version.partition("+")[0]
