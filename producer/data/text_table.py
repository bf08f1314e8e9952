"""Tables of separated text, by pyarrow: read in blocks, each value as text, then as a number if it is one.

A column is one of numbers if every block of it is; else it is read as words. Which line of the file a row
stands on is looked up by the standard library's reader, only when a message has to say it.
"""

from __future__ import annotations

import codecs
import csv
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.loaded import check_size, refuse_duplicates, size
from likewise.producer.data.opening import opened
from likewise.producer.data.table import (
    MISSING_WORDS,
    Column,
    DataTable,
    NumberFormat,
    is_number,
    number_column,
    text_column,
)
from likewise.producer.display import printable, short
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData

_DELIMITERS = (",", ";", "\t", "|")
_MAX_LINE = 16 * 2**20
_BLOCK = 2 * _MAX_LINE
_PEEK = 2**16


@dataclass(frozen=True, kw_only=True)
class TextForm:
    """It is how a text file is written; the fields are those of `CsvData`."""

    delimiter: str | None = None
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
            header=data.header,
            comment=data.comment,
            encoding=data.encoding,
            numbers=NumberFormat(decimal=data.decimal, thousands=data.thousands, unit_signs=data.unit_signs),
            missing_values=data.missing_values,
            date_format=data.date_format,
        )


def text_names(data: CsvData, base: Path) -> list[str]:
    """Return the names of the columns, in order. Raises DataError."""
    with opened(data.path, base) as (stream, place):
        return _Reading(stream, place, TextForm.of(data)).names


def read_text(data: CsvData, base: Path, wanted: Collection[str] | None) -> DataTable:
    """Return the wanted columns, or all. Raises DataError with the line of what cannot be read."""
    form = TextForm.of(data)
    try:
        with opened(data.path, base) as (stream, place):
            first = _Reading(stream, place, form)
            chosen = [name for name in first.names if wanted is None or name in wanted]
            columns, late = first.columns(chosen, words_only=False)
        if late:  # their first blocks were taken for numbers, which forgets how they were written
            with opened(data.path, base) as (stream, place):
                columns |= _Reading(stream, place, form).columns(late, words_only=True)[0]
    except _RaggedError:
        raise DataError(_ragged(data, base)) from None
    return DataTable(
        columns={name: columns[name] for name in chosen},
        rows=first.rows,
        row_name=lambda row: f"line {_line_of(data, base, row)}",
    )


class _RaggedError(Exception):
    """A row has more or fewer values than there are columns."""


class _Uncommented:
    """It is a stream of lines, with an empty line for each comment, so that lines keep their numbers."""

    def __init__(self, stream: Any, comment: str) -> None:
        self._stream, self._comment = stream, comment.encode()

    def readline(self, most: int) -> bytes:
        """Return the next line with its end."""
        line: bytes = self._stream.readline(most)
        return b"\n" if line.lstrip().startswith(self._comment) else line

    def read(self, amount: int) -> bytes:
        """Return lines of about so many bytes."""
        lines, total = [], 0
        while total < amount and (line := self.readline(_MAX_LINE)):
            lines.append(line)
            total += len(line)
        return b"".join(lines)


