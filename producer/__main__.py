"""The console script: Ctrl-C and SIGTERM end it alike, even while the command line is still being imported.

What a command imports lives to its end, so the garbage collector looks for cycles in it seldom. Plugins for
pydantic are not looked for: that reads every installed package, and none has a say in how a job is read.

A command that has said all ends at once, without the teardown of what it imported. That would take longer
than many a command, and in Arrow's threads it aborted one of a hundred commands that had read a table.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

ALLOCATIONS_A_COLLECTION = 200_000
"""How many of the youngest objects start a collection; Python's own number is 700."""


def main() -> None:
    """Run the command line, and end the process with its status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(ALLOCATIONS_A_COLLECTION)
    status = _status()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)


def _status() -> int:
    """Run the command and return its exit status; 0 where it ends without one."""
    try:
        from likewise.producer.cli.app import main as run

        run()
    except KeyboardInterrupt:
        from likewise.shared.errors import INTERRUPTED

        sys.stderr.write("likewise: interrupted\n")
        return INTERRUPTED
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        raise
    return 0


if __name__ == "__main__":
    main()
