"""Checkpoints of runs: in Redis, large ones behind the blob URL.

The bytes are stored first; then the run's record names them, if the worker's fence is still the run's. The
record names the last KEPT_CHECKPOINTS, newest first. Older ones are deleted in the step that adds a
checkpoint, and all of them in the step that makes the run final. In Redis the bytes lie in chunks under keys
of the run alone, so that deleting them never takes an array from a result; chunks that no record names,
because their worker died or lost the run, expire after BRIEF_S. Behind the URL the worker deletes what no
record names, when it adds a checkpoint there and when it has finished the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import redis
from pydantic import Field, TypeAdapter, ValidationError

from likewise.shared.errors import DataError
from likewise.shared.frozen import SHORT_BYTES, Frozen
from likewise.shared.ledger.transitions import MOST_CHUNKS, script
from likewise.shared.names import CHECKPOINT_CHUNK, run_key
from likewise.shared.store.arrays import CHUNK_BYTES
from likewise.shared.store.blobs import CHUNKS_A_TRIP, BlobError
from likewise.shared.store.files import RemoteFiles

BRIEF_S = 600


class CheckpointRef(Frozen):
    """The bytes of one checkpoint, as a run's record names them."""

    fence: int
    """The claim that wrote it had this fence."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    chunks: int = Field(ge=0, le=MOST_CHUNKS)
    """It lies in Redis in so many chunks; 0 for one behind the URL."""

    @property
    def name(self) -> str:
        """Return the file's name behind the URL."""
        return f"{self.fence}-{self.sha256}"

    def keys(self, run_id: str) -> list[str]:
        """Return where its chunks lie, in order."""
        return [CHECKPOINT_CHUNK % (run_id, self.fence, self.sha256, chunk) for chunk in range(self.chunks)]


_REFS = TypeAdapter(tuple[CheckpointRef, ...])


def read_refs(document: bytes | None) -> tuple[CheckpointRef, ...]:
    """Return the checkpoints that a run's record names, newest first; none where that cannot be read."""
    if not document or len(document) > SHORT_BYTES:
        return ()
    try:
        return _REFS.validate_json(document)
    except ValidationError:
        return ()


class CheckpointStore:
    """Stores checkpoints and fetches them. Methods raise RedisError, and DataError where one does not fit."""

    def __init__(self, client: redis.Redis, *, url: str | None, redis_limit_bytes: int) -> None:
        self._client = client
        self._files = RemoteFiles(url, error=DataError) if url else None
        self._redis_limit_bytes = redis_limit_bytes
        self._with_files: set[str] = set()
        self._refer = script(client, "keep_checkpoint")

    def put(self, run_id: str, data: bytes, *, fence: int) -> bool:
        """Store a run's newest checkpoint; False if the run is no longer this worker's."""
        sha256 = hashlib.sha256(data).hexdigest()
        if len(data) <= self._redis_limit_bytes:
            ref = CheckpointRef(fence=fence, sha256=sha256, chunks=max(1, -(-len(data) // CHUNK_BYTES)))
            self._put_in_redis(ref.keys(run_id), data)
            return self._name_it(run_id, ref)
        if self._files is None:
            raise DataError(
                f"it has {len(data) / 2**20:.0f} MB, and Redis takes up to "
                f"{self._redis_limit_bytes / 2**20:.0f} MB (LIKEWISE_BLOB_REDIS_LIMIT_MB); set "
                "LIKEWISE_BLOB_URL to a place that all workers reach"
            )
        ref = CheckpointRef(fence=fence, sha256=sha256, chunks=0)
        self._with_files.add(run_id)
        self._files.write(f"{_folder(run_id)}/{ref.name}", [data], nbytes=len(data))
        ours = self._name_it(run_id, ref)
        if ours:
            self._tidy(run_id)
        return ours

    def get(self, run_id: str, ref: CheckpointRef) -> bytes:
        """Return the bytes. Raises BlobError when they are gone or damaged."""
        data = self._from_redis(ref.keys(run_id)) if ref.chunks else self._from_files(run_id, ref)
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BlobError("damaged")
        return data

    def forget(self, run_id: str) -> None:
        """Delete what this store has put or read behind the URL for a run that is final."""
        if run_id in self._with_files:
            self._tidy(run_id)
            self._with_files.remove(run_id)

    def _put_in_redis(self, keys: Sequence[str], data: bytes) -> None:
        for begin in range(0, len(keys), CHUNKS_A_TRIP):
            with self._client.pipeline(transaction=False) as pipe:
                for chunk, key in enumerate(keys[begin : begin + CHUNKS_A_TRIP], start=begin):
                    pipe.set(key, data[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES], ex=BRIEF_S)
                pipe.execute()

    def _name_it(self, run_id: str, ref: CheckpointRef) -> bool:
        return bool(self._refer(keys=[run_key(run_id)], args=[ref.fence, ref.model_dump_json()]))

    def _tidy(self, run_id: str) -> None:
        refs = read_refs(cast("bytes | None", self._client.hget(run_key(run_id), "checkpoints")))
        if self._files is not None:
            self._files.keep_only(_folder(run_id), {ref.name for ref in refs})

    def _from_redis(self, keys: Sequence[str]) -> bytes:
        parts: list[bytes | None] = []
        for begin in range(0, len(keys), CHUNKS_A_TRIP):
            parts += cast("list[bytes | None]", self._client.mget(keys[begin : begin + CHUNKS_A_TRIP]))
        found = [part for part in parts if part is not None]
        if len(found) < len(keys):
            raise BlobError("gone")
        return b"".join(found)

    def _from_files(self, run_id: str, ref: CheckpointRef) -> bytes:
        if self._files is None:
            raise BlobError("behind a LIKEWISE_BLOB_URL that is not set here")
        self._with_files.add(run_id)
        try:
            return self._files.read(f"{_folder(run_id)}/{ref.name}")
        except DataError as error:
            raise BlobError(f"gone: {error}") from None


def _folder(run_id: str) -> str:
    return f"checkpoints/{run_id}"


def newest(
    store: CheckpointStore, run_id: str, refs: Sequence[CheckpointRef]
) -> tuple[bytes | None, str | None]:
    """Return the bytes of the newest undamaged checkpoint, and a sentence on what is wrong with newer."""
    wrong: list[str] = []
    for ref in refs:
        try:
            return store.get(run_id, ref), _sentence(wrong)
        except BlobError as error:
            wrong.append(str(error))
    return None, _sentence(wrong)


def _sentence(wrong: Sequence[str]) -> str | None:
    return f"The last checkpoint is {wrong[0]}." if wrong else None
