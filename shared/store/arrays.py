"""Arrays by content: the reference that travels in JSON, and the bytes it stands for."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many

DType = Literal["float32", "float64", "int64"]
INLINE_BYTES = 8 * 2**10
"""The most bytes of an array that travels in its document: a curve of 1,000 epochs."""


class ArrayRef(Frozen):
    """An array somewhere in the blob store.

    Its bytes are little-endian, C order; `sha256` is of the bytes alone, so dtype and shape stand here.
    """

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dtype: DType
    shape: Many[int]

    @property
    def nbytes(self) -> int:
        """Return its size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class InlineArray(Frozen):
    """A small array that travels in its document, so that no round trip is spent on it."""

    data: str
    """Base64 of the bytes, which are little-endian, in C order."""
    dtype: DType
    shape: Many[int]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        try:
            found = len(base64.b64decode(self.data, validate=True))
        except binascii.Error as error:
            raise ValueError(f"its base64 is damaged: {error}") from None
        wanted = int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize
        if found != wanted:
            raise ValueError(f"{found} bytes where its shape needs {wanted}")
        return self

    @classmethod
    def of(cls, array: NDArray[Any]) -> InlineArray:
        """Return the inline form of an array of float32, float64 or int64; raise TypeError for another."""
        data = base64.b64encode(_bytes_of(array)).decode()
        return cls(data=data, dtype=cast(DType, array.dtype.name), shape=array.shape)

    def array(self) -> NDArray[Any]:
        """Return what it holds as an array."""
        flat = np.frombuffer(base64.b64decode(self.data), dtype=np.dtype(self.dtype).newbyteorder("<"))
        return flat.astype(self.dtype).reshape(self.shape)


AnyArray = InlineArray | ArrayRef
"""An array in a result: small ones inline, others in the blob store."""


def encode_array(array: NDArray[Any]) -> tuple[ArrayRef, bytes]:
    """Return the reference and the bytes of an array of float32, float64 or int64.

    Raises TypeError for another dtype.
    """
    data = _bytes_of(array)
    digest = hashlib.sha256(data).hexdigest()
    return ArrayRef(sha256=digest, dtype=cast(DType, array.dtype.name), shape=array.shape), data


def decode_array(ref: ArrayRef, data: bytes) -> NDArray[Any]:
    """Return the array. Raises ValueError when the bytes are not those the reference names."""
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise ValueError(f"{len(data)} bytes do not have the SHA-256 {ref.sha256}")
    array = np.frombuffer(data, dtype=np.dtype(ref.dtype).newbyteorder("<"))
    return array.astype(ref.dtype).reshape(ref.shape)


def hash_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        data = _bytes_of(array)
        digest.update(f"{name}:{array.dtype.name}:{array.shape}:".encode())
        digest.update(data)
    return digest.hexdigest()


def _bytes_of(array: NDArray[Any]) -> bytes:
    """Return the bytes, little-endian in C order; raises TypeError for a dtype that is not stored."""
    if array.dtype.name not in get_args(DType):
        raise TypeError(f"an array of {array.dtype} cannot be stored: float32, float64 or int64")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
