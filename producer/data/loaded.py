"""What every loader returns, and what all of them share: limits, files, choosing columns, errors."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import nearest, printable, short, size
from likewise.shared.errors import DataError
from likewise.shared.run import FittedColumn

Floats = NDArray[np.float64]

STARTS_FROM = "paths start from the job file's folder"
"""Where a relative path of a job file starts; one of a command starts where the command is given."""
MAX_BYTES = 2 * 2**30
"""The most bytes of a data file, and of its numbers as float64 in memory."""


MAX_NAMES = 1000
"""The most columns that are given names of their own."""


@dataclass(frozen=True, kw_only=True)
class NamedTargets:
    """The targets of one of several outputs: columns of the rows of y."""

    columns: tuple[int, int]
    place: str
    """What to call them in messages."""
    names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()


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
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The shape of a sample of each named input, in the order in which they lie in the rows of x; empty
    where x has no such parts."""
    outputs: Mapping[str, NamedTargets] = field(default_factory=dict)
    """What each named output is compared with; empty where y is for an only one."""
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    """What the class numbers in y stand for, where the source says it."""
    row: Callable[[int], str] = lambda index: f"row {index + 1}"
    """What a message calls a sample, counted from 0."""
    features: Features | None = None
    """How x was made of the columns of a table; None where the source has arrays."""
    parts: Parts | None = None
    """The rows to train, validate and test on, where the source has split them."""
    first_rows: tuple[Mapping[str, Any], ...] = ()
    """The first training rows of a table, as the file has them."""
    notes: tuple[str, ...] = ()
    """What a user should know of the samples, a sentence each."""

    def of_output(self, name: str) -> Loaded:
        """Return the same samples with the targets of one output alone; of an only one they are all."""
        own = self.outputs.get(name)
        if own is None:
            return self
        y = self.y[:, slice(*own.columns)]
        names = own.names or (name,) * y.shape[1]
        return replace(
            self, y=y, y_place=own.place, target_names=names, class_names=own.class_names, outputs={}
        )


Parts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Sorted rows to train, validate and test on."""


class Features(Protocol):
    """It is what was fitted to the columns of a table, for rows that are given by column."""

    @property
    def fitted(self) -> tuple[FittedColumn, ...]:
        """Return what was fitted to the columns that are not features as they are."""

    @property
    def by_column(self) -> Mapping[str, tuple[str, ...]]:
        """Return the features that each column makes."""

    @property
    def is_plain(self) -> bool:
        """Return whether each column is a feature as it is."""

    @property
    def scaled(self) -> NDArray[np.bool_]:
        """Return which features `standardize` scales, (features,)."""

    def encode(self, rows: Sequence[Mapping[str, Any]], place: str) -> Floats:
        """Return rows of values by column as features (n, features). Raises DataError."""


def find_folder(path: str, base: Path) -> Path:
    """Return the folder of data; raise DataError where it is none."""
    file = base / path
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"data.path {short(path)}: there is no such folder{_looked_for(file)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"data.path {short(path)}: cannot be read: {reason.lower()}") from None
    if not stat.S_ISDIR(mode):
        raise DataError(f"data.path {short(path)}: is not a folder")
    return file.resolve()


def find_file(path: str, base: Path, *, most: int | None = MAX_BYTES) -> Path:
    """Return the data file, checked to be a regular one of `most` bytes at most; raise DataError."""
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
    if most is not None and info.st_size > most:
        raise DataError(f"{place}: has {size(info.st_size)}; at most {size(most)} can be trained on")
    return file


def _looked_for(file: Path) -> str:
    try:
        folder = file.parent.resolve()
        names = [child.name for child in list(folder.iterdir())[:1000]]
    except (OSError, ValueError):
        return f" (its folder, {printable(str(file.parent))}, is not there)"
    match = nearest(file.name, names)
    hint = f"did you mean {printable(match)}?" if match else STARTS_FROM
    return f" in {printable(str(folder))} ({hint})"


def check_size(samples: int, values_a_sample: int, place: str) -> None:
    """Refuse numbers that would not fit, before they are read; raises DataError."""
    needed = 8 * samples * values_a_sample
    if needed > MAX_BYTES:
        raise DataError(
            f"{place}: {samples:,} samples of {values_a_sample:,} values are {size(needed)} as float64; "
            f"at most {size(MAX_BYTES)} can be trained on"
        )


def column_names_of(inputs: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Return a name for each column of rows in which these inputs lie side by side; none for very many."""
    if sum(map(prod, inputs.values())) > MAX_NAMES:
        return ()
    return tuple(
        name if prod(shape) == 1 else f"{name}.{number}"
        for name, shape in inputs.items()
        for number in range(1, prod(shape) + 1)
    )


def named_targets(outputs: Mapping[str, tuple[int, ...]], *, place: str) -> dict[str, NamedTargets]:
    """Return where the targets of each output lie, from the shape of each in the order of the columns."""
    found, begin = {}, 0
    for name, shape in outputs.items():
        found[name] = NamedTargets(columns=(begin, begin + prod(shape)), place=f"{place}.{name}")
        begin += prod(shape)
    return found


def refuse_duplicates(columns: Sequence[str], place: str) -> None:
    """Raise DataError where two columns have one name."""
    seen: dict[str, int] = {}
    for number, name in enumerate(columns, start=1):
        if name in seen:
            raise DataError(
                f"{place}: columns {seen[name]} and {number} are both named {short(name)}; rename one"
            )
        seen[name] = number


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
