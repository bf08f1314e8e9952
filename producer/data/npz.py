"""NumPy archives: samples and given weights. Nothing pickled is read.

An array that lies in the archive as it is (`numpy.savez`) is mapped to memory, one that is compressed is
unpacked.
"""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.file_lists import listed, place_of
from likewise.producer.data.loaded import (
    MAX_BYTES,
    Floats,
    Loaded,
    check_numbers,
    column_names_of,
    find_file,
    named_targets,
    plain,
)
from likewise.producer.data.memory import STRETCH_BYTES, put_together, room_for, stretches
from likewise.producer.display import did_you_mean, printable, short, size
from likewise.shared.errors import DataError
from likewise.shared.job import InitialWeights
from likewise.shared.job.data import NpyData, NpzData
from likewise.shared.job.weights import GivenWeights, NpzWeights
from likewise.shared.store.arrays import give_back_pages

_MOST_AXES = 32
_MOST_HEADER_BYTES = 2**14
"""NumPy writes shorter headers. One that says it is longer is not unpacked to see."""
_LOCAL_HEADER = struct.Struct("<26x2H")
"""A member's own header in an archive: the lengths of its name and of its extra field are the last of it."""


def load_npz(data: NpzData, base: Path) -> Loaded:
    """Return the arrays x (samples, ...) and y (samples,) or (samples, targets); raise DataError."""
    fields = _fields("data.x", data.x) | _fields("data.y", data.y)
    if data.sample_weights is not None:
        fields[data.sample_weights] = "data.sample_weights"
    files = [find_file(path, base, most=None) for path in listed(data.path)]
    held = [read_arrays(file, list(fields), fields=fields) for file in files]
    place = place_of(data.path)
    arrays = {}
    for name in fields:
        places = [f"{printable(file.name)}, array {printable(name)}" for file in files]
        arrays[name] = joined([one[name] for one in held], places)
    x, inputs = put_together(data.x, arrays.__getitem__, "data.x")
    y, outputs = put_together(data.y, arrays.__getitem__, "data.y")
    loaded = _loaded(
        x,
        y,
        None if data.sample_weights is None else arrays[data.sample_weights],
        place=place,
        names=(_all_of(data.x), _all_of(data.y), data.sample_weights),
    )
    return _named(loaded, inputs, outputs)


def _named(
    loaded: Loaded, inputs: Mapping[str, tuple[int, ...]], outputs: Mapping[str, tuple[int, ...]]
) -> Loaded:
    """Return the samples with what their columns are, where inputs or outputs have names."""
    return replace(
        loaded,
        inputs=inputs,
        feature_names=column_names_of(inputs),
        outputs=named_targets(outputs, place="data.y"),
    )


def _fields(field: str, given: str | Mapping[str, str]) -> dict[str, str]:
    """Return the place in the job file of each array that a field names."""
    if isinstance(given, str):
        return {given: field}
    return {array: f"{field}.{name}" for name, array in given.items()}


def _all_of(given: str | Mapping[str, str]) -> str:
    return given if isinstance(given, str) else ", ".join(given.values())


def load_npy(data: NpyData, base: Path) -> Loaded:
    """Return the arrays of NumPy files as `load_npz` does those of an archive; raise DataError."""
    x, inputs = put_together(data.x, partial(_read_files, base=base), "data.x")
    y, outputs = put_together(data.y, partial(_read_files, base=base), "data.y")
    weights = None if data.sample_weights is None else _read_files(data.sample_weights, base)
    loaded = _loaded(x, y, weights, place="data", names=("x", "y", "sample_weights"))
    return _named(loaded, inputs, outputs)


def _read_files(paths: str | Sequence[str], base: Path) -> NDArray[Any]:
    files = [find_file(path, base, most=None) for path in listed(paths)]
    return joined([read_npy(file) for file in files], [printable(file.name) for file in files])


