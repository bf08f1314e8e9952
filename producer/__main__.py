"""The console script: answers Ctrl-C even while the command line is still being imported."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        from producer.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("likewise: interrupted\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
