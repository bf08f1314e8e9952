"""Finds out how an unknown file of columns is written: format, encoding, header, comments, numbers, gaps.

`likewise init` writes what is found into the job file, so that reading it later guesses nothing.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from likewise.producer.data.opening import opened
from likewise.producer.data.table import (
    Column,
    DataTable,
    NumberFormat,
    bare_number,
    is_number,
    number_format_of,
)
from likewise.producer.data.table_file import read_table
from likewise.producer.data.text_lines import delimiter_of, with_single_blanks
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData, JsonLinesData, ParquetData, TableData

_LOOKED_AT = 2**20
_RECORDS = 100
_COMMENTS = ("#", "%")
_STRAY_WORDS = 3
_TITLE_LINES = 10
_DASHES = re.compile(r"[-–—.*]+")
_JSON_ARRAY = re.compile(rb"\s*\[\s*[\[{]")
"""How a file begins that is a list of objects, or of lists."""
_NINES = re.compile(r"99+(\.9+)?")


def looked_at(files: Sequence[Path], target: str | None) -> tuple[TableData, DataTable]:
    """Return the settings under which files are read as one table, and that table. Raises DataError.

    How they are written is told by the first; paths start from its folder.
    """
    file = files[0]
    with opened(file.name, file.parent) as (stream, place):
        start = stream.read(_LOOKED_AT)
    if _JSON_ARRAY.match(start):
        raise DataError(f"{place}: is one JSON array; write its objects a line each, as JSON Lines has them")
    paths = tuple(os.path.relpath(one, file.parent) for one in files)
    common: dict[str, Any] = {"path": paths if len(paths) > 1 else file.name, "target": target or "?"}
    data: TableData
    if start[:4] == b"PAR1":
        data = ParquetData(type="parquet", **common)
    elif start.lstrip()[:1] == b"{":
        data = JsonLinesData(type="jsonl", **common)
    else:
        encoding = _encoding(files, start)
        data = CsvData(type="csv", encoding=encoding, **_form(start, encoding, target), **common)
    table = read_table(data, file.parent)
    settings = _number_settings(table, semicolons=data.type == "csv" and _delimiter(data, start) == ";")
    if settings:
        data = data.model_copy(update=settings)
        data, table = _with_grouped(data, read_table(data, file.parent), before=table, folder=file.parent)
    gaps = [*_infinities(table.columns), *_nines(table.columns)]
    if gaps:
        data = data.model_copy(update={"missing_values": (*data.missing_values, *gaps)})
        table = read_table(data, file.parent)
    return data, table


def _with_grouped(
    data: TableData, table: DataTable, *, before: DataTable, folder: Path
) -> tuple[TableData, DataTable]:
    """Return the settings and the table, with points between thousands where a column needs them.

    Beside `70,5` in another column, `217.000` is no 217, with a unit or without one: it stops to be a number
    under a decimal comma.
    """
    lost = [
        name
        for name, column in table.columns.items()
        if column.kind == "text" and _may_be_numbers(before.columns[name])
    ]
    if not lost or getattr(data, "decimal", ".") != "," or getattr(data, "thousands", None) is not None:
        return data, table
    grouped = data.model_copy(update={"thousands": "."})
    read = read_table(grouped, folder)
    if all(read.columns[name].kind == "number" for name in lost):
        return grouped, read
    return data, table


def _may_be_numbers(column: Column) -> bool:
    return column.kind == "number" or (column.kind == "text" and number_format_of(column.words) is not None)


def _delimiter(data: CsvData, start: bytes) -> str:
    lines = start.decode(data.encoding, errors="replace").splitlines()
    rows = [
        line
        for line in lines
        if line.strip() and not (data.comment and line.lstrip().startswith(data.comment))
    ]
    return data.delimiter or delimiter_of(rows[0] if rows else "")


def _encoding(files: Sequence[Path], start: bytes) -> str:
    """Return the first of the usual encodings in which the files, of which one begins so, are text."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    low, high = start[1:_RECORDS:2], start[:_RECORDS:2]  # of letters in UTF-16 every other byte is 0
    for zeros, name in ((low, "utf-16-le"), (high, "utf-16-be")):
        if zeros.count(0) > 0.9 * len(zeros) > 0:
            return name
    try:
        for file in files:
            decoder = codecs.getincrementaldecoder("utf-8")()
            with opened(file.name, file.parent) as (stream, _):
                while part := stream.read(_LOOKED_AT):
                    decoder.decode(part)
    except UnicodeDecodeError:
        return "latin-1" if set(start) & set(b"\x81\x8d\x8f\x90\x9d") else "cp1252"
    return "utf-8"


