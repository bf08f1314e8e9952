"""Arrays by content: in Redis in chunks, large ones behind an fsspec URL, cached on a worker's disk.

No array is copied where its own memory will do: it is hashed, sent and written in chunks, and what lies in a
file is mapped to memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import redis
from numpy.typing import NDArray

from likewise.shared.errors import DataError, LikewiseError, RedisError
from likewise.shared.names import blob_key, wanted_key
from likewise.shared.scripts import LastingScript
from likewise.shared.store.arrays import (
    CHUNK_BYTES,
    ArrayRef,
    Bytes,
    chunks,
    chunks_of,
    decode_array,
    encode_array,
)
from likewise.shared.store.files import BlobCache, RemoteFiles, mapped

SMALL_BYTES = 16 * 2**10
"""An array of so many bytes is small: it is one chunk, and many of them are sent or fetched at once."""
CHUNKS_A_TRIP, SMALL_A_TRIP = 16, 256
"""The most chunks, and the most small arrays, that one round trip carries."""
_KEEP, _FREE = (Path(__file__).with_name(name) for name in ("keep.lua", "free.lua"))
NOTED_S = 366 * 86_400
"""How long Redis knows when an array was stored behind the URL."""
AHEAD_BYTES = 64 * 2**20
"""The most bytes of small arrays that are fetched before they are asked for."""


class BlobError(LikewiseError):
    """An array is gone from the store, or its bytes are not what its hash says."""

    exit_status = 3


class UnreachableError(BlobError):
    """An array lies behind a blob URL which is missing or wrong here."""


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
        self._keep, self._free = (
            LastingScript(client, file.read_text(encoding="utf-8")) for file in (_KEEP, _FREE)
        )
        self._cache = BlobCache(cache_dir) if cache_dir is not None else None
        self._recent: dict[str, bytes] = {}

    def put(self, array: NDArray[Any]) -> ArrayRef:
        """Store an array and return its reference; storing it again only lengthens its time to live.

        Raises DataError for an array above the limit where no URL is set or it cannot be written to.
        """
        batch = self.batch()
        ref = batch.put(array)
        batch.flush()
        return ref

    def batch(self, *, defers: bool = False) -> BlobBatch:
        """Return a batch for many arrays, whose small ones are stored in few round trips.

        One that `defers` keeps what Redis does not take just now until it is flushed.
        """
        return BlobBatch(self, defers=defers)

    def put_small(self, blobs: Mapping[ArrayRef, bytes]) -> None:
        """Write arrays of one chunk, also where they are there: that costs no more than asking."""
        if blobs:
            keys = [blob_key(ref.sha256, 0) for ref in blobs]
            self._keep(keys=keys, args=[self._retention_s, *blobs.values()])

    def put_large(self, ref: ArrayRef, data: memoryview) -> None:
        """Store what is not there yet. Raises DataError."""
        if ref.nbytes > self.redis_limit_bytes:
            self._put_behind_url(ref, data)
        elif not self._renew(ref):
            for chunk in range(chunks_of(ref)):
                part = data[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES]
                self._keep(keys=[blob_key(ref.sha256, chunk)], args=[self._retention_s, part])

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
        """Return the array: of its own, or mapped to memory. Raises BlobError when it is gone or damaged."""
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
        if isinstance(data, bytearray):
            if self._cache is not None:
                self._cache.put(ref.sha256, [data], nbytes=len(data))
            self._remember(ref, data)
        return array

    def stored(self) -> set[str]:
        """Return the SHA-256 of each array in Redis and behind the URL."""
        keys = self._client.scan_iter(match=blob_key("*", 0), count=1_000)
        found = {key.decode().split(":")[-2] for key in keys}
        return found | (RemoteFiles(self._url, error=DataError).arrays() if self._url else set())

    def free(self, names: Collection[str], *, stored_before_s: float, under_way: bool) -> tuple[int, int]:
        """Remove arrays by their SHA-256, but for those that were stored since a server time.

        Returns the bytes that were freed, and how many arrays were kept for that. One behind the URL of which
        Redis does not know when it was stored is kept while runs are `under_way`.
        """
        freed, kept = 0, 0
        files = RemoteFiles(self._url, error=DataError) if self._url is not None else None
        for name in names:
            noted = bool(self._client.exists(wanted_key(name)))
            keys, args = [blob_key(name, 0), wanted_key(name)], [self._retention_s, repr(stored_before_s)]
            bytes_in_redis, is_new = cast("tuple[int, int]", self._free(keys=keys, args=args))
            freed += bytes_in_redis
            if not is_new and files is not None:
                if noted or not under_way:
                    freed += files.remove(_path(name))
                else:
                    is_new = files.exists(_path(name))
            kept += bool(is_new)
            if self._cache is not None and not is_new:
                self._cache.drop(name)
        return freed, kept

    def _remember(self, ref: ArrayRef, data: Bytes) -> None:
        """Keep small arrays in memory, too: runs that share a data set come one after another."""
        if self._cache is not None and len(data) <= SMALL_BYTES:
            if len(self._recent) >= SMALL_A_TRIP:
                self._recent.clear()
            self._recent[ref.sha256] = bytes(data)

    def _renew(self, ref: ArrayRef) -> bool:
        """Return whether every chunk is there; those that are there live on."""
        keys = [blob_key(ref.sha256, chunk) for chunk in range(chunks_of(ref))]
        return int(self._keep(keys=keys, args=[self._retention_s])) == len(keys)

    def _fetch(self, ref: ArrayRef) -> Bytes:
        """Return the bytes that the store has, in memory of their own or mapped from a file."""
        data = bytearray()
        for trip in _trips(ref):
            found = cast(
                "list[bytes | None]", self._client.mget([blob_key(ref.sha256, chunk) for chunk in trip])
            )
            if None in found:
                return self._fetch_behind_url(ref)
            for part in cast("list[bytes]", found):
                data += part
        return data

    def _put_behind_url(self, ref: ArrayRef, data: memoryview) -> None:
        if self._url is None:
            raise DataError(
                f"an array of {ref.nbytes / 2**20:.0f} MB is too large for Redis (the limit is "
                f"{self.redis_limit_bytes / 2**20:.0f} MB, LIKEWISE_BLOB_REDIS_LIMIT_MB); set "
                "LIKEWISE_BLOB_URL, here and for the workers, to a folder or object store that "
                "both reach, such as file:///mnt/data or s3://bucket/likewise"
            )
        seconds, microseconds = self._client.time()
        with self._client.pipeline() as pipe:
            pipe.zadd(wanted_key(ref.sha256), {"stored": seconds + microseconds / 1e6})
            pipe.expire(wanted_key(ref.sha256), NOTED_S)
            pipe.execute()
        files = RemoteFiles(self._url, error=DataError)
        files.write(_path(ref.sha256), chunks(data, of=data), nbytes=ref.nbytes)

    def _fetch_behind_url(self, ref: ArrayRef) -> Bytes:
        """Return the bytes: mapped from a folder of this machine or the cache, else in memory."""
        if self._url is None and ref.nbytes > self.redis_limit_bytes:
            raise UnreachableError(
                f"array {ref.sha256[:12]} of {ref.nbytes / 2**20:.0f} MB lies behind a blob URL, and "
                "none is set here; set LIKEWISE_BLOB_URL to that of the producer"
            )
        if self._url is None:
            raise BlobError(
                f"array {ref.sha256[:12]} is gone from Redis: its retention has ended, or it lies behind a "
                "LIKEWISE_BLOB_URL that is not set here"
            )
        files = RemoteFiles(self._url, error=BlobError)
        if here := files.local(_path(ref.sha256)):
            try:
                return mapped(here)
            except OSError as error:
                if not here.parents[1].is_dir():
                    raise UnreachableError(
                        f"LIKEWISE_BLOB_URL is {self._url!r}, where nothing is; "
                        "set it to that of the producer"
                    ) from None
                raise BlobError(
                    f"array {ref.sha256[:12]} is gone from {here.parent}: {error.strerror}; "
                    "submit the experiment again"
                ) from None
        if self._cache is not None and self._cache.takes(ref.nbytes):
            self._cache.put(ref.sha256, files.stream(_path(ref.sha256)), nbytes=ref.nbytes)
            if (cached := self._cache.get(ref.sha256)) is not None:
                return cached
        return bytearray().join(files.stream(_path(ref.sha256)))


class BlobBatch:
    """It holds arrays on their way to a store: large ones are stored at once, small ones by `flush`.

    What failed with a RedisError may be done again.
    """

    def __init__(self, store: BlobStore, *, defers: bool = False) -> None:
        self._store = store
        self._defers = defers
        self._waiting: dict[ArrayRef, bytes] = {}
        self._large: dict[ArrayRef, bytes] = {}

    @property
    def waiting(self) -> Mapping[ArrayRef, bytes]:
        """Return the arrays that are not in the store yet."""
        return self._waiting | self._large

    def hold(self, ref: ArrayRef, data: bytes) -> None:
        """Take an array that waited in another batch."""
        large = ref.nbytes > min(SMALL_BYTES, self._store.redis_limit_bytes)
        (self._large if large else self._waiting)[ref] = data

    def put(self, array: NDArray[Any]) -> ArrayRef:
        """Take an array as `BlobStore.put` does."""
        ref, data = encode_array(array)
        if ref.nbytes > min(SMALL_BYTES, self._store.redis_limit_bytes):
            try:
                self._store.put_large(ref, data)
            except RedisError:
                if not self._defers:
                    raise
                self._large[ref] = bytes(data)
            return ref
        if len(self._waiting) % SMALL_A_TRIP == SMALL_A_TRIP - 1:
            try:
                self.flush()
            except RedisError:
                if not self._defers:
                    raise
        self._waiting[ref] = bytes(data)
        return ref

    def flush(self) -> None:
        """Send what waits to the store."""
        while self._large:
            ref, data = next(iter(self._large.items()))
            self._store.put_large(ref, memoryview(data))
            del self._large[ref]
        self._store.put_small(self._waiting)
        self._waiting = {}


def _path(sha256: str) -> str:
    """Return where an array lies behind the URL."""
    return f"{sha256[:2]}/{sha256}"


def _trips(ref: ArrayRef) -> Iterator[range]:
    """Yield the chunk numbers, as many at a time as one round trip carries."""
    for first in range(0, chunks_of(ref), CHUNKS_A_TRIP):
        yield range(first, min(first + CHUNKS_A_TRIP, chunks_of(ref)))
