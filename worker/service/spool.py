"""Results on the worker's disk until Redis has them: a worker that is killed while Redis is away loses none.

Each is one file: the SHA-256 of the rest, then the result with the small arrays it refers to as JSON. Whoever
wrote it holds a lock on it; one without a holder was left by a worker that died, and the next worker that
starts on that disk sends it. The ledger refuses it if the run was given to another meanwhile. A result whose
run the worker's Redis does not know is left for a worker of another Redis, for as long as results are kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import Base64Bytes, ValidationError

from likewise.shared.frozen import Frozen, first_problem
from likewise.shared.ledger.records import RunState
from likewise.shared.results.run_result import Failure
from likewise.shared.store.arrays import ArrayRef

log = logging.getLogger(__name__)

SPOOL_BYTES = 2**30
"""The most that a spool takes; a result that does not fit waits in memory alone."""
_DAMAGED, _UNFINISHED = ".damaged", ".new"


class SpooledArray(Frozen):
    """An array that a spooled result refers to."""

    ref: ArrayRef
    data: Base64Bytes


class SpooledResult(Frozen):
    """All that makes a run final, but for its last progress."""

    run_id: str
    fence: int
    state: RunState
    failure: Failure | None
    payload: str
    """The result as Celery's backend stores it."""
    arrays: tuple[SpooledArray, ...] = ()


class SpoolFile:
    """A result on disk, which nobody else sends as long as this is open."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file

    def remove(self) -> None:
        """Remove it: Redis has the result, or wants it no more."""
        self.path.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Give it back to whoever comes next."""
        os.close(self._file)


class Spool:
    """A folder of results, which workers of one machine may share."""

    def __init__(self, folder: Path, *, retention_s: float, limit_bytes: int = SPOOL_BYTES) -> None:
        """Take how long results are kept, which a spooled one is, too."""
        self._folder = folder
        self._retention_s = retention_s
        self._limit_bytes = limit_bytes

    def keep(self, result: SpooledResult) -> SpoolFile | None:
        """Write a result; None where there is no room, which is logged."""
        document = result.model_dump_json().encode()
        path = self._folder / f"{result.run_id}.{result.fence}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            used = sum(one.stat().st_size for one in self._folder.iterdir())
            if used + len(document) > self._limit_bytes:
                log.warning(
                    "%s holds %d bytes; the result of run %s is not spooled", path, used, result.run_id
                )
                return None
            new = path.with_suffix(_UNFINISHED)
            file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                with os.fdopen(os.dup(file), "wb") as out:
                    out.write(hashlib.sha256(document).hexdigest().encode() + b"\n" + document)
                new.replace(path)
            except OSError:
                SpoolFile(new, file).remove()
                raise
            return SpoolFile(path, file)
        except OSError as error:
            log.warning("the result of run %s is not spooled: %s", result.run_id, error)
            return None

    def left(self) -> Iterator[tuple[SpoolFile, SpooledResult]]:
        """Yield what dead workers have left. A damaged file is set aside, with its reason in the log.

        One that is older than the retention is removed: nobody has asked for it.
        """
        oldest_s = time.time() - self._retention_s
        with suppress(OSError):
            for path in sorted(self._folder.iterdir()):
                if _written_s(path) < oldest_s:
                    path.unlink(missing_ok=True)
                elif path.suffix != _DAMAGED and (found := _opened(path)) is not None:
                    yield found


def _written_s(path: Path) -> float:
    """Return when a file was written; one that another has just removed counts as new."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _opened(path: Path) -> tuple[SpoolFile, SpooledResult] | None:
    """Return a file that nobody holds, and what is in it."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.suffix == _UNFINISHED:  # its worker was killed while it wrote
            SpoolFile(path, file).remove()
            return None
        checksum, _, document = path.read_bytes().partition(b"\n")
        if hashlib.sha256(document).hexdigest().encode() != checksum:
            raise ValueError("its bytes do not have the SHA-256 that it names")
        return SpoolFile(path, file), SpooledResult.model_validate_json(document)
    except ValueError as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error
        log.warning("the spooled result %s is set aside: %s", path, reason)
        path.replace(path.with_name(path.name + _DAMAGED))
    except OSError:  # another holds it, or has just removed it
        pass
    os.close(file)
    return None
