"""The console script: Ctrl-C and SIGTERM end it alike, even while the command line is still being imported.

What a command imports lives to its end, so the garbage collector looks for cycles in it seldom while it
runs, and not at all at its end, where that would take longer than many a command. Plugins for pydantic are
not looked for: that reads every installed package, and none has a say in how a job is read.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

ALLOCATIONS_A_COLLECTION = 200_000
"""How many of the youngest objects start a collection; Python's own number is 700."""


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(ALLOCATIONS_A_COLLECTION)
    try:
        from likewise.producer.cli.app import main as run

        run()
    except KeyboardInterrupt:
        from likewise.shared.errors import INTERRUPTED

        sys.stderr.write("likewise: interrupted\n")
        sys.exit(INTERRUPTED)
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
