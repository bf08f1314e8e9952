"""What may have disturbed a timed run: load, throttling, clock rate, other processes' turns."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared.result import Conditions
from worker.service.cores import cores

_CGROUP = Path("/sys/fs/cgroup/cpu.stat")
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Counters at one moment; taken before and after a run."""

    at_s: float
    cpu_s: float
    throttled_s: float | None
    interruptions: int


def moment() -> Moment:
    """The counters now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Moment(
        at_s=time.perf_counter(),
        cpu_s=used.ru_utime + used.ru_stime,
        throttled_s=_throttled_s(),
        interruptions=used.ru_nivcsw,
    )


def conditions(before: Moment) -> Conditions:
    """What has happened since."""
    now = moment()
    throttled = None
    if now.throttled_s is not None and before.throttled_s is not None:
        throttled = now.throttled_s - before.throttled_s
    return Conditions(
        wall_s=now.at_s - before.at_s,
        cpu_s=now.cpu_s - before.cpu_s,
        load=os.getloadavg()[0],
        cores=cores(),
        throttled_s=throttled,
        interruptions=now.interruptions - before.interruptions,
        governor=_governor(),
    )


def _throttled_s() -> float | None:
    """Seconds for which this container's CPU quota held its processes back; None without a quota's count."""
    with suppress(OSError):
        for line in _CGROUP.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec":
                return int(value) / 1e6
    return None


def _governor() -> str | None:
    """The frequency governor of the CPUs, where all have one: `performance` keeps the clock steady."""
    found = set()
    for path in sorted(_CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor")):
        with suppress(OSError):
            found.add(path.read_text().strip())
    return found.pop() if len(found) == 1 else None
