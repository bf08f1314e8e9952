"""Samples that no table file holds: in the job file, in a NumPy archive, shipped with Likewise, or drawn.

Given initial weights come the same ways. Nothing pickled is read. Draws come from `np.random.Generator`; the
arrays' hashes travel with the run, so a NumPy that drew other numbers would show.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.loaded import MAX_BYTES, Floats, Loaded, check_size, find_file, numbers, size
from likewise.producer.display import did_you_mean, printable, short
from likewise.shared.errors import DataError
from likewise.shared.job import InitialWeights
from likewise.shared.job.data import BuiltinData, InlineData, NpzData, SyntheticData
from likewise.shared.job.weights import GivenWeights, NpzWeights

TABLES = Path(__file__).parent / "tables"
"""The arrays of scikit-learn's data sets, bit for bit; where they come from, and under which licence, stands
beside them."""
CENTRE_SPREAD = 4.0


class DataPurpose(IntEnum):
    """What a draw is for: the second word of the generator's key. The worker's are below 100."""

    SPLIT = 101
    SYNTHETIC = 102


def load_inline(data: InlineData) -> Loaded:
    """Return the samples of the job file; raise DataError where x and y do not pair up."""
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
    """Return rows as float64 (n, columns); a flat list is one column."""
    array = np.array(values, dtype=np.float64)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def rows(array: Floats) -> str:
    """Say in words how many rows there are."""
    return f"{len(array)} row{'s' * (len(array) != 1)}"


def load_npz(data: NpzData, base: Path) -> Loaded:
    """Return the arrays x (samples, ...) and y (samples,) or (samples, targets); raise DataError."""
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
    """Return arrays of an archive, those named or all, as float64; raise DataError."""
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
    return arrays


def load_builtin(data: BuiltinData) -> Loaded:
    """Return the data set: digits as 64 pixels from 0 to 16, diabetes scaled, the rest as measured."""
    with np.load(TABLES / f"{data.name}.npz", allow_pickle=False) as table:
        return Loaded(
            x=table["x"].astype(np.float64),
            y=table["y"].astype(np.float64).reshape(-1, 1),
            x_place=f"data.name {data.name}",
            y_place=f"data.name {data.name}",
            feature_names=tuple(map(str, table["feature_names"])),
            target_names=(data.name,),
            class_names=tuple(map(str, table["class_names"])),
        )


def generator(seed: int, purpose: DataPurpose) -> np.random.Generator:
    """Return a Philox 4×64 generator (Salmon et al. 2011) with the key (seed, purpose)."""
    return np.random.Generator(_philox(seed, purpose))


def permutation(count: int, seed: int, purpose: DataPurpose) -> NDArray[np.int64]:
    """Return the numbers below `count` in an order by raw words, which NumPy keeps stable (NEP 19)."""
    return np.argsort(_philox(seed, purpose).random_raw(count), kind="stable").astype(np.int64)


def _philox(seed: int, purpose: DataPurpose) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))


def load_synthetic(data: SyntheticData) -> Loaded:
    """Draw samples by the formulas of `SyntheticData`: x (n, features), y (n, 1).

    Raises DataError where they would not fit into memory.
    """
    check_size(data.samples, data.features + 1, "data.samples")
    draw = generator(data.seed, DataPurpose.SYNTHETIC)
    n, width = data.samples, data.features
    if data.kind == "classification":
        y = (np.arange(n) % data.classes).astype(np.float64)
        check_size(data.classes, width, "data.classes")
        centres = CENTRE_SPREAD * draw.standard_normal((data.classes, width))
        x = centres[y.astype(np.int64)] + (1.0 + data.noise) * draw.standard_normal((n, width))
    else:
        x = (
            draw.uniform(-np.pi, np.pi, (n, width))
            if data.kind == "sine"
            else draw.standard_normal((n, width))
        )
        with np.errstate(over="ignore"):  # absurd noise is refused later, as infinite samples
            y = _clean_target(data, x, draw) + data.noise * draw.standard_normal(n)
    names = tuple(f"x{i + 1}" for i in range(width)) if width <= 1000 else ()
    return Loaded(
        x=x, y=y.reshape(-1, 1), x_place="data", y_place="data", feature_names=names, target_names=("y",)
    )


def _clean_target(data: SyntheticData, x: Floats, draw: np.random.Generator) -> Floats:
    y: Floats
    if data.kind == "sine":
        y = np.sin(x[:, 0])
    elif data.kind == "linear":
        y = 2.0 * x.sum(axis=1) - 1.0
    else:
        y = x @ draw.standard_normal(x.shape[1])
    return y