def _form(start: bytes, encoding: str, target: str | None) -> dict[str, Any]:
    """Return `comment`, `skip_lines` and `header` where they are not as usual."""
    every = start.decode(encoding, errors="replace").splitlines()[: 2 * _RECORDS]
    numbers = [number for number, line in enumerate(every) if line.strip()]
    form: dict[str, Any] = {}
    sign = every[numbers[0]].lstrip()[:1] if numbers else ""
    rows = [number for number in numbers if not every[number].lstrip().startswith(sign)]
    if (
        sign in _COMMENTS
        and rows
        and target not in _cells(every[numbers[0]], delimiter_of(every[numbers[0]]))
    ):
        form["comment"] = sign
        numbers = rows
    if _stand_between_blanks([every[number] for number in numbers]):
        form["delimiter"] = " "
        every = [with_single_blanks(line.encode()).decode() for line in every]
    title = 0
    if "delimiter" not in form and not _names_the_target(every, target):
        title = _title_lines([every[number] for number in numbers], target)
    if title:
        form["skip_lines"] = numbers[title]
    lines = [every[number] for number in numbers[title:]]
    if lines:
        delimiter = form.get("delimiter") or delimiter_of(lines[0])
        records = list(islice(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), _RECORDS))
        if not _has_header(records, target):
            form["header"] = False
    return form


def _stand_between_blanks(lines: Sequence[str]) -> bool:
    """Return whether nothing but blanks stands between values: as many on each line, or one name less."""
    outside = ["".join(line.split('"')[::2]) for line in lines]
    if any(sign in line for line in outside for sign in ",;|"):
        return False
    if any("\t" in line for line in outside) and not all(
        _has_numbers_between_blanks(line) for line in outside[1:]
    ):
        return False  # tabs alone stand between the values
    widths = [len(_cells(with_single_blanks(line.encode()).decode(), " ")) for line in lines]
    return len(set(widths[1:])) == 1 and widths[1] > 1 and widths[1] - widths[0] in (0, 1)


def _has_numbers_between_blanks(line: str) -> bool:
    words = [cell.split() for cell in line.split("\t")]
    return any(len(cell) > 1 and all(map(is_number, cell)) for cell in words)


def _names_the_target(lines: Sequence[str], target: str | None) -> bool:
    """Return whether the first record has the target, though a name in quotes may go over several lines."""
    text = (f"{line}\n" for line in lines)
    first = next(csv.reader(text, delimiter=delimiter_of(" ".join(lines[:2])), skipinitialspace=True), [])
    return target in [cell.strip() for cell in first]


def _title_lines(lines: Sequence[str], target: str | None) -> int:
    """Return how many lines are a title: words before the first line that has as many cells as most rows."""
    for number, line in enumerate(lines[:_TITLE_LINES]):
        delimiter = delimiter_of(line)
        row, *rows = (_cells(one, delimiter) for one in lines[number:])
        if target in row:
            return number
        if any(map(is_number, row)) or not rows:
            return 0
        filled = sum(map(bool, row))
        if 1 < len(row) <= 2 * filled and len(row) == float(np.median([len(one) for one in rows])):
            return number
    return 0


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]


