"""What every loader returns, and what all of them share: limits, files, choosing columns, errors."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import did_you_mean, nearest, printable, short
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData, ParquetData

Floats = NDArray[np.float64]

MAX_BYTES = 2 * 2**30
"""The most bytes of a data file, and of its numbers as float64 in memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """Samples as the source has them: x (n, *features) and y (n, targets), of numbers of any dtype."""

    x: NDArray[Any]
    y: NDArray[Any]
    weights: Floats | None = None
    """The samples' weights (n,), where they have some."""
    weights_place: str = ""
    x_place: str
    """What to call x and y in messages: `data.x`, or a file's name."""
    y_place: str
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    """What the class numbers in y stand for, where the source says it."""
    lines: NDArray[np.int64] | None = None
    """The line of each sample in a text file, from 1; None counts rows from 1."""

    def row(self, index: int) -> str:
        """Return how a message calls a sample."""
        return f"row {index + 1}" if self.lines is None else f"line {self.lines[index]}"


def find_file(path: str, base: Path) -> Path:
    """Return the data file, checked to be a regular one within the limit; raise DataError."""
    place = f"data.path {short(path)}"
    file = base / path
    try:
        info = file.stat()
    except FileNotFoundError:
        raise DataError(f"{place}: there is no such file{_looked_for(file)}").about(file) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{place}: cannot be read: {reason.lower()}") from None
    if stat.S_ISDIR(info.st_mode):
        raise DataError(f"{place}: is a folder; name a file in it")
    if not stat.S_ISREG(info.st_mode):
        raise DataError(f"{place}: is not a regular file")
    if info.st_size > MAX_BYTES:
        raise DataError(f"{place}: has {size(info.st_size)}; at most {size(MAX_BYTES)} can be trained on")
    return file


def _looked_for(file: Path) -> str:
    try:
        folder = file.parent.resolve()
        names = [child.name for child in list(folder.iterdir())[:1000]]
    except (OSError, ValueError):
        return f" (its folder, {printable(str(file.parent))}, is not there)"
    match = nearest(file.name, names)
    hint = f"did you mean {printable(match)}?" if match else "paths start from the job file's folder"
    return f" in {printable(str(folder))} ({hint})"


def check_size(samples: int, values_a_sample: int, place: str) -> None:
    """Refuse numbers that would not fit, before they are read; raises DataError."""
    needed = 8 * samples * values_a_sample
    if needed > MAX_BYTES:
        raise DataError(
            f"{place}: {samples:,} samples of {values_a_sample:,} values are {size(needed)} as float64; "
            f"at most {size(MAX_BYTES)} can be trained on"
        )


def size(count: int) -> str:
    """Return a number of bytes in words."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def choose_columns(
    columns: Sequence[str], data: CsvData | ParquetData, place: str
) -> tuple[list[str], list[str]]:
    """Return the feature and target columns, in order; raise DataError for names that are not there."""
    target, features, weights = data.target, data.features, data.sample_weights
    targets = [target] if isinstance(target, str) else list(target)
    if not targets:
        raise DataError("data.target: names no column")
    others = [*targets, weights]
    chosen = [c for c in columns if c not in others] if features is None else list(features)
    fields = {"data.target": targets, "data.features": chosen}
    for field, names in {**fields, "data.sample_weights": [] if weights is None else [weights]}.items():
        _each_once(field, names)
        for name in names:
            if name not in columns:
                raise DataError(
                    f"{field} {short(name)}: {place} has no such column ({did_you_mean(name, columns)})"
                )
    both = [name for name in chosen if name in targets]
    if both:
        raise DataError(f"data.features {short(both[0])}: is a target too; the model would see the answer")
    for field, names in fields.items():
        if weights in names:
            raise DataError(
                f"data.sample_weights {short(str(weights))}: is one of {field} too; "
                "weights are neither feature nor target"
            )
    if not chosen:
        raise DataError(f"data.features: {place} has no column besides the target")
    return chosen, targets


def _each_once(field: str, names: Sequence[str]) -> None:
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{field}: names {short(twice)} twice")


def refuse_duplicates(columns: Sequence[str], place: str) -> None:
    """A column name must stand for one column; raises DataError."""
    seen: dict[str, int] = {}
    for number, name in enumerate(columns, start=1):
        if name in seen:
            raise DataError(f"{place}: columns {seen[name]} and {number} are both named {short(name)}")
        seen[name] = number


def label_codes(labels: Sequence[str], place: str) -> tuple[Floats, tuple[str, ...]]:
    """Return text labels as numbers from 0 in the labels' sorted order, (n, 1), and the labels."""
    names, codes = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    if len(names) < 2:
        raise DataError(f"{place}: every sample has the label {short(names[0])}; there is nothing to learn")
    return codes.astype(np.float64).reshape(-1, 1), tuple(str(name) for name in names)


def check_numbers(dtype: np.dtype[Any], place: str) -> None:
    """Raise DataError where a dtype is none of integers, floats or booleans."""
    if dtype.kind not in "biuf":
        raise DataError(f"{place}: holds {dtype}, not numbers")


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in C order and a dtype that is stored; it is copied only where it has another.

    Booleans become bytes, longer floats than 64 bits become float64.
    """
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.kind == "f" and dtype.itemsize > 8:
        dtype = np.dtype(np.float64)
    return np.asarray(array, dtype=dtype, order="C")
