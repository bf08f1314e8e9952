"""Files that hold arrays: behind LIKEWISE_BLOB_URL, and in a worker's cache.

A file is written under another name first, so that it is whole or not there. What lies in a folder of this
machine is read by mapping it to memory, which takes as much of it as is looked at.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from likewise.shared.errors import LikewiseError
from likewise.shared.store.arrays import Bytes

CACHE_LIMIT_BYTES = 4 * 2**30
SPARE_BYTES = 64 * 2**20
"""What a disk must have left when an array has been written to it."""
_READ_BYTES = 2**22
_LOCAL = "file://"


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file, mapped to memory; what is written to them stays in this process.

    Raises OSError.
    """
    if path.stat().st_size == 0:  # which cannot be mapped
        return memoryview(b"")
    return np.memmap(path, dtype=np.uint8, mode="c").data


def write_whole(path: Path, chunks: Iterable[Bytes]) -> None:
    """Write a file, or nothing. Raises OSError."""
    _make_folders(path.parent)
    written = path.parent / f".new-{path.name}-{uuid4().hex}"
    try:
        with written.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
        os.replace(written, path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


_FOLDER = 2
"""Arrays lie in folders named by so many characters of their SHA-256."""


class RemoteFiles:
    """Files behind LIKEWISE_BLOB_URL: a folder, or an object store that fsspec knows, which all hosts reach.

    What its file system raises becomes `error`, naming the URL and the path. Workers and producers
    may be different users of one group: folders below one that is its group's to write to are made so too.
    """

    def __init__(self, url: str, *, error: type[LikewiseError]) -> None:
        self._url = url
        self._error = error
        self._folder = Path(url.removeprefix(_LOCAL)) if url.startswith(_LOCAL) else None

    def local(self, path: str) -> Path | None:
        """Return where a file lies, if it lies in a folder of this machine."""
        return self._folder / path if self._folder is not None else None

    def write(self, path: str, chunks: Iterable[Bytes], *, nbytes: int) -> None:
        """Write a file, never half of it; one of the same name and size is taken for the same."""
        if self._folder is not None:
            self._write_here(self._folder / path, chunks, nbytes)
            return

        def use(files: Any, whole: str) -> None:
            folder, _, name = whole.rpartition("/")
            files.makedirs(folder, exist_ok=True)
            if files.exists(whole) and files.size(whole) == nbytes:
                return
            written = f"{folder}/.new-{name}-{uuid4().hex}"
            with files.open(written, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            files.mv(written, whole)

        self._use(path, use)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        data: bytes = self._use(path, lambda files, whole: files.cat_file(whole))
        return data

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file, some at a time."""
        file = self._use(path, lambda files, whole: files.open(whole, "rb"))
        with file:
            while data := self._use(path, lambda *_: file.read(_READ_BYTES)):
                yield data

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        return bool(self._use(path, lambda files, whole: files.exists(whole)))

    def remove(self, path: str) -> int:
        """Remove a file, and return how many bytes it had; 0 where there is none."""

        def use(files: Any, whole: str) -> int:
            if not files.exists(whole):
                return 0
            size = int(files.size(whole) or 0)
            files.rm_file(whole)
            return size

        return int(self._use(path, use))

    def arrays(self) -> set[str]:
        """Return the names of the files in folders of two characters, which are those of arrays."""

        def use(files: Any, whole: str) -> set[str]:
            root = whole.rstrip("/")
            if not files.exists(root):
                return set()
            folders = [one for one in files.ls(root, detail=False) if len(one.rpartition("/")[2]) == _FOLDER]
            found = (path.rpartition("/")[2] for one in folders for path in files.ls(one, detail=False))
            return {name for name in found if not name.startswith(".")}

        return set(self._use("", use))

    def keep_only(self, folder: str, names: Collection[str]) -> None:
        """Delete the other files of a folder, and the folder when it is empty."""

        def use(files: Any, whole: str) -> None:
            if not files.exists(whole):
                return
            for path in files.ls(whole, detail=False):
                if path.rpartition("/")[2] not in names:
                    files.rm_file(path)
            if not names:
                files.rm(whole, recursive=True)

        self._use(folder, use)

    def _write_here(self, path: Path, chunks: Iterable[Bytes], nbytes: int) -> None:
        try:
            if path.exists() and path.stat().st_size == nbytes:
                os.utime(path)  # wanted just now
                return
            _make_folders(path.parent)
            free = shutil.disk_usage(path.parent).free
            if nbytes + SPARE_BYTES > free:
                raise self._error(
                    f"the disk of {self._folder} is too full for an array of {_mb(nbytes)}: it has "
                    f"{_mb(free)} left, and {_mb(SPARE_BYTES)} stay free; make room, or set "
                    "LIKEWISE_BLOB_URL (for the local stack LIKEWISE_HOME) to a larger disk"
                )
            write_whole(path, chunks)
        except OSError as error:
            raise self._error(
                f"LIKEWISE_BLOB_URL {self._url} cannot be written to: {error.strerror} ({path.parent})"
            ) from None

    def _use(self, path: str, use: Callable[[Any, str], Any]) -> Any:
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self._url)
        except (ValueError, ImportError) as error:
            raise self._error(
                f"LIKEWISE_BLOB_URL is {self._url!r}: {error}; it takes a folder, such as file:///mnt/data, "
                "or an object store, such as s3://bucket/likewise, with fsspec's package for it installed"
            ) from None
        try:
            return use(files, f"{root.rstrip('/')}/{path}")
        except Exception as error:  # each file system has errors of its own
            raise self._error(
                f"LIKEWISE_BLOB_URL {self._url} cannot serve {path}: {type(error).__name__}: {error}"
            ) from None


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing.

    Below a folder with the set-group-ID bit that its group may write to, each is its group's to write to from
    the moment on when it can be seen.
    """
    shared = stat.S_ISGID | stat.S_IWGRP
    for missing in [one for one in (folder, *folder.parents) if not one.exists()][::-1]:
        if missing.parent.stat().st_mode & shared != shared:
            missing.mkdir(exist_ok=True)
            continue
        new = missing.parent / f".new-{missing.name}-{uuid4().hex}"
        new.mkdir()
        new.chmod(new.stat().st_mode | stat.S_IWGRP)
        try:
            new.rename(missing)
        except OSError:  # another process has made it meanwhile, and filled it
            new.rmdir()


def _mb(count: int) -> str:
    return f"{count / 2**20:,.0f} MB"


class BlobCache:
    """A bounded cache on a worker's disk: files named by the SHA-256 of what they hold.

    Several processes may share a folder. A full or read-only disk only switches it off.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = CACHE_LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._usable = True

    def takes(self, nbytes: int) -> bool:
        """Return whether something of this size may be kept."""
        return self._usable and nbytes <= self._limit_bytes

    def get(self, sha256: str) -> memoryview | None:
        """Return the cached bytes, mapped to memory and not checked, or None."""
        if not self._usable:
            return None
        path = self._folder / sha256
        try:
            data = mapped(path)
            os.utime(path)  # used just now: the last to be dropped
        except OSError:
            return None
        return data

    def put(self, sha256: str, chunks: Iterable[Bytes], *, nbytes: int) -> None:
        """Keep the bytes, dropping those that were not used for longest."""
        if not self.takes(nbytes):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(nbytes)
            write_whole(self._folder / sha256, chunks)
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
            if entry.is_dir():  # not the cache's
                continue
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