def _text(stream: IO[bytes], form: TextForm) -> Any:
    """Return the stream as UTF-8 without comments."""
    try:
        plain = codecs.lookup(form.encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except LookupError:
        known = 'such as "utf-8", "latin-1" or "utf-16"'
        raise DataError(f"data.encoding {short(form.encoding)}: is not known; {known}") from None
    text = stream if plain else codecs.EncodedFile(stream, "utf-8", form.encoding)
    return text if form.comment is None else _Uncommented(text, form.comment)


def _lines(stream: Any, place: str) -> Iterator[bytes]:
    for number in itertools.count(1):
        line: bytes = stream.readline(_MAX_LINE)
        if len(line) >= _MAX_LINE:
            raise DataError(f"{place}: line {number} is longer than {size(_MAX_LINE)}; is this a CSV file?")
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


class _Reading:
    """It is one reading of a file: the names first, then the columns."""

    def __init__(self, stream: IO[bytes], place: str, form: TextForm) -> None:
        self.place, self.form, self.rows = place, form, 0
        text = _text(stream, form)
        kept: list[bytes] = []
        lines = _decoded(text, place, kept)
        try:
            begin = list(_until_a_line(lines))
            if "\0" in "".join(begin):
                raise DataError(f"{place}: is a binary file, not CSV text")
            self.delimiter = form.delimiter or delimiter_of(begin[-1] if begin else "")
            records = _records(itertools.chain(begin, lines), self.delimiter)
            head = [row for _, row in itertools.islice(records, 2)]
        except UnicodeError:
            raise _not_utf8(place) from None
        except csv.Error as error:
            raise DataError(f"{place}: is not readable CSV: {error}") from None
        if not head:
            raise DataError(f"{place}: is empty; the first line must name the columns")
        self.names, self._skipped = _names(head, place, form)
        self._stream = _Resumed(b"".join(kept), text)

    def columns(self, chosen: Sequence[str], *, words_only: bool) -> tuple[dict[str, Column], list[str]]:
        """Return the chosen columns, and the names of those that turned out as words too late to be kept."""
        position = {name: i for i, name in enumerate(self.names)}
        gathered = [_Gathered(words_only) for _ in chosen]
        for batch in self._batches([position[name] for name in chosen]):
            for one, values in zip(gathered, batch.columns, strict=True):
                one.take(values, self.form)
        if self.rows == 0:
            raise DataError(f"{self.place}: has a header and no rows")
        named = dict(zip(chosen, gathered, strict=True))
        found = {name: one.column(name, self.form) for name, one in named.items() if not one.late}
        return found, [name for name, one in named.items() if one.late]

    def _batches(self, places: Sequence[int]) -> Iterator[Any]:
        """Yield the rows block after block, every value as text or null."""
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        wrong: list[Any] = []

        def refuse(row: Any) -> str:
            wrong.append(row)
            return "error"

        columns = [str(place) for place in range(len(self.names))]
        words = (*MISSING_WORDS, *self.form.missing_values)
        options = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=[columns[place] for place in places],
            strings_can_be_null=True,
            null_values=sorted(
                {form for w in words for form in (w, w.upper(), w.capitalize(), w.title())} | {"NaN"}
            ),
        )
        try:
            reader = arrow_csv.open_csv(
                pa.PythonFile(self._stream, mode="r"),
                read_options=arrow_csv.ReadOptions(
                    block_size=_BLOCK, column_names=columns, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=refuse
                ),
                convert_options=options,
            )
            for batch in reader:
                rows = batch.slice(self._skipped)
                self._skipped = 0
                self.rows += rows.num_rows
                check_size(self.rows, len(places), self.place)
                if rows.num_rows:
                    yield rows
        except pa.ArrowInvalid as error:
            if wrong:
                raise _RaggedError from None
            raise _unreadable(error, self.place) from None


class _Gathered:
    """It is one column while its blocks come in: numbers as long as all are, else words."""

    def __init__(self, words_only: bool) -> None:
        self._numbers: list[NDArray[np.float64]] | None = None if words_only else []
        self._words: list[Any] = []
        self.late = False
        """Whether it turned out as words after blocks of numbers."""

    def take(self, values: Any, form: TextForm) -> None:
        """Take the values of one more block of rows."""
        if self._numbers is not None:
            numbers = _numbers(values, form)
            if numbers is not None:
                self._numbers.append(numbers)
                return
            self.late, self._numbers = bool(self._numbers), None
        if not self.late:
            self._words.append(values.dictionary_encode())

    def column(self, name: str, form: TextForm) -> Column:
        """Return the whole column."""
        import pyarrow as pa

        if self._numbers is not None:
            numbers = np.concatenate(self._numbers)
            return number_column(name, numbers)
        chunks = pa.chunked_array(self._words).unify_dictionaries().chunks
        codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in chunks])
        missing = {word.strip().lower() for word in form.missing_values}
        words = ["" if word.strip().lower() in missing else word for word in chunks[0].dictionary.to_pylist()]
        return text_column(name, codes.astype(np.int64), words, date_format=form.date_format)


