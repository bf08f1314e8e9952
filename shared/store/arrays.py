"""Arrays by content: the reference that travels in JSON, and the bytes it stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frozen import Frozen
from shared.spec.fields import Many

DType = Literal["float32", "float64", "int64"]


class ArrayRef(Frozen):
    """An array somewhere in the blob store.

    Its bytes are little-endian, C order; `sha256` is of the bytes alone, so dtype and shape stand here.
    """

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dtype: DType
    shape: Many[int]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def encode_array(array: NDArray[Any]) -> tuple[ArrayRef, bytes]:
    """The reference and the bytes of an array of float32, float64 or int64.

    Raises TypeError for another dtype.
    """
    data = _bytes_of(array)
    digest = hashlib.sha256(data).hexdigest()
    return ArrayRef(sha256=digest, dtype=cast(DType, array.dtype.name), shape=array.shape), data


def decode_array(ref: ArrayRef, data: bytes) -> NDArray[Any]:
    """The array; raises ValueError when the bytes are not those the reference names."""
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise ValueError(f"{len(data)} bytes do not have the SHA-256 {ref.sha256}")
    array = np.frombuffer(data, dtype=np.dtype(ref.dtype).newbyteorder("<"))
    return array.astype(ref.dtype).reshape(ref.shape)


def hash_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        data = _bytes_of(array)
        digest.update(f"{name}:{array.dtype.name}:{array.shape}:".encode())
        digest.update(data)
    return digest.hexdigest()


def _bytes_of(array: NDArray[Any]) -> bytes:
    """Little-endian, C order; raises TypeError for a dtype that is not stored."""
    if array.dtype.name not in get_args(DType):
        raise TypeError(f"an array of {array.dtype} cannot be stored: float32, float64 or int64")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