def _loaded(
    x: NDArray[Any],
    y: NDArray[Any],
    weights: NDArray[Any] | None,
    *,
    place: str,
    names: tuple[str, str, str | None],
) -> Loaded:
    """Return the samples; raise DataError where the arrays do not belong together."""
    x_place, y_place, weights_place = (f"{place}, array {printable(str(name))}" for name in names)
    if x.ndim == 0 or y.ndim == 0:
        raise DataError(
            f"{place}: an array of samples has at least one axis, and one here is a single number"
        )
    if len(x) != len(y):
        raise DataError(f"{place}: x has {len(x):,} samples and y has {len(y):,}; each sample needs both")
    if y.ndim > 2:
        raise DataError(f"{y_place}: has the shape {y.shape}; targets are (samples,) or (samples, targets)")
    if weights is not None and weights.shape != (len(x),):
        raise DataError(
            f"{place}: data.sample_weights, array {printable(str(names[2]))}, has the shape "
            f"{weights.shape}; weights are one a sample, ({len(x)},)"
        )
    return Loaded(
        weights=None if weights is None else weights.astype(np.float64),
        weights_place=weights_place,
        x=x.reshape(-1, 1) if x.ndim == 1 else x,
        y=y.reshape(-1, 1) if y.ndim == 1 else y,
        x_place=x_place,
        y_place=y_place,
    )


def joined(arrays: Sequence[NDArray[Any]], places: Sequence[str]) -> NDArray[Any]:
    """Return arrays one after another along axis 0; an only one is itself.

    Raises DataError, naming the first by its place that does not go with those before it.
    """
    first = arrays[0]
    if len(arrays) == 1:
        return first
    for array, place in zip(arrays, places, strict=True):
        if array.ndim == 0 or array.shape[1:] != first.shape[1:]:
            raise DataError(
                f"{place}: has samples of the shape {array.shape[1:]}, and {places[0]} {first.shape[1:]}; "
                "files that are joined have samples of one shape"
            )
        if array.dtype != first.dtype:
            raise DataError(
                f"{place}: holds {array.dtype}, and {places[0]} {first.dtype}; save all in one dtype"
            )
    whole = room_for((sum(map(len, arrays)), *first.shape[1:]), first.dtype, place=places[0])
    begin = 0
    for array in arrays:
        for stretch, some in stretches(array):
            whole[begin + stretch.start : begin + stretch.start + len(some)] = some
            give_back_pages(whole)
        begin += len(array)
    return whole


def read_npy(file: Path) -> NDArray[Any]:
    """Return the array of a NumPy file, mapped to memory; raise DataError."""
    place = printable(file.name)
    try:
        with file.open("rb") as stream:
            shape, fortran, dtype, begin = header(stream, place)
        held = file.stat().st_size - begin
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    _check_amount(shape, dtype, held, place)
    if not held:
        return plain(np.empty(shape, dtype))
    array: NDArray[Any] = np.memmap(
        file, dtype, mode="c", offset=begin, shape=shape, order="F" if fortran else "C"
    )
    return plain(np.asarray(array))


def _check_amount(shape: tuple[int, ...], dtype: np.dtype[Any], held: int, place: str) -> None:
    if held != prod(shape) * dtype.itemsize:
        raise DataError(
            f"{place}: claims the shape {shape} of {dtype}, {prod(shape) * dtype.itemsize:,} bytes, and "
            f"holds {held:,}; save it anew with NumPy"
        )