def _numbers(values: Any, form: TextForm) -> NDArray[np.float64] | None:
    """Return text values as numbers, NaN for null; None if one of them is no number."""
    import pyarrow as pa
    from pyarrow import compute

    if form.numbers.is_plain:
        try:
            return _as_floats(values)
        except pa.ArrowInvalid:
            pass  # blanks around a number are allowed
    bare = compute.utf8_trim_whitespace(values)
    for sign in form.numbers.unit_signs:
        bare = compute.replace_substring(bare, sign, "")
    if form.numbers.unit_signs:
        bare = compute.replace_substring_regex(compute.utf8_trim_whitespace(bare), r"^\((.*)\)$", r"-\1")
    missing = sorted(MISSING_WORDS | {word.strip().lower() for word in form.missing_values})
    gap = compute.is_in(compute.utf8_lower(bare), pa.array(missing))
    bare = compute.if_else(gap, pa.scalar(None, pa.string()), bare)
    if not form.numbers.is_plain:
        fits = compute.match_substring_regex(bare, form.numbers.pattern)
        if compute.any(compute.invert(fits)).as_py():
            return None
        if form.numbers.thousands is not None:
            bare = compute.replace_substring(bare, form.numbers.thousands, "")
        bare = compute.replace_substring(bare, form.numbers.decimal, ".")
    try:
        return _as_floats(bare)
    except pa.ArrowInvalid:
        return None


def _as_floats(values: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    numbers: NDArray[np.float64] = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _decoded(text: Any, place: str, kept: list[bytes] | None = None) -> Iterator[str]:
    """Yield the lines, and keep their bytes where a list is given."""
    for number, line in enumerate(_lines(text, place)):
        if kept is not None:
            kept.append(line)
        yield line.decode("utf-8" if number else "utf-8-sig")


def _until_a_line(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines up to and with the first that is not empty."""
    for line in lines:
        yield line
        if line.strip():
            return


def _records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty, each with the line it begins on."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        row = next(reader, None)
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


def _line_of(data: CsvData, base: Path, row: int) -> int:
    """Return the line that a row of samples, counted from 0, begins on."""
    form = TextForm.of(data)
    with opened(data.path, base) as (stream, place):
        reading = _Reading(stream, place, form)
    with opened(data.path, base) as (stream, place):
        records = _records(_decoded(_text(stream, form), place), reading.delimiter)
        return next(itertools.islice(records, row + form.header, None))[0]


def _ragged(data: CsvData, base: Path) -> str:
    """Say which line has not as many values as there are columns."""
    form = TextForm.of(data)
    with opened(data.path, base) as (stream, place):
        reading = _Reading(stream, place, form)
    width = len(reading.names)
    with opened(data.path, base) as (stream, place):
        text = _decoded(_text(stream, form), place)
        for line, row in itertools.islice(_records(text, reading.delimiter), form.header, None):
            if len(row) != width:
                hint = _hint_for_ragged(reading.names, row)
                return (
                    f"{place}: line {line} has {len(row)} value{'s' * (len(row) != 1)}, and "
                    f"{'the header names' if form.header else 'the first line has'} {width} column"
                    f"{'s' * (width != 1)} ({short(', '.join(row))}){hint}"
                )
    return f"{place}: its rows have different numbers of values; is a quote opened and never closed?"


def _hint_for_ragged(names: Sequence[str], row: Sequence[str]) -> str:
    sign = next(
        (sign for sign in "#%" if (names[0][:1] == sign or row[:1] == [sign] or row[0][:1] == sign)), ""
    )
    if sign:
        return f"; for lines that are comments say comment: {short(sign)}"
    return "; is a quote opened and never closed?" if any("\n" in cell for cell in row) else ""


def delimiter_of(line: str) -> str:
    """Return the sign that stands most often in a line, outside of quotes."""
    outside = "".join(line.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


def _unreadable(error: Exception, place: str) -> DataError:
    """Say in our words what pyarrow cannot read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "UTF8" in reason:
        return _not_utf8(place)
    if "straddling" in reason:
        return DataError(f"{place}: has a line longer than {size(_MAX_LINE)}; is this a CSV file?")
    return DataError(f"{place}: is not readable CSV: {printable(reason[:200])}")


def _not_utf8(place: str) -> DataError:
    return DataError(
        f'{place}: is not UTF-8 text; say what it is, such as encoding: "latin-1", or save it as UTF-8'
    )
