"""How much is said, and a standard output that can take no more: one error instead of a traceback, and a
closed pipe in silence.

Writes to a terminal are left alone. What could not be written is given up, or Python would try again at
its end and complain.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from likewise.shared.errors import OutputError

loudness: ContextVar[Literal["quiet", "normal", "verbose"]] = ContextVar("loudness", default="normal")
"""How much is said on the way to an answer: nothing but errors, what a reader needs, or every change."""
CLOSED = 1
"""The exit status where nobody reads on, which is typer's own."""


@contextmanager
def guarded_output() -> Iterator[None]:
    """Write all of standard output before the end. Raises OutputError where it takes no more."""
    _guard()
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OutputError:
        _give_up()
        raise
    except BrokenPipeError:
        _give_up()
        sys.exit(CLOSED)


class _Descriptor(io.FileIO):
    """Standard output's, whose errors are told from those of any other file."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise OutputError(
                f"standard output cannot be written: {reason}; make room there, or send it elsewhere"
            ) from None


def _guard() -> None:
    """Put the descriptor under standard output; a stream of something else, as in tests, stays."""
    stream = sys.stdout
    if stream is not sys.__stdout__ or not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return
    stream.flush()
    buffer = io.BufferedWriter(_Descriptor(stream.fileno(), "w", closefd=False))
    sys.stdout = io.TextIOWrapper(buffer, stream.encoding, stream.errors)


def _give_up() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
