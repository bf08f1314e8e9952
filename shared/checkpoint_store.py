"""Checkpoints of runs in Redis: blob first, then the reference under the fence.

A checkpoint's bytes lie in chunks under keys of its run alone, so that letting go of one never takes
an array from a result. The record of a run names the last `KEPT` of them, newest first; those before are
deleted in the step that adds one, and all of them in the step that makes the run final. Chunks that no
record names, since their worker died or lost the run meanwhile, expire after BRIEF_S.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import redis
from pydantic import Field, TypeAdapter, ValidationError

from shared import scripts
from shared.blobs import CHUNK_BYTES, CHUNKS_A_TRIP, BlobError
from shared.frozen import Frozen
from shared.names import checkpoint_key, run_key

KEPT = scripts.KEPT_CHECKPOINTS
BRIEF_S = 600


class CheckpointRef(Frozen):
    """The bytes of one checkpoint, as a run's record names them."""

    fence: int
    """Of the claim that wrote it."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    chunks: int

    def keys(self, run_id: str) -> list[str]:
        """Where its chunks lie, in order."""
        return [checkpoint_key(run_id, self.fence, self.sha256, chunk) for chunk in range(self.chunks)]


_REFS = TypeAdapter(tuple[CheckpointRef, ...])


def read_refs(document: bytes | None) -> tuple[CheckpointRef, ...]:
    """Those that a run's record names, newest first; none where it cannot be read."""
    try:
        return _REFS.validate_json(document) if document else ()
    except ValidationError:
        return ()


class CheckpointStore:
    """Methods raise RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._refer = client.register_script(scripts.KEEP_CHECKPOINT)

    def put(self, run_id: str, data: bytes, *, fence: int) -> bool:
        """Store a run's newest checkpoint; False if the run is no longer ours."""
        parts = [data[begin : begin + CHUNK_BYTES] for begin in range(0, max(len(data), 1), CHUNK_BYTES)]
        ref = CheckpointRef(fence=fence, sha256=hashlib.sha256(data).hexdigest(), chunks=len(parts))
        stored = list(zip(ref.keys(run_id), parts, strict=True))
        for begin in range(0, len(stored), CHUNKS_A_TRIP):
            with self._client.pipeline(transaction=False) as pipe:
                for key, part in stored[begin : begin + CHUNKS_A_TRIP]:
                    pipe.set(key, part, ex=BRIEF_S)
                pipe.execute()
        return bool(self._refer(keys=[run_key(run_id)], args=[fence, ref.model_dump_json()]))

    def get(self, run_id: str, ref: CheckpointRef) -> bytes:
        """The bytes. Raises BlobError when they are gone or damaged."""
        keys, parts = ref.keys(run_id), []
        for begin in range(0, len(keys), CHUNKS_A_TRIP):
            parts += cast("list[bytes | None]", self._client.mget(keys[begin : begin + CHUNKS_A_TRIP]))
        found = [part for part in parts if part is not None]
        if len(found) < ref.chunks:
            raise BlobError("gone")
        data = b"".join(found)
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BlobError("damaged")
        return data


def newest(
    store: CheckpointStore, run_id: str, refs: Sequence[CheckpointRef]
) -> tuple[bytes | None, str | None]:
    """The bytes of the newest that is whole, and what is wrong with newer ones, as a sentence."""
    wrong: list[str] = []
    for ref in refs:
        try:
            return store.get(run_id, ref), _sentence(wrong)
        except BlobError as error:
            wrong.append(str(error))
    return None, _sentence(wrong)


def _sentence(wrong: Sequence[str]) -> str | None:
    return f"The last checkpoint is {wrong[0]}." if wrong else None