def _infinities(columns: Mapping[str, Column]) -> list[str]:
    """Return the infinities among the numbers: what a division by zero leaves is no measurement."""
    of_numbers = [one.values for one in columns.values() if one.kind == "number"]
    return [f"{end:g}" for end in (-np.inf, np.inf) if any((values == end).any() for values in of_numbers)]


def _nines(columns: Mapping[str, Column]) -> list[str]:
    """Return the numbers of nines that stand for a missing value, such as -999 among ages.

    Such a number is there more than once, farther from all others of its column than these are from each
    other, and in no other column a value like others. Codes, as `00099`, are no such numbers.
    """
    of_numbers = {
        name: one.values for name, one in columns.items() if one.kind == "number" and not one.padded
    }
    found: dict[float, set[str]] = {}
    for name, values in of_numbers.items():
        known = values[np.isfinite(values)]
        for end in (known.min(), known.max()):
            others = known[known != end]
            nines = _NINES.fullmatch(f"{abs(end):g}") and 1 < len(known) - len(others) < len(known)
            if nines and np.abs(others - end).min() > np.ptp(others):
                found.setdefault(float(end), set()).add(name)
    return [
        f"{end:g}"
        for end, names in sorted(found.items())
        if not any((values == end).any() for name, values in of_numbers.items() if name not in names)
    ]


def _has_header(records: Sequence[Sequence[str]], target: str | None) -> bool:
    """Return whether the first record names columns: the target, or words above numbers."""
    first, rest = [cell.strip() for cell in records[0]], records[1:]
    if target is not None and target in first:
        return True
    numeric = [place for place, cell in enumerate(first) if is_number(cell)]
    if not numeric or not rest:
        return not numeric
    of_numbers = [all(is_number(row[i]) for row in rest if i < len(row)) for i in range(len(first))]
    named = any(of_numbers[i] and cell and not is_number(cell) for i, cell in enumerate(first))
    return named or not all(of_numbers[i] for i in numeric)


def _number_settings(table: DataTable, *, semicolons: bool) -> dict[str, Any]:
    """Return the settings under which columns of words become numbers."""
    formats: list[NumberFormat] = []
    stray: set[str] = set()
    for column in table.columns.values():
        if column.kind == "text":
            own = number_format_of(column.words, decimal_first=semicolons)
            if own is not None:
                formats.append(own)
            else:
                stray |= _stray_words(column)
    settings: dict[str, Any] = {"missing_values": tuple(sorted(stray))} if stray else {}
    if any(one.decimal == "," for one in formats):
        settings["decimal"] = ","
    groups = {one.thousands for one in formats} - {None, settings.get("decimal", ".")}
    if len(groups) == 1:
        settings["thousands"] = groups.pop()
    found = dict.fromkeys(sign for one in formats for sign in one.unit_signs)
    signs = tuple(sorted(found, key=len, reverse=True))  # without its m first, 5 mm would be 5 m
    return settings | ({"unit_signs": signs} if signs and not _mixes(table, signs) else {})


def _mixes(table: DataTable, signs: Sequence[str]) -> bool:
    """Return whether a column has numbers of several units, which without them would look alike."""
    texts = [column.words for column in table.columns.values() if column.kind == "text"]
    mixed = [words for words in texts if number_format_of(words) is None]
    return any(all(is_number(bare_number(word, signs)) for word in words) for words in mixed)


def _stray_words(column: Column) -> set[str]:
    """Return the words of a column that stand for gaps: few among numbers, or dashes and dots among words."""
    stray = [place for place, word in enumerate(column.words) if not is_number(word)]
    rows = int(np.isin(column.places, stray).sum())
    few = len(stray) <= _STRAY_WORDS and rows < 0.5 * int((~column.missing).sum())
    if few:
        return {column.words[place] for place in stray}
    dashes = {word for word in column.words if _DASHES.fullmatch(word)}
    return dashes if len(dashes) < len(column.words) else set()
