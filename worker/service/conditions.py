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
_STAT = Path("/proc/stat")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Counters at one moment; taken before and after a run."""

    at_s: float
    cpu_s: float
    throttled_s: float | None
    host_cpu_s: tuple[float, float] | None
    interruptions: int


def moment() -> Moment:
    """The counters now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Moment(
        at_s=time.perf_counter(),
        cpu_s=used.ru_utime + used.ru_stime,
        throttled_s=_throttled_s(),
        host_cpu_s=host_cpu_s(),
        interruptions=used.ru_nivcsw,
    )


def conditions(before: Moment) -> Conditions:
    """What has happened since."""
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
    """Seconds for which this container's CPU quota held its processes back; None without a quota's count."""
    with suppress(OSError):
        for line in _CGROUP.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec":
                return int(value) / 1e6
    return None


def host_cpu_s() -> tuple[float, float] | None:
    """CPU seconds of all processes of the machine since it started, and those that a hypervisor took from it.

    Counted in ticks of about 10 ms; None where there is no /proc/stat.
    """
    with suppress(OSError, ValueError):
        fields = _STAT.read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
        tick_s = 1 / os.sysconf("SC_CLK_TCK")
        return (user + nice + system + irq + softirq) * tick_s, steal * tick_s
    return None


def _governor() -> str | None:
    """The frequency governor of the CPUs, where all have one: `performance` keeps the clock steady."""
    found = set()
    for path in sorted(_CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor")):
        with suppress(OSError):
            found.add(path.read_text().strip())
    return found.pop() if len(found) == 1 else None
