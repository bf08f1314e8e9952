"""CSV files: a header, then numbers; class labels may be text.

The standard library's reader is used because it alone says on which line of the file a value stands.
"""

from __future__ import annotations

import csv
import itertools
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.loaded import (
    MAX_BYTES,
    Loaded,
    choose_columns,
    find_file,
    label_codes,
    refuse_duplicates,
    size,
)
from likewise.producer.display import printable, short
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData
from likewise.shared.run import Task

_DELIMITERS = (",", ";", "\t", "|")
_MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "?", "-", "."])
_SHOWN = 5
_MAX_LINE = 16 * 2**20


class _Numbers:
    """Numbers of chosen columns, row after row, and the first few cells that hold none."""

    def __init__(self, names: Sequence[str], positions: Sequence[int]) -> None:
        self.names = names
        self.positions = positions
        self.values = array("d")
        self.wrong: list[str] = []

    def take(self, row: Sequence[str], line: int) -> None:
        cells = [row[position] for position in self.positions]
        try:
            if "_" in "".join(cells):  # Python reads 1_0 as 10; a CSV file hardly means that
                raise ValueError
            self.values.extend([float(cell) for cell in cells])
        except ValueError:
            self.values.extend([0.0] * len(cells))
            self.wrong += [
                f"line {line}, column {printable(name)}: {why}"
                for name, cell in zip(self.names, cells, strict=True)
                if (why := _why_no_number(cell))
            ]

    def table(self, lines: Sequence[int], place: str) -> NDArray[np.float64]:
        """Return the numbers (rows, columns), all finite; raise DataError."""
        table = np.array(self.values, dtype=np.float64).reshape(-1, len(self.names))
        bad = np.argwhere(~np.isfinite(table))
        if len(bad):
            row, column = bad[0]
            what = "is NaN, a missing value" if np.isnan(table[row, column]) else "is infinite"
            raise DataError(f"{place}: line {lines[row]}, column {printable(self.names[column])}: {what}")
        return table


def load(data: CsvData, base: Path, *, task: Task) -> Loaded:
    """Return the named columns; raise DataError with line and column of what cannot be read."""
    file = find_file(data.path, base)
    with _opened(file) as stream:
        return _load(data, stream, printable(file.name), task)


def first_rows(file: Path, count: int = 10_000) -> tuple[list[str], list[list[str]]]:
    """Return the header and up to `count` rows as text; raise DataError."""
    found = find_file(file.name, file.parent)
    place = printable(file.name)
    with _opened(found) as stream:
        header, rows, _ = _header_and_rows(stream, place)
        picked = []
        for line, row in itertools.islice(rows, count):
            if len(row) != len(header):
                raise DataError(_ragged(row, header, place, line))
            picked.append(row)
    if not picked:
        raise DataError(f"{place}: has a header and no rows")
    return header, picked


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    place = printable(file.name)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: is not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _header_and_rows(stream: TextIO, place: str) -> tuple[list[str], Iterator[tuple[int, list[str]]], str]:
    """Return the column names, the rows with their lines, and the delimiter."""
    text = _lines(stream, place)
    first = next(text, "")
    if "\0" in first:
        raise DataError(f"{place}: is a binary file, not CSV text")
    delimiter = max(_DELIMITERS, key=first.count)
    rows = _rows(itertools.chain([first], text), delimiter, place)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    _check_header(header, place)
    return header, rows, delimiter


def _load(data: CsvData, stream: TextIO, place: str, task: Task) -> Loaded:
    header, rows, delimiter = _header_and_rows(stream, place)
    features, targets = choose_columns(header, data, place)
    x = _Numbers(features, [header.index(name) for name in features])
    y_positions = [header.index(name) for name in targets]
    y = _Numbers(targets, y_positions)
    weighed = [] if data.sample_weights is None else [data.sample_weights]
    w = _Numbers(weighed, [header.index(name) for name in weighed])
    labels: list[list[str]] = []
    lines = array("q")
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(_ragged(row, header, place, line))
        x.take(row, line)
        w.take(row, line)
        if task == "regression":
            y.take(row, line)
        else:
            labels.append([sys.intern(row[position].strip()) for position in y_positions])
        lines.append(line)
        if len(x.wrong) + len(y.wrong) + len(w.wrong) >= _SHOWN:
            break
        if 8 * len(x.values) > MAX_BYTES:
            raise DataError(f"{place}: holds more than {size(MAX_BYTES)} of numbers")
    if wrong := x.wrong + y.wrong + w.wrong:
        raise DataError(_several(place, wrong, delimiter, targets))
    if not lines:
        raise DataError(f"{place}: has a header and no rows")
    targets_place = f"{place}, column {printable(', '.join(targets))}"
    values, class_names = (
        (y.table(lines, place), ())
        if task == "regression"
        else _classes(labels, y, lines, place, targets_place)
    )
    return Loaded(
        x=x.table(lines, place),
        weights=w.table(lines, place)[:, 0] if weighed else None,
        weights_place=f"{place}, column {printable(''.join(weighed))}",
        y=values,
        x_place=place,
        y_place=targets_place,
        feature_names=tuple(features),
        target_names=tuple(targets),
        class_names=class_names,
        lines=np.array(lines, dtype=np.int64),
    )


