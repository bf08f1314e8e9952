"""The process's peak memory since a moment, as the operating system counts it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Forget the peak, where the system can (Linux); elsewhere it stays the peak of the whole process."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return


def peak_bytes() -> int | None:
    """Peak resident memory since the last reset."""
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
