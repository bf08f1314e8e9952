"""The process's peak memory since a moment, as the operating system counts it, and by how much it grew."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


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
    """How far the peak has risen above what was held at the reset."""
    peak = peak_bytes()
    return None if held is None or peak is None else max(0, peak - held)


def give_back() -> None:
    """Return what is free to the system (glibc), so that what is needed next is seen to be taken."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


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
