"""Messages with arrays over a pipe: a line of JSON that lists the arrays, then their bytes.

No pickle: an array is its dtype, its shape and its bytes in C order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
PROGRAM_FAILED = 70
"""A host whose last answer was that the program failed ends with this status, once it is asked no more."""


class Written(Protocol):
    """Where a message is written."""

    def write(self, data: bytes | memoryview[Any], /) -> object:
        """Take bytes, or what has the same interface."""

    def flush(self) -> object:
        """Let all that was written go."""


class Read(Protocol):
    """Where a message is read from."""

    def readline(self) -> bytes:
        """Return the bytes up to the end of a line, or of the stream."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or fewer at the end of the stream."""


def send(stream: Written, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one message and flush it."""
    solid = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    listed = [[name, array.dtype.str, array.shape] for name, array in solid.items()]
    stream.write(json.dumps({"document": document, "arrays": listed}).encode() + b"\n")
    for array in solid.values():
        stream.write(array.reshape(-1).view(np.uint8).data if array.size else b"")
    stream.flush()


def receive(stream: Read) -> tuple[dict[str, Any], Arrays]:
    """Read one message. Raises EOFError where the other end is gone, ValueError for what is no message."""
    line = stream.readline()
    if not line:
        raise EOFError("the other end of the pipe is closed")
    head = json.loads(line)
    arrays: Arrays = {}
    for name, spelled, shape in head["arrays"]:
        dtype = np.dtype(spelled)
        if dtype.hasobject:
            raise ValueError(f"the array {name} holds objects, not numbers")
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        data = stream.read(size)
        if len(data) < size:
            raise EOFError(f"the pipe ended within the array {name}")
        arrays[name] = np.frombuffer(data, dtype).reshape(shape)
    return head["document"], arrays


def nth_call(number: int) -> str:
    """Return the key under which what leaves the call of this number in a forward pass is forced."""
    return f"#{number}"
