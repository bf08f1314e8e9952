"""A text file of columns as lines and records, by the standard library: how it begins, and where rows stand.

Columns are read by pyarrow (`text_table`). Which line of the file a row stands on is looked up here, only
when a message has to say it.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from likewise.producer.data.loaded import refuse_duplicates
from likewise.producer.data.opening import opened
from likewise.producer.data.table import (
    NumberFormat,
    is_number,
)
from likewise.producer.display import short, size
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData

_DELIMITERS = (",", ";", "\t", "|")
_WEB_PAGE = ("<!doctype html", "<html")
_BLANKS = re.compile(rb'("[^"]*")|[ \t]+')
_ROW_NAMES = "rownames"
"""What the first column is called where the header has no name for it, as R leaves it out."""
MAX_LINE = 16 * 2**20
"""No line of a table has as many bytes."""


@dataclass(frozen=True, kw_only=True)
class TextForm:
    """It is how a text file is written; the fields are those of `CsvData`."""

    delimiter: str | None = None
    skip_lines: int = 0
    header: bool = True
    comment: str | None = None
    encoding: str = "utf-8"
    numbers: NumberFormat = field(default_factory=NumberFormat)
    missing_values: tuple[str, ...] = ()
    date_format: str | None = None

    @classmethod
    def of(cls, data: CsvData) -> TextForm:
        """Return the form that a job declares."""
        return cls(
            delimiter=data.delimiter,
            skip_lines=data.skip_lines,
            header=data.header,
            comment=data.comment,
            encoding=data.encoding,
            numbers=NumberFormat(decimal=data.decimal, thousands=data.thousands, unit_signs=data.unit_signs),
            missing_values=data.missing_values,
            date_format=data.date_format,
        )


def with_single_blanks(line: bytes) -> bytes:
    """Return a line with one blank for several, but within quotes, and with none around it."""
    return _BLANKS.sub(lambda found: found[1] or b" ", line.strip())


class _RowsAlone:
    """It is a stream of lines, with an empty line where one is no row, so that lines keep numbers.

    Where blanks stand between values, one does for several.
    """

    def __init__(self, stream: Any, form: TextForm) -> None:
        self._stream, self._skip = stream, form.skip_lines
        self._comment = None if form.comment is None else form.comment.encode()
        self._blanks = form.delimiter == " "

    def readline(self, most: int) -> bytes:
        """Return the next line with its end."""
        line: bytes = self._stream.readline(most)
        if self._skip:
            self._skip -= line.endswith(b"\n")
            return b"\n" if line else line
        if self._comment and line.lstrip().startswith(self._comment):
            return b"\n"
        return with_single_blanks(line) + b"\n" if self._blanks and line else line

    def read(self, amount: int) -> bytes:
        """Return lines of about so many bytes."""
        lines, total = [], 0
        while total < amount and (line := self.readline(MAX_LINE)):
            lines.append(line)
            total += len(line)
        return b"".join(lines)


def _text(stream: IO[bytes], form: TextForm) -> Any:
    """Return the stream as UTF-8 without what is no row."""
    try:
        plain = codecs.lookup(form.encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except LookupError:
        known = 'such as "utf-8", "latin-1" or "utf-16"'
        raise DataError(f"data.encoding {short(form.encoding)}: is not known; {known}") from None
    text = stream if plain else codecs.EncodedFile(stream, "utf-8", form.encoding)
    whole = not form.skip_lines and form.comment is None and form.delimiter != " "
    return text if whole else _RowsAlone(text, form)


def _lines(stream: Any, place: str) -> Iterator[bytes]:
    for number in itertools.count(1):
        line: bytes = stream.readline(MAX_LINE)
        if len(line) >= MAX_LINE:
            raise DataError(f"{place}: line {number} is longer than {size(MAX_LINE)}; is this a CSV file?")
        if not line:
            return
        yield line


class _Resumed:
    """It is a stream of which the first lines were read before."""

    closed = False

    def __init__(self, start: bytes, stream: Any) -> None:
        self._start, self._stream = start, stream

    def read(self, amount: int) -> bytes:
        """Return about so many of the next bytes."""
        if self._start:
            start, self._start = self._start, b""
            return start
        part: bytes = self._stream.read(amount)
        return part


class TextLines:
    """It is one reading of a file: how it begins, and its bytes from the first line on.

    `delimiter` and `names` are as declared or as found; `skipped` is how many rows at the beginning are none;
    `stream` gives UTF-8 without comments and the lines before the header. Raises DataError where it is no
    text, or names no columns.
    """

    def __init__(self, stream: IO[bytes], place: str, form: TextForm) -> None:
        self.place = place
        text = _text(stream, form)
        kept: list[bytes] = []
        lines = _decoded(text, place, kept)
        begin = list(_until_a_line(lines))
        if "\0" in "".join(begin):
            raise DataError(f"{place}: is a binary file, not CSV text")
        if begin and begin[-1].lstrip().lower().startswith(_WEB_PAGE):
            raise DataError(f"{place}: is a web page, not a table; give the address of the file itself")
        self.delimiter = form.delimiter or delimiter_of(begin[-1] if begin else "")
        records = _records(itertools.chain(begin, lines), self.delimiter, place)
        head = [row for _, row in itertools.islice(records, 2)]
        if not head:
            raise DataError(f"{place}: is empty; the first line must name the columns")
        if self.delimiter == " " and form.header and [len(row) for row in head[1:]] == [len(head[0]) + 1]:
            head[0] = [_ROW_NAMES, *head[0]]
            kept[len(begin) - 1] = f"{_ROW_NAMES} ".encode() + kept[len(begin) - 1]
        self.names, self.skipped = _names(head, place, form)
        self.stream = _Resumed(b"".join(kept), text)


def _decoded(text: Any, place: str, kept: list[bytes] | None = None) -> Iterator[str]:
    """Yield the lines, and keep their bytes where a list is given. Raises DataError for what is no text."""
    try:
        for number, line in enumerate(_lines(text, place)):
            if kept is not None:
                kept.append(line)
            yield line.decode("utf-8" if number else "utf-8-sig")
    except UnicodeError:
        raise not_utf8(place) from None


def _until_a_line(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines up to and with the first that is not empty."""
    for line in lines:
        yield line
        if line.strip():
            return


