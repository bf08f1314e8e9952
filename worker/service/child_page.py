"""What a worker's parent and its child tell each other, on a page of memory that both have open.

The child says what it is for as long as that is true, and the parent says it in Redis, again with each beat
(`worker.service.keeper`). Nothing of it is kept by Redis alone: a Redis that was away, or has lost it, learns
it anew. The page is a mapped file of a fixed size, so that a full disk cannot silence the child, and so that
its last words can be read when it is dead.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import struct
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from pydantic import Field

from likewise.shared.errors import ServiceError
from likewise.shared.frozen import Frozen, read_short

Activity = Literal["starting", "idle", "claiming", "training", "sending"]
"""What a child does. While `claiming` it may wait until its host is free; while `sending`, for Redis."""

STACK_SIGNAL = signal.SIGUSR2
"""A child that gets this signal writes the stack of each of its threads to its log."""
_PAGE_BYTES = 32 * 1024
_HEADER = struct.Struct("<II")  # the report's length and its CRC-32
_STOP = 0  # the offset of the byte by which the parent asks the child to stop
_REPORT = 8  # the offset of the header, which the report follows


class ChildReport(Frozen):
    """What a child says of itself."""

    pid: int | None = None
    """It is the id of its process; null before there is a child."""
    beats: int = 0
    """It grows for as long as the child's threads run."""
    activity: Activity = "starting"
    trouble: str | None = None
    """Why its run does not go on just now: Redis is away, or refuses."""
    failed: str | None = None
    """Why it cannot start its framework."""
    versions: dict[str, str] = Field(default_factory=dict)
    """The packages of its framework, once that is loaded."""
    steps: int = 0
    """It grows with each sign of progress of a training."""
    compiling: bool = False
    """Whether the training compiles a program, which takes long without a sign."""
    standing: str = "before its first update"
    """How far the training is, in words."""
    run_id: str | None = None
    """The run that it holds."""
    fence: int = 0
    """The fence of its claim of that run."""
    seconds_left: float | None = None
    """How long the run might still take when this attempt began; null where it has no limit."""

    @property
    def ready(self) -> bool:
        """Return whether its framework is loaded, so that it can train."""
        return self.activity != "starting"


class ChildPage:
    """The page. One process is the parent, which creates it; the other is the child of the moment."""

    def __init__(self, path: Path, memory: mmap.mmap, file: int) -> None:
        self.path = path
        self._memory = memory
        self._file = file
        self._lock = threading.Lock()
        self._said = ChildReport()

    @classmethod
    def create(cls, folder: Path | None = None) -> ChildPage:
        """Make a new page in a folder for such pages, and remove those whose parents are gone.

        Raises ServiceError where there is no room for it.
        """
        folder = folder or Path(tempfile.gettempdir()) / f"likewise-pages-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in folder.iterdir():
                _remove_if_left(old)
            file, name = tempfile.mkstemp(dir=folder)
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, bytes(_PAGE_BYTES))  # its blocks are there from now on
            return cls(Path(name), mmap.mmap(file, _PAGE_BYTES), file)
        except OSError as error:
            raise ServiceError(
                f"{folder} cannot be used: {error.strerror}; a worker needs room there"
            ) from None

    @classmethod
    def open(cls, path: Path) -> ChildPage:
        """Open the parent's page, as its child."""
        file = os.open(path, os.O_RDWR)
        return cls(path, mmap.mmap(file, _PAGE_BYTES), file)

    def close(self) -> None:
        """Remove the page, as its parent."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)

    def say(self, **changes: Any) -> None:
        """Change the child's report, as the child."""
        with self._lock:
            self._said = self._said.model_copy(update=changes | {"beats": self._said.beats + 1})
            document = self._said.model_dump_json().encode()
            begin = _REPORT + _HEADER.size
            self._memory[begin : begin + len(document)] = document
            self._memory[_REPORT:begin] = _HEADER.pack(len(document), crc32(document))

    def progressed(self, standing: str, *, compiling: bool) -> None:
        """Say that the training went on, as the child."""
        self.say(steps=self._said.steps + 1, standing=standing, compiling=compiling)

    def report(self) -> ChildReport:
        """Return the child's report, as the parent: the last one that was read whole."""
        begin = _REPORT + _HEADER.size
        length, checksum = _HEADER.unpack(self._memory[_REPORT:begin])
        document = self._memory[begin : begin + length]
        if length and crc32(document) == checksum:  # else it is just being written
            self._said = read_short(ChildReport, document) or self._said
        return self._said

    def ask_to_stop(self) -> None:
        """Let the child know, as the parent, that its worker is about to stop."""
        self._memory[_STOP] = 1

    @property
    def stop_asked(self) -> bool:
        """Return whether the worker is about to stop."""
        return bool(self._memory[_STOP])


def _remove_if_left(page: Path) -> None:
    """Remove a page that no parent has locked: it was killed."""
    with suppress(OSError):
        file = os.open(page, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            page.unlink()
        finally:
            os.close(file)
