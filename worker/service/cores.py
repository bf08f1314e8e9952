"""How many CPU cores this process may use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def half_of_the_cores() -> int:
    """At least one."""
    return max(1, cores() // 2)


def cores() -> int:
    """Those the process may run on, or as many as its container's quota is worth, where that is less."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(own, _quota() or own)


def _quota() -> int | None:
    """The container's CPU time in whole cores, at least one; None where it is not limited."""
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        return max(1, int(quota) // int(period))
    return None