def _records(lines: Iterable[str], delimiter: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty, each with the line it begins on. Raises DataError."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            if "new-line character" in str(error):
                why = "its lines end in carriage returns alone; save it with line feeds"
                raise DataError(f"{place}: {why}") from None
            raise DataError(f"{place}: line {line} is not readable CSV: {error}") from None
        if row is None:
            return
        if row:
            yield line, row


def _names(head: Sequence[Sequence[str]], place: str, form: TextForm) -> tuple[list[str], int]:
    """Return the names of the columns, and how many rows at the beginning are none."""
    if not form.header:
        return [f"column_{number}" for number in range(1, len(head[0]) + 1)], 0
    names = [name.strip() for name in head[0]]
    if all(is_number(name) for name in names):
        raise DataError(
            f"{place}: the first line must name the columns, and it holds only numbers "
            f"({short(', '.join(names))}); say header: false, or add a header line"
        )
    names = [name or f"column_{number}" for number, name in enumerate(names, start=1)]
    refuse_duplicates(names, place)
    return names, 1


def line_of(path: str, base: Path, form: TextForm, row: int) -> int:
    """Return the line of a file that a row of samples, counted from 0, begins on."""
    with opened(path, base) as (stream, place):
        lines = TextLines(stream, place, form)
    with opened(path, base) as (stream, place):
        records = _records(_decoded(_text(stream, form), place), lines.delimiter, place)
        return next(itertools.islice(records, row + form.header, None))[0]


def ragged(path: str, base: Path, form: TextForm) -> str:
    """Say which line of a file has not as many values as there are columns."""
    with opened(path, base) as (stream, place):
        lines = TextLines(stream, place, form)
    width = len(lines.names)
    with opened(path, base) as (stream, place):
        text = _decoded(_text(stream, form), place)
        rows = itertools.islice(_records(text, lines.delimiter, place), form.header, None)
        for number, (line, row) in enumerate(rows):
            if len(row) != width:
                hint = _hint_for_ragged(lines.names, row, first=number == 0 and form.header)
                return (
                    f"{place}: line {line} has {len(row)} value{'s' * (len(row) != 1)}, and "
                    f"{'the header names' if form.header else 'the first line has'} {width} column"
                    f"{'s' * (width != 1)} ({short(', '.join(row))}){hint}"
                )
    return f"{place}: its rows have different numbers of values; is a quote opened and never closed?"


def _hint_for_ragged(names: Sequence[str], row: Sequence[str], *, first: bool) -> str:
    sign = next(
        (sign for sign in "#%" if (names[0][:1] == sign or row[:1] == [sign] or row[0][:1] == sign)), ""
    )
    if sign:
        return f"; for lines that are comments say comment: {short(sign)}"
    if len(names) == 1:
        return (
            "; for a title before the line that names the columns say skip_lines: 1, or how many lines it has"
        )
    if first and abs(len(names) - len(row)) == 1 and not any("\n" in cell for cell in row):
        more = "a name too many" if len(names) > len(row) else "a name too few"
        return (
            f"; where all lines are so, the first has {more}: mend it, or say header: false and "
            "skip_lines: 1, which number the columns"
        )
    return "; is a quote opened and never closed?" if any("\n" in cell for cell in row) else ""


def delimiter_of(line: str) -> str:
    """Return the sign that stands most often in a line, outside of quotes."""
    outside = "".join(line.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


def not_utf8(place: str) -> DataError:
    """Return the error of a file whose bytes are not text in its encoding."""
    return DataError(
        f'{place}: is not UTF-8 text; say what it is, such as encoding: "latin-1", or save it as UTF-8'
    )
