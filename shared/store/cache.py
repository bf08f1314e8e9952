"""A worker's disk cache of blobs: bounded, checked by the reader, never needed.

A full or read-only disk only switches it off.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

CACHE_LIMIT_BYTES = 4 * 2**30


class BlobCache:
    """Files named by the SHA-256 of their bytes; several processes may share a folder."""

    def __init__(self, folder: Path, *, limit_bytes: int = CACHE_LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._usable = True

    def get(self, sha256: str) -> bytes | None:
        """The cached bytes, not checked, or None."""
        if not self._usable:
            return None
        path = self._folder / sha256
        try:
            data = path.read_bytes()
            os.utime(path)  # used just now: the last to be dropped
        except OSError:
            return None
        return data

    def put(self, sha256: str, data: bytes) -> None:
        """Keep the bytes, dropping those that were not used for longest."""
        if not self._usable or len(data) > self._limit_bytes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            handle, written = tempfile.mkstemp(dir=self._folder, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(written, self._folder / sha256)
            except BaseException:
                Path(written).unlink(missing_ok=True)
                raise
        except OSError:
            self._usable = False

    def drop(self, sha256: str) -> None:
        """Forget a damaged entry."""
        try:
            (self._folder / sha256).unlink(missing_ok=True)
        except OSError:
            self._usable = False

    def _make_room(self, wanted_bytes: int) -> None:
        entries = []
        for entry in os.scandir(self._folder):
            try:
                status = entry.stat()
            except FileNotFoundError:  # another process dropped it
                continue
            entries.append((status.st_mtime, status.st_size, entry.path))
        total = sum(size for _, size, _ in entries) + wanted_bytes
        for _, size, path in sorted(entries):
            if total <= self._limit_bytes:
                return
            Path(path).unlink(missing_ok=True)
            total -= size
