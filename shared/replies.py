"""Replies of Redis that are longer than they may be: counted and thrown away, never held in memory.

A reply says its length before its bytes, so that one of 400 MB costs a few pages. A reader gets the beginning
of a message that is too long, to say what it was (`CutText`); anywhere else the whole reply becomes an error,
so that nobody takes a part for the whole.
"""

from __future__ import annotations

from typing import Any

from redis._parsers import _RESP3Parser
from redis._parsers.socket import SocketBuffer
from redis.exceptions import ResponseError
from redis.utils import SENTINEL

KEPT_BYTES = 4 * 1024
"""A text that is too long is cut to so many bytes."""
_PART_BYTES = 2**20
_ENDING = 2
"""A text is followed by so many bytes, which every read takes as well."""


class TooLongError(ResponseError):
    """A reply that is longer than this process takes."""


class CutText(bytes):
    """The beginning of a text that is too long; `length` is how many bytes it has."""

    length: int


class _Buffer(SocketBuffer):
    """Reads no text into memory that is longer than `largest_bytes`."""

    largest_bytes = 0
    longest = 0
    """The length of the longest text that was thrown away since this was last set to 0."""

    def read(self, length: int, timeout: Any = SENTINEL) -> bytes:
        if length <= self.largest_bytes:
            return super().read(length, timeout)
        kept = super().read(KEPT_BYTES, timeout)  # it takes the bytes of an ending more
        left = length - KEPT_BYTES
        while left:
            part = min(left, _PART_BYTES)
            super().read(part - _ENDING, timeout)
            left -= part
            self._forget()
        self.longest = max(self.longest, length)
        cut = CutText(kept)
        cut.length = length
        return cut

    def _forget(self) -> None:
        """Drop what has been read, so that the buffer holds only what comes after it."""
        rest = self._buffer.read()
        self._buffer.seek(0)
        self._buffer.truncate()
        self._buffer.write(rest)
        self._buffer.seek(0)


def bounded_parser(largest_bytes: int, *, cuts: bool = False) -> type[_RESP3Parser]:
    """Return a parser of redis-py that takes no text above `largest_bytes`.

    One that `cuts` gives the beginning of a longer one as `CutText`; another makes the reply a TooLongError.
    """

    class Parser(_RESP3Parser):
        """Reads replies by `_Buffer`."""

        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)  # type: ignore[no-untyped-call]
            self._buffer = _Buffer(connection._sock, self.socket_read_size, connection.socket_timeout)
            self._buffer.largest_bytes = largest_bytes

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            buffer = self._buffer
            found = super().read_response(*args, **kwargs)
            if cuts or buffer is None or not buffer.longest:
                return found
            length, buffer.longest = buffer.longest, 0
            return TooLongError(f"a reply of {length:,} bytes, and at most {largest_bytes:,} are taken")

    return Parser
