"""Arrays by content: in Redis in chunks, large ones behind an fsspec URL, cached on a worker's disk."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import redis
from numpy.typing import NDArray
from redis.client import Pipeline

from likewise.shared.errors import DataError, LikewiseError
from likewise.shared.names import blob_key
from likewise.shared.store.arrays import ArrayRef, decode_array, encode_array

CHUNK_BYTES = 2**20
"""Small enough that no command holds up Redis for others."""
CHUNKS_A_TRIP = 16
SMALL_BYTES = 16 * 2**10
SMALL_A_TRIP = 256
AHEAD_BYTES = 64 * 2**20
CACHE_LIMIT_BYTES = 4 * 2**30


class BlobError(LikewiseError):
    """An array that is gone from the store, or whose bytes are not what its hash says."""

    exit_status = 3


class BlobStore:
    """Puts arrays under their SHA-256 and gets them back, checked. Methods raise RedisError."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        url: str | None,
        redis_limit_bytes: int,
        retention_s: float,
        cache_dir: Path | None = None,
    ) -> None:
        self._client = client
        self._url = url
        self.redis_limit_bytes = redis_limit_bytes
        self._retention_s = int(retention_s)
        self._cache = BlobCache(cache_dir) if cache_dir is not None else None
        self._recent: dict[str, bytes] = {}

    def put(self, array: NDArray[Any]) -> ArrayRef:
        """Store an array and return its reference; storing it again only renews its time to live.

        Raises DataError for an array above the limit where no URL is set or it cannot be written to.
        """
        batch = self.batch()
        ref = batch.put(array)
        batch.flush()
        return ref

    def batch(self) -> BlobBatch:
        """Return a batch for many arrays, whose small ones are stored in few round trips."""
        return BlobBatch(self)

    def put_small(self, blobs: Mapping[ArrayRef, bytes]) -> None:
        """Write arrays of one chunk, also where they are there: that costs no more than asking."""
        if blobs:
            with self._client.pipeline(transaction=False) as pipe:
                self.add_small(pipe, blobs)
                pipe.execute()

    def add_small(self, pipe: Pipeline, blobs: Mapping[ArrayRef, bytes]) -> None:
        """Add what `put_small` does to what else the pipeline sends."""
        for ref, data in blobs.items():
            pipe.set(blob_key(ref.sha256, 0), data, ex=self._retention_s)

    def put_large(self, ref: ArrayRef, data: bytes) -> None:
        """Store what is not there yet. Raises DataError."""
        if ref.nbytes > self.redis_limit_bytes:
            self._put_behind_url(ref, data)
        elif not self._renew(ref):
            for trip in _trips(ref):
                with self._client.pipeline(transaction=False) as pipe:
                    for chunk in trip:
                        part = data[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES]
                        pipe.set(blob_key(ref.sha256, chunk), part, ex=self._retention_s)
                    pipe.execute()

    def fetch_ahead(self, refs: Iterable[ArrayRef]) -> None:
        """Bring small arrays into memory in few round trips, up to AHEAD_BYTES, where `get` finds them."""
        names: dict[str, None] = {}
        total = 0
        for ref in refs:
            if ref.nbytes <= SMALL_BYTES and ref.sha256 not in names and total + ref.nbytes <= AHEAD_BYTES:
                names[ref.sha256] = None
                total += ref.nbytes
        waiting = list(names)
        for first in range(0, len(waiting), SMALL_A_TRIP):
            trip = waiting[first : first + SMALL_A_TRIP]
            found = cast("list[bytes | None]", self._client.mget([blob_key(name, 0) for name in trip]))
            known = zip(trip, found, strict=True)
            self._recent.update({name: data for name, data in known if data is not None})

    def get(self, ref: ArrayRef) -> NDArray[Any]:
        """Return the array. Raises BlobError when it is gone or damaged."""
        if ref.sha256 in self._recent:
            with suppress(ValueError):  # fetched ahead, and damaged: told below
                return decode_array(ref, self._recent[ref.sha256])
        if self._cache is not None and (cached := self._cache.get(ref.sha256)) is not None:
            try:
                array = decode_array(ref, cached)
                self._remember(ref, cached)
                return array
            except ValueError:  # a damaged file: fetch it again
                self._cache.drop(ref.sha256)
        data = self._fetch(ref)
        try:
            array = decode_array(ref, data)
        except ValueError as error:
            raise BlobError(
                f"an array in the store is damaged: {error}; submit the experiment again"
            ) from None
        if self._cache is not None:
            self._cache.put(ref.sha256, data)
            self._remember(ref, data)
        return array

    def _remember(self, ref: ArrayRef, data: bytes) -> None:
        """Keep small arrays in memory, too: runs that share a data set come one after another."""
        if len(data) <= SMALL_BYTES:
            if len(self._recent) >= SMALL_A_TRIP:
                self._recent.clear()
            self._recent[ref.sha256] = data

    def _renew(self, ref: ArrayRef) -> bool:
        """Return whether every chunk is there; those that are there live on."""
        with self._client.pipeline(transaction=False) as pipe:
            for chunk in range(_chunks(ref)):
                pipe.expire(blob_key(ref.sha256, chunk), self._retention_s)
            return all(pipe.execute())

    def _fetch(self, ref: ArrayRef) -> bytes:
        parts: list[bytes] = []
        for trip in _trips(ref):
            found = cast(
                "list[bytes | None]", self._client.mget([blob_key(ref.sha256, chunk) for chunk in trip])
            )
            if None in found:
                return self._fetch_behind_url(ref)
            parts += cast("list[bytes]", found)
        return b"".join(parts)

    def _put_behind_url(self, ref: ArrayRef, data: bytes) -> None:
        if self._url is None:
            raise DataError(
                f"an array of {ref.nbytes / 2**20:.0f} MB is too large for Redis (the limit is "
                f"{self.redis_limit_bytes / 2**20:.0f} MB, LIKEWISE_BLOB_REDIS_LIMIT_MB); set "
                "LIKEWISE_BLOB_URL, here and for the workers, to a folder or object store that "
                "both reach, such as file:///mnt/data or s3://bucket/likewise"
            )

        RemoteFiles(self._url, error=DataError).write(_path(ref), data)

    def _fetch_behind_url(self, ref: ArrayRef) -> bytes:
        if self._url is None:
            raise BlobError(
                f"array {ref.sha256[:12]} is gone from Redis: its retention has ended, or it lies behind a "
                "LIKEWISE_BLOB_URL that is not set here"
            )
        return RemoteFiles(self._url, error=BlobError).read(_path(ref))


