"""The machine that a worker runs on: its cores, having it to oneself, and what disturbs a timed run there.

While a timed run is measured, no other worker of the same host claims a run. The host is the declared one
(`Settings.host_id`), else the running kernel, which all containers of one machine share. The lease is a lock
in Redis with a short time to live, renewed by a thread; a worker that dies loses it soon. The ledger's
`claim.lua` reads it, in the same step in which a run is claimed: whoever sets it first and then sees no other
worker busy is alone for as long as it stays.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import redis
from redis.exceptions import LockError
from redis.lock import Lock

from likewise.shared.errors import RedisError
from likewise.shared.frozen import read_short
from likewise.shared.ledger.records import WorkerPresence, presences
from likewise.shared.names import child_key, host_key
from likewise.shared.results.run_result import Conditions

log = logging.getLogger(__name__)

LIFETIME_S = 10.0
RENEW_S = 2.0
LOOK_S = 0.1

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_OF_VERSION_1 = Path("/sys/fs/cgroup/cpu")
_CGROUP = Path("/sys/fs/cgroup/cpu.stat")
_CPUS = Path("/sys/devices/system/cpu")
_STAT = Path("/proc/stat")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_host() -> str:
    """Return a name of this machine that is the same in all its containers, and another on another machine.

    It is the beginning of the id that the kernel draws at each start; no container has a kernel, or an id, of
    its own, and a copied virtual machine draws another. Where there is none, it is the machine's host name.
    """
    try:
        return _BOOT_ID.read_text().strip()[:13]
    except OSError:
        return socket.gethostname()


def half_of_the_cores() -> int:
    """Return half the number of cores, at least one."""
    return max(1, cores() // 2)


def cores() -> int:
    """Return how many cores this process may use: those it may run on, or its container's quota if less."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(own, _quota() or own)


def _quota() -> int | None:
    """Return the container's CPU time in whole cores, at least one; None where it is not limited."""
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        return max(1, int(quota) // int(period))
    with suppress(OSError, ValueError):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        micros, period_micros = (int((_QUOTA_OF_VERSION_1 / name).read_text()) for name in names)
        return max(1, micros // period_micros) if micros > 0 else None
    return None


class HostLease:
    """Waits on entry until this worker has the host to itself; gives it back on exit."""

    def __init__(self, client: redis.Redis, *, host: str, worker_id: str) -> None:
        self._client = client
        self._host = host
        self._worker_id = worker_id
        self._lock = Lock(client, host_key(host), timeout=LIFETIME_S, sleep=LOOK_S, thread_local=False)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="host-lease", daemon=True)

    def __enter__(self) -> HostLease:
        """Wait until this worker is alone. Raise RedisError; nothing is held then."""
        self._lock.acquire(token=self._worker_id)
        self._thread.start()
        try:
            while self._others_train():
                time.sleep(LOOK_S)
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the other workers go on."""
        self._give_back()

    def _give_back(self) -> None:
        self._end.set()
        self._thread.join()
        with suppress(RedisError, LockError):  # it then ends, or has ended, by its lifetime
            self._lock.release()

    def _keep(self) -> None:
        while not self._end.wait(RENEW_S):
            try:
                self._lock.reacquire()
            except LockError:
                log.warning("the host was not ours any more: Redis was away for too long")
                return
            except RedisError:
                continue

    def _others_train(self) -> bool:
        for document in presences(self._client):
            other = read_short(WorkerPresence, document)
            if other is None or other.host != self._host or other.worker_id == self._worker_id:
                continue
            if self._client.hget(child_key(other.worker_id), "run_id"):
                return True
        return False


def wait_until_free(client: redis.Redis, host: str) -> None:
    """Wait until no worker has the host to itself. Raise RedisError."""
    while client.exists(host_key(host)):
        time.sleep(LOOK_S)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Holds the counters at one moment; they are read before and after a run."""

    at_s: float
    cpu_s: float
    throttled_s: float | None
    host_cpu_s: tuple[float, float] | None
    interruptions: int


def moment() -> Moment:
    """Return the counters as they are now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Moment(
        at_s=time.perf_counter(),
        cpu_s=used.ru_utime + used.ru_stime,
        throttled_s=_throttled_s(),
        host_cpu_s=host_cpu_s(),
        interruptions=used.ru_nivcsw,
    )


def conditions(before: Moment) -> Conditions:
    """Return what has happened on the machine since that moment."""
    now = moment()
    throttled = None
    if now.throttled_s is not None and before.throttled_s is not None:
        throttled = now.throttled_s - before.throttled_s
    cpu_s = now.cpu_s - before.cpu_s
    others = stolen = None
    if now.host_cpu_s is not None and before.host_cpu_s is not None:
        busy, stolen = (
            after - at_first for after, at_first in zip(now.host_cpu_s, before.host_cpu_s, strict=True)
        )
        others = busy - cpu_s
    return Conditions(
        wall_s=now.at_s - before.at_s,
        cpu_s=cpu_s,
        others_cpu_s=others,
        stolen_s=stolen,
        load=os.getloadavg()[0],
        cores=cores(),
        throttled_s=throttled,
        interruptions=now.interruptions - before.interruptions,
        governor=_governor(),
    )


def _throttled_s() -> float | None:
    """Return for how many seconds a CPU quota held this container back; None where that is not counted."""
    with suppress(OSError):
        for line in _CGROUP.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec":
                return int(value) / 1e6
    return None


def host_cpu_s() -> tuple[float, float] | None:
    """Return the CPU seconds of all processes since the machine started, and those its hypervisor took.

    They are counted in ticks of about 10 ms; None where there is no /proc/stat.
    """
    with suppress(OSError, ValueError):
        fields = _STAT.read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
        tick_s = 1 / os.sysconf("SC_CLK_TCK")
        return (user + nice + system + irq + softirq) * tick_s, steal * tick_s
    return None


def _governor() -> str | None:
    """Return the frequency governor that all CPUs have; `performance` keeps the clock steady."""
    found = set()
    for path in sorted(_CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor")):
        with suppress(OSError):
            found.add(path.read_text().strip())
    return found.pop() if len(found) == 1 else None
