"""Checkpoints that every framework can read: arrays by name in an npz file, or in safetensors.

Neither holds code, and nothing of them is unpickled. A framework's own files are its host's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.worker.port.contract import Arrays, ProgramError

_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""The names of safetensors' types, and NumPy's."""


def read_arrays(file: Path, *, more: Sequence[str]) -> Arrays:
    """Return the arrays of an npz or a safetensors file; `more` are the endings that the host reads itself.

    Raises ProgramError for a file of another kind, or a broken one.
    """
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as given:
                return {name: given[name] for name in given.files}
        if file.suffix == ".safetensors":
            return _safetensors(file.read_bytes())
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ProgramError(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}") from error
    raise ProgramError(_kinds(file, more))


def write_arrays(file: Path, arrays: Mapping[str, NDArray[Any]], *, more: Sequence[str]) -> None:
    """Write an npz or a safetensors file. Raises ProgramError for another ending, or where it cannot."""
    try:
        if file.suffix == ".npz":
            np.savez(file, allow_pickle=False, **arrays)
        elif file.suffix == ".safetensors":
            _write_safetensors(file, arrays)
        else:
            raise ProgramError(_kinds(file, more))
    except OSError as error:
        raise ProgramError(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from error


def _kinds(file: Path, more: Sequence[str]) -> str:
    endings = ", ".join([*more, ".safetensors"])
    return f"{file.name} ends in {file.suffix or 'nothing'}; it can be {endings} or .npz"


def _safetensors(data: bytes) -> Arrays:
    """Read the format: the length of the header in 8 bytes, the header in JSON, then the numbers."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    found: Arrays = {}
    for name, told in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + int(one) for one in told["data_offsets"])
        if told["dtype"] == "BF16":  # the upper half of a float32
            halves = np.frombuffer(data[begin:end], "<u2").astype(np.uint32)
            numbers = (halves << 16).view(np.float32)
        else:
            numbers = np.frombuffer(data[begin:end], _TYPES[told["dtype"]])
        found[name] = numbers.reshape(told["shape"])
    return found


def _write_safetensors(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    names = {np.dtype(spelled): name for name, spelled in _TYPES.items()}
    header, begin = {}, 0
    solid = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in solid.items():
        end = begin + array.nbytes
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for array in solid.values():
            stream.write(array.tobytes())