class BlobBatch:
    """Arrays on their way to a store: none but the large is there before `flush`.

    What failed with a RedisError may be done again.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._waiting: dict[ArrayRef, bytes] = {}

    def put(self, array: NDArray[Any]) -> ArrayRef:
        """Take an array as `BlobStore.put` does."""
        ref, data = encode_array(array)
        if ref.nbytes > min(SMALL_BYTES, self._store.redis_limit_bytes):
            self._store.put_large(ref, data)
            return ref
        if len(self._waiting) >= SMALL_A_TRIP:
            self.flush()
        self._waiting[ref] = data
        return ref

    def add_to(self, pipe: Pipeline) -> None:
        """Store what waits with what else the pipeline sends; for the end of the batch."""
        self._store.add_small(pipe, self._waiting)

    def flush(self) -> None:
        """Send what waits to the store."""
        self._store.put_small(self._waiting)
        self._waiting = {}


class BlobCache:
    """A bounded cache on a worker's disk: files named by the SHA-256 of their bytes.

    Several processes may share a folder. A full or read-only disk only switches it off.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = CACHE_LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._usable = True

    def get(self, sha256: str) -> bytes | None:
        """Return the cached bytes, not checked, or None."""
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


class RemoteFiles:
    """Files behind LIKEWISE_BLOB_URL: a folder, or an object store that fsspec knows, which all hosts reach.

    What its file system raises becomes `error`, naming the URL and the path. Workers and producers
    may be different users of one group: folders below one that is its group's to write to are made so too.
    """

    def __init__(self, url: str, *, error: type[LikewiseError]) -> None:
        self._url = url
        self._error = error

    def write(self, path: str, data: bytes) -> None:
        """Write a file, never half of it; one of the same name and size is taken for the same."""

        def use(files: Any, whole: str) -> None:
            folder, _, name = whole.rpartition("/")
            if "file" in files.protocol:
                _make_folders(Path(folder))
            else:
                files.makedirs(folder, exist_ok=True)
            if files.exists(whole) and files.size(whole) == len(data):
                return
            written = f"{folder}/.new-{name}-{uuid4().hex}"
            files.pipe_file(written, data)
            files.mv(written, whole)

        self._use(path, use)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        data: bytes = self._use(path, lambda files, whole: files.cat_file(whole))
        return data

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


def _path(ref: ArrayRef) -> str:
    """Return where an array lies behind the URL."""
    return f"{ref.sha256[:2]}/{ref.sha256}"


def _chunks(ref: ArrayRef) -> int:
    return max(1, -(-ref.nbytes // CHUNK_BYTES))


def _trips(ref: ArrayRef) -> Iterator[range]:
    """Yield the chunk numbers, as many at a time as one round trip carries."""
    for first in range(0, _chunks(ref), CHUNKS_A_TRIP):
        yield range(first, min(first + CHUNKS_A_TRIP, _chunks(ref)))
