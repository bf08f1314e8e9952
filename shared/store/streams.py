"""Streams of bytes through Redis lists, for the questions and answers of a hosted program.

A stream is cut into pieces, and only a few of them are in Redis at a time, however long a message is. An
empty piece ends it. The bytes are those of `shared.port.wire`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import redis

PIECE_BYTES = 2**20
AHEAD = 16
"""The most pieces that wait in Redis for the other end."""
_LOOK_S = 1
"""A wait for the other end asks so often, in whole seconds, whether it is still there."""
_PAUSE_S = 0.002


class RedisStream:
    """A list of Redis as a stream. `check` is called while it waits, and may raise."""

    def __init__(self, client: redis.Redis, key: str, *, check: Callable[[], None]) -> None:
        self._client, self._key, self._check = client, key, check
        self._waiting = bytearray()
        self._begin = 0
        self._ended = False

    def write(self, data: bytes | memoryview[Any], /) -> int:
        """Take bytes, and push whole pieces of them."""
        self._waiting += data
        while len(self._waiting) >= PIECE_BYTES:
            self.push(bytes(self._waiting[:PIECE_BYTES]))
            del self._waiting[:PIECE_BYTES]
        return len(data)

    def flush(self) -> None:
        """Push what was written."""
        if self._waiting:
            self.push(bytes(self._waiting))
            self._waiting.clear()

    def push(self, piece: bytes) -> None:
        """Push one piece, once there is room for it."""
        looked = time.monotonic()
        while self._client.llen(self._key) >= AHEAD:
            time.sleep(_PAUSE_S)
            if time.monotonic() - looked > _LOOK_S:
                self._check()
                looked = time.monotonic()
        self._client.lpush(self._key, piece)

    def end(self) -> None:
        """Tell the reader that nothing more comes."""
        self.push(b"")

    def pop(self) -> bytes | None:
        """Return the next piece; None where there is none within a second."""
        found = cast("tuple[bytes, bytes] | None", self._client.brpop([self._key], timeout=_LOOK_S))
        return None if found is None else found[1]

    def readline(self) -> bytes:
        """Return the bytes up to the end of a line, or of the stream."""
        searched = self._begin
        while (end := self._waiting.find(b"\n", searched)) < 0 and not self._ended:
            searched = len(self._waiting)
            self._fetch()
        return self._take((len(self._waiting) if end < 0 else end + 1) - self._begin)

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or fewer at the end of the stream."""
        while len(self._waiting) - self._begin < size and not self._ended:
            self._fetch()
        return self._take(min(size, len(self._waiting) - self._begin))

    def _fetch(self) -> None:
        while (piece := self.pop()) is None:
            self._check()
        self._ended = not piece
        self._waiting += piece

    def _take(self, size: int) -> bytes:
        found = bytes(self._waiting[self._begin : self._begin + size])
        self._begin += size
        if self._begin == len(self._waiting):
            self._waiting.clear()
            self._begin = 0
        return found
