"""Starting child processes that can never outlive the stack, and finding those that did.

Three nets, since each alone has a hole: the kernel ends a child when its parent dies (Linux, and the
child alone); the guard ends its whole process group (unless it is killed too); and every process of
a stack carries a mark in its environment, by which the next start or `likewise down` finds leftovers.

The guard is a small process, this file run by itself (`python -I -S processes.py`; so the imports at its
top are the standard library's). The supervisor tells it process groups on its standard input, one line
each: `+<pgid> <seconds>` when a child starts and `-<pgid>` when it has ended. The end of that input means
that the supervisor has died, however it died: each group left is asked to end, given its seconds, then
killed. Workers have children of their own, which is why groups are ended and not processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

MARK = "LIKEWISE_PART_OF"
"""Environment variable of every process of a stack: `<home>:<role>`."""

STACK, INSTALLER = "stack", "installer"

_PR_SET_PDEATHSIG = 1
_GUARD_STEP_S = 0.05


class Guard:
    """The supervisor's end of the guard; a guard that has died is replaced."""

    def __init__(self) -> None:
        self._groups: dict[int, float] = {}
        self._process = self._start()

    def add(self, group: int, *, grace_s: float) -> None:
        """End this group when the supervisor dies, `grace_s` after asking."""
        self._groups[group] = grace_s
        self._tell(f"+{group} {grace_s}\n")

    def remove(self, group: int) -> None:
        """Forget a group that has ended."""
        if self._groups.pop(group, None) is not None:
            self._tell(f"-{group}\n")

    def check(self) -> None:
        """Replace a dead guard and tell it everything."""
        if self._process.poll() is None:
            return
        self._process = self._start()
        for group, grace_s in self._groups.items():
            self._tell(f"+{group} {grace_s}\n")

    def close(self) -> None:
        """Let it go; it ends the groups it still has."""
        with contextlib.suppress(OSError):
            _input(self._process).close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # `check` sees that it died
            stream = _input(self._process)
            stream.write(line.encode())
            stream.flush()


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101
    return process.stdin


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    stdout: int | IO[bytes],
    cwd: Path | None = None,
    last_signal: int = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a child in a process group of its own that gets `last_signal` when this process dies.

    Only for processes with one thread: the child runs Python between fork and exec.
    """
    return subprocess.Popen(  # noqa: S603
        [os.fspath(part) for part in command],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        process_group=0,
        preexec_fn=_die_with(os.getpid(), last_signal),  # noqa: PLW1509
    )


def _die_with(parent: int, number: int) -> Callable[[], None] | None:
    """Return what a child does before it becomes its program; None where the kernel offers no such thing."""
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before the kernel knew of our wish
            os._exit(1)

    return prepare


def mark(home: Path, role: str) -> str:
    """Return the mark of a process of this home."""
    return f"{home}:{role}"


def marked(environment: Mapping[str, str], its_mark: str) -> dict[str, str]:
    """Return the environment with a mark, as every process of a stack has it."""
    return {**environment, MARK: its_mark}


def clean_environment() -> dict[str, str]:
    """Return the user's environment without what would lead another Python or another stack astray."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "LIKEWISE_", "VIRTUAL_ENV", "CELERY_"))
    }


def leftovers(its_mark: str) -> list[int]:
    """Return living processes that carry the mark, this one and its ancestors excepted."""
    import psutil

    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == its_mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def sweep(its_mark: str) -> int:
    """Kill every leftover and wait until none is there; returns how many there were."""
    import psutil

    total = 0
    while pids := leftovers(its_mark):
        total += len(pids)
        gone = []
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                process.kill()
                gone.append(process)
        psutil.wait_procs(gone, timeout=5)
    return total


def end_group(process: subprocess.Popen[bytes], *, grace_s: float) -> int:
    """Ask a child's group to end, kill what is left after `grace_s`; returns the child's exit status."""
    signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace_s)
    return kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> int:
    """Kill a child's group; returns the child's exit status."""
    signal_group(process.pid, signal.SIGKILL)
    return process.wait()


def signal_group(group: int, number: int) -> bool:
    """Send a signal (0: none) to a process group; return whether any of it is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def wait_until(condition: Callable[[], bool], *, timeout_s: float, step_s: float = 0.02) -> bool:
    """Poll a condition that no event announces; whether it came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step_s)
    return True


def keep_guard() -> None:
    """Be the guard: note the groups until the supervisor is gone, then end them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, float] = {}
    for line in sys.stdin:
        if line.startswith("+"):
            group, seconds = line[1:].split()
            groups[int(group)] = float(seconds)
        elif line.startswith("-"):
            groups.pop(int(line[1:]), None)
    began = time.monotonic()
    waiting = {group: seconds for group, seconds in groups.items() if signal_group(group, signal.SIGTERM)}
    while waiting:
        for group, seconds in list(waiting.items()):
            over = time.monotonic() - began > seconds
            if not signal_group(group, signal.SIGKILL if over else 0) or over:
                del waiting[group]
        time.sleep(_GUARD_STEP_S)


if __name__ == "__main__":
    keep_guard()
