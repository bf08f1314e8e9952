"""The stack's logs: a file a process, capped, each with the file before it.

Children write to files opened for appending, which stay open for days; so a log that has grown too
long is copied aside and emptied in place.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from logging.handlers import RotatingFileHandler
from pathlib import Path

from producer.local.paths import Paths

CAP_BYTES = 5 * 2**20
OWN = "supervisor"


def open_own_log(paths: Paths) -> None:
    """Send this process's log records to the supervisor's log."""
    handler = RotatingFileHandler(paths.log(OWN), maxBytes=CAP_BYTES, backupCount=1)
    logging.basicConfig(
        level=logging.INFO, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def cap_logs(paths: Paths) -> None:
    """Shorten every child's log that is too long, keeping the old text as `<name>.log.1`."""
    for path in paths.logs.glob("*.log"):
        with contextlib.suppress(OSError):
            if path.name != f"{OWN}.log" and path.stat().st_size > CAP_BYTES:
                shutil.copyfile(path, path.with_name(f"{path.name}.1"))
                with path.open("r+b") as stream:
                    stream.truncate(0)


def last_line(path: Path) -> str:
    """The last line that is not empty, or nothing."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 4096))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
