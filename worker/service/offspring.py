"""Processes that a training has started and left behind: they become its worker's, which ends them.

A process that a training puts into a session of its own, as a program may that starts its readers of data so,
outlives the child of the worker that trained it. On Linux the worker's parent asks to be given such processes
when their own parent has died; on other systems they stay.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36
_TRACKER = b"_tracker import main"
"""It is in the command line of the processes by which Python tracks semaphores and shared memory."""
END_S = 2.0
"""What is killed is given so many seconds to be gone."""


class Offspring:
    """The children of a worker's parent that it has not started itself."""

    def __init__(self) -> None:
        self.own: Callable[[], Collection[int]] | None = None
        """It tells the process ids of the children that the pool has started; None before there is a pool."""
        self._ended: int | None = None
        """The child that had ended at the last look."""

    def adopt(self) -> None:
        """Become the parent of what a child of this process leaves behind."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def reap(self) -> None:
        """Forget an adopted process that has ended by itself.

        It must have ended by the look before, so that none is taken which the pool is just starting.
        """
        own = self._pool()
        if own is None:
            return
        ended = None
        with suppress(ChildProcessError):
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        pid = None if ended is None or ended.si_pid in own else ended.si_pid
        if pid is not None and pid == self._ended:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._ended = pid

    def end(self) -> int:
        """Kill what a dead child has left behind, and all below it; return how many processes there were."""
        killed = set[int]()
        until = time.monotonic() + END_S
        while (own := self._pool()) is not None and time.monotonic() < until:
            left = set(_children()) - set(own)
            if not left:
                break
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            killed |= left
            time.sleep(0.01)
        if killed:
            log.warning("ended %d processes that a training had left behind", len(killed))
        return len(killed)

    @property
    def pool(self) -> Collection[int]:
        """Return the pool's processes, as far as they are known."""
        return self._pool() or ()

    def _pool(self) -> Collection[int] | None:
        """Return the pool's processes; None where that is not known, as while the pool starts or stops."""
        if sys.platform != "linux" or self.own is None:
            return None
        with suppress(AttributeError, KeyError, TypeError):
            return self.own()
        return None


def _children() -> Iterator[int]:
    """Yield the children of this process, but those by which Python tracks what processes share."""
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError):
            # A command's name, in parentheses, may hold anything.
            parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            if parent == os.getpid() and _TRACKER not in (entry / "cmdline").read_bytes():
                yield int(entry.name)
