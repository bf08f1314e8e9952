"""Samples that are arrays already: in the job file or a NumPy archive; and given initial weights.

Nothing pickled is read.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.data.loaded import MAX_BYTES, Loaded, find_file, numbers, size
from producer.data.prepared import Floats
from producer.display import did_you_mean, printable, short
from shared.errors import DataError
from shared.job import InitialWeights
from shared.job.data import InlineData, NpzData
from shared.job.weights import GivenWeights, NpzWeights


def load_inline(data: InlineData) -> Loaded:
    """The samples; raises DataError where x and y do not pair up."""
    x, y = table(data.x), table(data.y)
    if len(x) != len(y):
        raise DataError(f"data: x has {rows(x)} and y has {rows(y)}; each sample needs both")
    weights = None if data.sample_weights is None else np.array(data.sample_weights, dtype=np.float64)
    if weights is not None and len(weights) != len(x):
        raise DataError(f"data.sample_weights: has {len(weights)} numbers, and there are {rows(x)} of x")
    return Loaded(
        x=x, y=y, weights=weights, weights_place="data.sample_weights", x_place="data.x", y_place="data.y"
    )


def table(values: tuple[float, ...] | tuple[tuple[float, ...], ...]) -> Floats:
    """Rows as float64 (n, columns); a flat list is one column."""
    array = np.array(values, dtype=np.float64)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def rows(array: Floats) -> str:
    """How many, in words."""
    return f"{len(array)} row{'s' * (len(array) != 1)}"


def load_npz(data: NpzData, base: Path) -> Loaded:
    """The arrays x (samples, ...) and y (samples,) or (samples, targets); raises DataError."""
    file = find_file(data.path, base)
    place = printable(file.name)
    fields = {data.x: "data.x", data.y: "data.y"}
    if data.sample_weights is not None:
        fields[data.sample_weights] = "data.sample_weights"
    arrays = read_arrays(file, list(fields), fields=fields)
    x, y = arrays[data.x], arrays[data.y]
    weights = None if data.sample_weights is None else arrays[data.sample_weights]
    x_place, y_place = f"{place}, array {printable(data.x)}", f"{place}, array {printable(data.y)}"
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
            f"{place}: data.sample_weights, array {printable(str(data.sample_weights))}, has the shape "
            f"{weights.shape}; weights are one a sample, ({len(x)},)"
        )
    return Loaded(
        weights=weights,
        weights_place=f"{place}, array {printable(str(data.sample_weights))}",
        x=x.reshape(-1, 1) if x.ndim == 1 else x,
        y=y.reshape(-1, 1) if y.ndim == 1 else y,
        x_place=x_place,
        y_place=y_place,
    )


def read_arrays(
    file: Path, names: Sequence[str] | None = None, *, fields: dict[str, str] | None = None
) -> dict[str, Floats]:
    """Named arrays of an archive, or all of them, as float64; raises DataError."""
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
            held = sum(inside[name].file_size for name in wanted)
            if held > MAX_BYTES:
                raise DataError(
                    f"{place}: unpacks to {size(held)}; at most {size(MAX_BYTES)} can be trained on"
                )
            return {
                name: _read(archive, inside[name], f"{place}, array {printable(name)}") for name in wanted
            }
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        reason = printable(str(error)) or "it ends early"
        raise DataError(
            f"{place}: is not a readable .npz archive: {reason}; write it with numpy.savez"
        ) from None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: str) -> Floats:
    with archive.open(entry) as stream:
        try:
            shape, dtype = _header(stream)
            if dtype.hasobject:
                raise DataError(f"{place}: holds Python objects, which are not read; save plain numbers")
            expected = dtype.itemsize * int(np.prod(shape, dtype=object))
            if expected > MAX_BYTES or 8 * int(np.prod(shape, dtype=object)) > MAX_BYTES:
                raise DataError(
                    f"{place}: claims the shape {shape}; at most {size(MAX_BYTES)} can be trained on"
                )
        except ValueError as error:
            raise DataError(f"{place}: is not a NumPy array: {printable(str(error))}") from None
    with archive.open(entry) as stream:
        try:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        except ValueError as error:
            raise DataError(f"{place}: is damaged: {printable(str(error).splitlines()[0])}") from None
    return numbers(array, place)


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def given_weights(declared: InitialWeights, base: Path) -> Mapping[str, Floats] | None:
    """Arrays by name, float64; None where weights are drawn. Raises DataError."""
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
    return arrays