def _lines(stream: TextIO, place: str) -> Iterator[str]:
    for number in itertools.count(1):
        line = stream.readline(_MAX_LINE)
        if len(line) == _MAX_LINE:
            raise DataError(f"{place}: line {number} is longer than {size(_MAX_LINE)}; is this a CSV file?")
        if not line:
            return
        yield line


def _rows(text: Iterator[str], delimiter: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that are not blank, each with the line it begins on."""
    reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{place}: line {line}: is not CSV: {error}") from None
        if row is None:
            return
        if row:
            yield line, row


def _classes(
    labels: Sequence[Sequence[str]], cells: _Numbers, lines: Sequence[int], place: str, targets_place: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the targets of a classification: numbers, or one column of text labels as class numbers."""
    missing = [
        f"line {line}, column {printable(name)}: {_why_no_number(cell)}"
        for row, line in zip(labels, lines, strict=True)
        for name, cell in zip(cells.names, row, strict=True)
        if is_missing(cell)
    ]
    if missing:
        raise DataError(_several(place, missing, ","))
    if len(cells.names) == 1 and not all(is_number(row[0]) for row in labels):
        return label_codes([row[0] for row in labels], targets_place)
    numbers = _Numbers(cells.names, range(len(cells.names)))
    for row, line in zip(labels, lines, strict=True):
        numbers.take(row, line)
    if numbers.wrong:
        raise DataError(_several(place, numbers.wrong, ","))
    return numbers.table(lines, place), ()


def _check_header(header: Sequence[str], place: str) -> None:
    if not any(header):
        raise DataError(f"{place}: is empty; the first line must name the columns")
    if all(is_number(name) for name in header):
        raise DataError(
            f"{place}: the first line must name the columns, and it holds only numbers "
            f"({short(', '.join(header))}); add a header line"
        )
    for number, name in enumerate(header, start=1):
        if not name:
            raise DataError(
                f"{place}: column {number} has no name in the first line; name it or remove it "
                "(pandas: to_csv(..., index=False))"
            )
    refuse_duplicates(header, place)


def _why_no_number(cell: str) -> str | None:
    if is_missing(cell):
        return (
            "a value is missing" if not cell.strip() else f"{short(cell)} stands for a value that is missing"
        )
    return None if is_number(cell) else f"{short(cell)} is not a number"


def is_missing(cell: str) -> bool:
    """Return whether the cell is empty or holds one of the usual words for a missing value."""
    return cell.strip().lower() in _MISSING


def is_number(cell: str) -> bool:
    """Return whether the cell holds a number as the loader reads it."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _ragged(row: Sequence[str], header: Sequence[str], place: str, line: int) -> str:
    return (
        f"{place}: line {line} has {len(row)} value{'s' * (len(row) != 1)}, and the header names "
        f"{len(header)} columns ({short(', '.join(row))})"
    )


def _several(place: str, wrong: Sequence[str], delimiter: str, targets: Sequence[str] = ()) -> str:
    if delimiter == ";" and any('"' in w and "," in w for w in wrong):
        hint = "; write decimals with a point: 1.5, not 1,5"
    elif any("missing" in w for w in wrong):
        hint = "; fill the gap or remove the row"
    elif targets and any(f"column {printable(name)}:" in w for w in wrong for name in targets):
        hint = "; for classes use a cross-entropy loss"
    else:
        hint = "; leave text columns out of data.features"
    shown = wrong[:_SHOWN]
    if len(shown) == 1:
        return f"{place}: {shown[0]}{hint}"
    return f"{place}: values that cannot be trained on{hint}\n  " + "\n  ".join(shown)
