"""Arrays by content: the reference that travels in JSON, and the bytes it stands for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mmap
import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Any, Literal, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many

DType = Literal[
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"
]
"""The kinds of numbers that are stored, each as it is."""
ArrayShape = Annotated[Many[Annotated[int, Field(ge=0, lt=2**63)]], Field(max_length=32)]
"""The shape of an array, as NumPy could have it."""
Bytes = bytes | bytearray | memoryview
INLINE_BYTES = 8 * 2**10
"""The most bytes of an array that travels in its document: a curve of 1,000 epochs."""
CHUNK_BYTES = 2**20
"""Bytes that are hashed, sent or written at a time: so few that no command holds up Redis for others."""


class ArrayRef(Frozen):
    """An array somewhere in the blob store. Its bytes are little-endian, in C order."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dtype: DType
    shape: ArrayShape
    sha256_of: Literal["bytes", "array"] = "bytes"
    """What the hash is taken of: `array` begins with dtype and shape, so that they are checked as well.
    References of older documents are of the bytes alone."""

    @property
    def nbytes(self) -> int:
        """Return its size in bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def digest(self) -> Any:
        """Return a hash that has taken what comes before the bytes."""
        return hashlib.sha256(_head(self.dtype, self.shape) if self.sha256_of == "array" else b"")


class InlineArray(Frozen):
    """A small array that travels in its document, so that no round trip is spent on it."""

    data: str
    """Base64 of the bytes, which are little-endian, in C order."""
    dtype: DType
    shape: ArrayShape

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        try:
            found = len(base64.b64decode(self.data, validate=True))
        except binascii.Error as error:
            raise ValueError(f"its base64 is damaged: {error}") from None
        wanted = prod(self.shape) * np.dtype(self.dtype).itemsize
        if found != wanted:
            raise ValueError(f"{found} bytes where its shape needs {wanted}")
        return self

    @classmethod
    def of(cls, array: NDArray[Any]) -> InlineArray:
        """Return the inline form of an array; raise TypeError for a dtype that is not stored."""
        data = base64.b64encode(bytes_of(array)).decode()
        return cls(data=data, dtype=cast(DType, array.dtype.name), shape=array.shape)

    def array(self) -> NDArray[Any]:
        """Return what it holds as an array."""
        flat = np.frombuffer(base64.b64decode(self.data), dtype=np.dtype(self.dtype).newbyteorder("<"))
        return flat.astype(self.dtype).reshape(self.shape)


AnyArray = InlineArray | ArrayRef
"""An array in a result: small ones inline, others in the blob store."""


_REFERENCE = re.compile(
    rf'"sha256": ?"([0-9a-f]{{64}})", ?"dtype": ?"({"|".join(get_args(DType))})", ?"shape": ?\[([0-9, ]*)\]'
)


def references(document: str) -> dict[str, int]:
    """Return the SHA-256 of each array that a document of ours refers to, with the number of its chunks."""
    found = {}
    for sha256, dtype, shape in _REFERENCE.findall(document):
        count = prod(int(size) for size in shape.split(",")) if shape else 1
        found[sha256] = _chunks(count * np.dtype(dtype).itemsize)
    return found


def chunks_of(ref: ArrayRef) -> int:
    """Return how many chunks an array is stored in."""
    return _chunks(ref.nbytes)


def _chunks(nbytes: int) -> int:
    return max(1, -(-nbytes // CHUNK_BYTES))


def _head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return what a hash of an array takes before its bytes."""
    return f"{dtype} {tuple(shape)}:".encode()


def encode_array(array: NDArray[Any]) -> tuple[ArrayRef, memoryview]:
    """Return the reference and the bytes of an array, which are not copied where they need not be.

    A memory-mapped array is read once, and its pages are given back while it is hashed. Raises TypeError
    for a dtype that is not stored.
    """
    data = bytes_of(array)
    digest = hashlib.sha256(_head(array.dtype.name, array.shape))
    for chunk in chunks(data, of=array):
        digest.update(chunk)
    ref = ArrayRef(
        sha256=digest.hexdigest(),
        dtype=cast(DType, array.dtype.name),
        shape=array.shape,
        sha256_of="array",
    )
    return ref, data


def decode_array(ref: ArrayRef, data: Bytes) -> NDArray[Any]:
    """Return the array, in the memory of `data` where its byte order is the machine's.

    It can be written to where `data` can. Raises ValueError when the bytes are not those that the
    reference names.
    """
    array: NDArray[Any] = np.frombuffer(data, dtype=np.dtype(ref.dtype).newbyteorder("<"))
    digest = ref.digest()
    for chunk in chunks(memoryview(data).cast("B"), of=data):
        digest.update(chunk)
    if digest.hexdigest() != ref.sha256:
        raise ValueError(f"{array.nbytes} bytes do not have the SHA-256 {ref.sha256}")
    return array.astype(ref.dtype, copy=not array.flags.writeable).reshape(ref.shape)


def hash_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}:{array.dtype.name}:{array.shape}:".encode())
        digest.update(bytes_of(array))
    return digest.hexdigest()


def bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the bytes, little-endian in C order, without a copy where they lie so.

    Raises TypeError for a dtype that is not stored.
    """
    if array.dtype.name not in get_args(DType):
        raise TypeError(f"an array of {array.dtype} cannot be stored: {', '.join(get_args(DType))} can")
    whole = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return whole.reshape(-1).view(np.uint8).data


def chunks(data: memoryview, *, of: object = None) -> Iterator[memoryview]:
    """Yield the bytes in order, CHUNK_BYTES at a time.

    Where `of` is memory-mapped, or an array in such memory, the pages are given back as they were read.
    """
    step = 64 * CHUNK_BYTES
    for begin in range(0, len(data), CHUNK_BYTES):
        yield data[begin : begin + CHUNK_BYTES]
        if begin % step == step - CHUNK_BYTES:
            give_back_pages(of)
    give_back_pages(of)


def give_back_pages(mapped: object) -> None:
    """Let the system reuse the memory of a mapped file; what is read again comes from the file again."""
    while isinstance(mapped, np.ndarray | memoryview):
        mapped = mapped.base if isinstance(mapped, np.ndarray) else mapped.obj
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
