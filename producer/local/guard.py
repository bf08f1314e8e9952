"""The guard: a small process that ends the stack's children when their supervisor is gone.

The supervisor tells it process groups on its standard input, one line each: `+<pgid> <seconds>`
when a child starts and `-<pgid>` when it has ended. The end of that input means that the supervisor
has died, however it died: each group left is asked to end, given its seconds, then killed. Workers
have children of their own, which is why groups are ended and not processes.

Run as a file (`python -I -S guard.py`): standard library only, so that it is small and starts at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time

STEP_S = 0.05


def main() -> None:
    """Note the groups until the supervisor is gone, then end them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, float] = {}
    for line in sys.stdin:
        if line.startswith("+"):
            group, seconds = line[1:].split()
            groups[int(group)] = float(seconds)
        elif line.startswith("-"):
            groups.pop(int(line[1:]), None)
    end(groups)


def end(groups: dict[int, float]) -> None:
    """Ask each group to end; kill it once its seconds are over."""
    began = time.monotonic()
    waiting = {group: seconds for group, seconds in groups.items() if send(group, signal.SIGTERM)}
    while waiting:
        for group, seconds in list(waiting.items()):
            over = time.monotonic() - began > seconds
            if not send(group, signal.SIGKILL if over else 0) or over:
                del waiting[group]
        time.sleep(STEP_S)


def send(group: int, number: int) -> bool:
    """Send a signal (0: none) to a group; whether any of it is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
