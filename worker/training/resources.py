"""What a training takes of the machine: the process's peak memory, and CPU threads.

The peak is counted by the operating system, from a moment on. A training takes one thread until its updates
are large enough to share out: threads that share a small operation wait for each other longer than they
work. The bound and its measurements are in docs/decisions, "Threads by size".
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

from shared.job import Job
from shared.job.training import BatchPlan
from shared.program import compile_job

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


SHARED_FROM = 10_000_000
"""Multiply-adds of an update's forward pass from which more than one thread is quicker."""


def threads_of(job: Job, *, samples: int, input_shape: tuple[int, ...], members: int, most: int) -> int:
    """Return how many threads a training of so many members takes, on a worker that may use `most`."""
    batch = BatchPlan.of(job.training, samples).largest_batch
    work = members * batch * compile_job(job, input_shape).multiply_adds
    return most if work >= SHARED_FROM else 1
