"""What a process reads of its machine and itself: cores, its memory's peak, and what disturbed it meanwhile.

It needs the standard library alone, so that a user's program is measured by it, too. The peak of memory is
counted by the operating system, from a moment on.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_OF_VERSION_1 = Path("/sys/fs/cgroup/cpu")
_CGROUP = Path("/sys/fs/cgroup/cpu.stat")
_CPUS = Path("/sys/devices/system/cpu")
_STAT = Path("/proc/stat")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


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


def since(before: Moment) -> dict[str, Any]:
    """Return what has happened on the machine since that moment: the fields of `Conditions`."""
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
    return {
        "wall_s": now.at_s - before.at_s,
        "cpu_s": cpu_s,
        "others_cpu_s": others,
        "stolen_s": stolen,
        "load": os.getloadavg()[0],
        "cores": cores(),
        "throttled_s": throttled,
        "interruptions": now.interruptions - before.interruptions,
        "governor": _governor(),
    }


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


def reset_peak() -> int | None:
    """Forget the peak; what the process holds now.

    None where the system cannot forget it: the peak then stays that of the process's whole life.
    """
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return None
    return peak_bytes()


def grown_bytes(held: int | None) -> int | None:
    """Return how far the peak has risen above what was held at the reset."""
    peak = peak_bytes()
    return None if held is None or peak is None else max(0, peak - held)


def peak_bytes() -> int | None:
    """Return the peak of resident memory since the last reset."""
    try:
        status = _STATUS.read_text()
    except OSError:
        return _peak_of_the_process()
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _peak_of_the_process()


def _peak_of_the_process() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