def given_weights(declared: InitialWeights, base: Path) -> Mapping[str, Floats] | None:
    """Return arrays by name, float64; None where weights are drawn. Raises DataError."""
    if isinstance(declared, GivenWeights):
        return {name: np.array(values, dtype=np.float64) for name, values in declared.weights.items()}
    if not isinstance(declared, NpzWeights):
        return None
    try:
        arrays = read_arrays(find_file(declared.path, base))
    except DataError as error:
        message = str(error).removeprefix(f"data.path {short(declared.path)}: ")
        raise DataError(f"initial_weights.path {short(declared.path)}: {message}") from None
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise DataError(f"initial_weights: array {printable(name)} holds NaN or infinity")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def read_arrays(
    file: Path, names: Sequence[str] | None = None, *, fields: dict[str, str] | None = None
) -> dict[str, NDArray[Any]]:
    """Return arrays of an archive, those named or all, in the dtypes they have; raise DataError."""
    place = printable(file.name)
    try:
        with zipfile.ZipFile(file) as archive:
            inside = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            wanted = list(inside) if names is None else list(dict.fromkeys(names))
            for name in wanted:
                if name not in inside:
                    field = (fields or {}).get(name, "")
                    raise DataError(
                        f"{place}: has no array {short(name)}{f' ({field})' if field else ''}; "
                        f"{did_you_mean(name, list(inside))}"
                    )
            return {
                name: _read(archive, inside[name], file, f"{place}, array {printable(name)}")
                for name in wanted
            }
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        reason = printable(str(error)) or "it ends early"
        raise DataError(
            f"{place}: is not a readable .npz archive: {reason}; write it with numpy.savez"
        ) from None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Path, place: str) -> NDArray[Any]:
    with archive.open(entry) as stream:
        shape, fortran, dtype, begin = header(stream, place)
        held = entry.file_size - begin
        _check_amount(shape, dtype, held, place)
        if entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1 and held > STRETCH_BYTES:
            array: NDArray[Any] = np.memmap(
                file,
                dtype,
                mode="c",
                offset=_begin(file, entry) + begin,
                shape=shape,
                order="F" if fortran else "C",
            )
            _check_sum(file, entry, place)
            return plain(np.asarray(array))
        if entry.compress_type != zipfile.ZIP_STORED and held > MAX_BYTES:
            raise DataError(
                f"{place}: unpacks to {size(held)}, and at most {size(MAX_BYTES)} are unpacked; save it with "
                "numpy.savez, which does not pack it"
            )
        flat = room_for((prod(shape),), dtype, place=place)
        _fill(stream, flat.view(np.uint8).data if held else memoryview(b""))
    return plain(flat.reshape(shape, order="F" if fortran else "C"))


def header(stream: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read a NumPy array's header; its shape, whether it is in Fortran's order, its dtype, where it ends.

    Raises DataError where it says what no array of numbers can be.
    """
    begin = io.BytesIO(stream.read(_MOST_HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(begin)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it was written by Python 2, which is no matter
            shape, fortran, dtype = read(begin)
    except Exception as error:  # NumPy reads a header as Python, which has many words for what it is not
        reason = (str(error) or type(error).__name__).splitlines()[0]
        told = "its header says no dtype and shape" if "<ast." in reason or reason[:1] == "(" else reason
        raise DataError(f"{place}: is not a NumPy array: {printable(told)}") from None
    stream.seek(begin.tell())
    if dtype.hasobject:
        raise DataError(f"{place}: holds Python objects, which are not read; save plain numbers")
    if len(shape) > _MOST_AXES or any(axis < 0 for axis in shape):
        raise DataError(f"{place}: claims the shape {short(shape)}, which no array has; save it anew")
    check_numbers(dtype, place)
    return shape, fortran, dtype, stream.tell()


def _fill(stream: IO[bytes], room: memoryview) -> None:
    """Read as many bytes as there is room for. Raises EOFError where there are fewer."""
    begin = 0
    while begin < len(room):
        found = stream.readinto(room[begin : begin + io.DEFAULT_BUFFER_SIZE * 64])  # type: ignore[attr-defined]
        if not found:
            raise EOFError
        begin += found
    if stream.read(1):
        raise EOFError


def _begin(file: Path, entry: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin in the archive: after a header of its own."""
    with file.open("rb") as stream:
        stream.seek(entry.header_offset)
        name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    return entry.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def _check_sum(file: Path, entry: zipfile.ZipInfo, place: str) -> None:
    """Raise DataError where a member's bytes are not those that were written."""
    whole = np.memmap(file, np.uint8, mode="r", offset=_begin(file, entry), shape=(entry.file_size,))
    found = 0
    for begin in range(0, len(whole), STRETCH_BYTES):
        found = zlib.crc32(whole[begin : begin + STRETCH_BYTES].data, found)
        give_back_pages(whole)
    if found != entry.CRC:
        raise DataError(f"{place}: is damaged: its checksum is wrong; save it anew with numpy.savez")
