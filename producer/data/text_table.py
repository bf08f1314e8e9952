"""Tables of separated text, by pyarrow: read in blocks, each value as text, then as a number if it is one.

A column is one of numbers if every block of it is; else it is read as words. Several files are read as one,
block after block.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.file_lists import listed, place_of, refuse_other_columns, row_namer
from likewise.producer.data.loaded import check_size
from likewise.producer.data.memory import GrowingRows, grouped
from likewise.producer.data.opening import opened
from likewise.producer.data.table import (
    MISSING_WORDS,
    PLAIN_SIGNS,
    Column,
    DataTable,
    JoinedNumbers,
    Kind,
    text_column,
    with_gaps,
)
from likewise.producer.data.text_lines import MAX_LINE, TextForm, TextLines, line_of, not_utf8, ragged
from likewise.producer.display import printable, size
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData

_BLOCKS = (2**22, 2 * MAX_LINE)
"""The bytes that pyarrow takes at once: few, since it holds several blocks; more where a row is longer."""
_LOOKED_AT = 10_000
"""Rows of a column that are looked at for zeros before its numbers."""
_OTHER_LENGTH = re.compile(r"Expected \d+ columns, got \d+")
"""How pyarrow says that a row has not as many values as others. A row that is no UTF-8 text does not reach
the handler that pyarrow has for that."""


def text_names(data: CsvData, base: Path) -> list[str]:
    """Return the names of the columns, in the order of the first file. Raises DataError."""
    with opened(listed(data.path)[0], base) as (stream, place):
        return TextLines(stream, place, TextForm.of(data)).names


def read_text(
    data: CsvData,
    base: Path,
    wanted: Collection[str] | None,
    *,
    words: Collection[str] = (),
    together: Sequence[str] = (),
) -> DataTable:
    """Return the wanted columns, or all; those in `words` are read as written, though all were numbers.

    The numbers of those in `together` lie side by side, in that order.

    Raises DataError with the line of what cannot be read.
    """
    try:
        return _read(data, base, _Asked(wanted, words, together), _BLOCKS[0])
    except _LongRowError:
        return _read(data, base, _Asked(wanted, words, together), _BLOCKS[1])
    except _RaggedError as error:
        raise DataError(ragged(error.path, base, TextForm.of(data))) from None


def _read(data: CsvData, base: Path, asked: _Asked, block: int) -> DataTable:
    first = _Reading(data, base, block)
    columns, late = first.columns(asked.columns, asked.together)
    late = [name for name in first.chosen if name in late or name in asked.words]
    if late:  # their first blocks were taken for numbers, which forgets how they were written
        columns |= _Reading(data, base, block).columns(late, words_only=True)[0]
    form = TextForm.of(data)
    return DataTable(
        columns={name: columns[name] for name in first.chosen},
        rows=first.rows,
        row_name=row_namer(
            data.path, first.rows_of_files, lambda path, row: f"line {line_of(path, base, form, row)}"
        ),
        joined=first.joined,
    )


@dataclass(frozen=True)
class _Asked:
    """It is what a caller wants of a file."""

    columns: Collection[str] | None
    words: Collection[str]
    together: Sequence[str]


class _RaggedError(Exception):
    """A row of a file has more or fewer values than there are columns."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class _LongRowError(Exception):
    """A row does not fit a block."""


class _Reading:
    """It is one reading of a file into columns, or of several one after another."""

    def __init__(self, data: CsvData, base: Path, block: int) -> None:
        self._paths, self._base, self._block = listed(data.path), base, block
        self.form = TextForm.of(data)
        self.chosen: list[str] = []
        """The columns that are read, in the order of the first file."""
        self.rows_of_files: list[int] = []
        self.joined: JoinedNumbers | None = None
        """The numbers of the columns that lie side by side, where each of those is one of numbers."""

    @property
    def rows(self) -> int:
        """Return how many rows were read so far."""
        return sum(self.rows_of_files)

    def columns(
        self, wanted: Collection[str] | None, together: Sequence[str] = (), *, words_only: bool = False
    ) -> tuple[dict[str, Column], list[str]]:
        """Return the wanted columns, or all, and the names of those that turned out as words too late."""
        gathered: dict[str, _Gathered] = {}
        rows: dict[tuple[str, ...], GrowingRows] = {}
        for names, batch in self._batches(wanted):
            gathered = gathered or {name: _Gathered(words_only) for name in self.chosen}
            read = {
                name: gathered[name].take(values, self.form)
                for name, values in zip(names, batch.columns, strict=True)
            }
            if not rows:
                numbers = dict.fromkeys(name for name in self.chosen if read[name] is not None)
                rows = grouped(numbers, together)
            for side_by_side, some in rows.items():
                some.append([read[name] for name in side_by_side], batch.num_rows)
        if self.rows == 0:
            raise DataError(f"{place_of(self._paths)}: has a header and no rows")
        arrays = {names: some.whole() for names, some in rows.items()}
        if (names := tuple(name for name in together if name in gathered)) in arrays:
            self.joined = JoinedNumbers(names=names, array=arrays[names])
        lying = {name: array[:, i] for names, array in arrays.items() for i, name in enumerate(names)}
        found = {
            name: one.column(name, self.form, lying.get(name))
            for name, one in gathered.items()
            if not one.late
        }
        late = [name for name, one in gathered.items() if one.late]
        if self.joined is not None and not {*late}.isdisjoint(self.joined.names):
            self.joined = None
        return found, late

    def _batches(self, wanted: Collection[str] | None) -> Iterator[tuple[Sequence[str], Any]]:
        """Yield the rows of each file block after block, with the names of its columns in its own order."""
        first: TextLines | None = None
        for path in self._paths:
            with opened(path, self._base) as (stream, place):
                lines = TextLines(stream, place, self.form)
                chosen = [name for name in lines.names if wanted is None or name in wanted]
                if first is None:
                    first, self.chosen = lines, chosen
                refuse_other_columns(lines.names, place, first=first.names, first_place=first.place)
                self.rows_of_files.append(0)
                for batch in self._blocks(path, lines, chosen):
                    yield chosen, batch

    def _blocks(self, path: str, lines: TextLines, chosen: Sequence[str]) -> Iterator[Any]:
        """Yield the rows of a file block after block, every value as text or null."""
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        skipped = lines.skipped
        columns = [str(place) for place in range(len(lines.names))]
        position = dict(zip(lines.names, columns, strict=True))
        words = (*MISSING_WORDS, *self.form.missing_values)
        options = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=[position[name] for name in chosen],
            strings_can_be_null=True,
            null_values=sorted(
                {form for w in words for form in (w, w.upper(), w.capitalize(), w.title())} | {"NaN"}
            ),
        )
        try:
            reader = arrow_csv.open_csv(
                pa.PythonFile(lines.stream, mode="r"),
                read_options=arrow_csv.ReadOptions(
                    block_size=self._block, column_names=columns, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(delimiter=lines.delimiter, newlines_in_values=True),
                convert_options=options,
            )
            for batch in reader:
                rows = batch.slice(skipped)
                skipped = 0
                self.rows_of_files[-1] += rows.num_rows
                check_size(self.rows, len(chosen), lines.place)
                if rows.num_rows:
                    yield rows
            pa.default_memory_pool().release_unused()
        except pa.ArrowInvalid as error:
            if _OTHER_LENGTH.search(str(error)):
                raise _RaggedError(path) from None
            if "straddling" in str(error) and self._block < _BLOCKS[-1]:
                raise _LongRowError from None
            raise _unreadable(error, lines.place) from None


class _Gathered:
    """It is one column while its blocks come in: of numbers as long as all are, else its words."""

    def __init__(self, words_only: bool) -> None:
        self._is_numbers = not words_only
        self._blocks = 0
        self._words: list[Any] = []
        self.late = False
        """Whether it turned out as words after blocks of numbers."""
        self._padded = self._has_gaps = self._has_values = False

    def take(self, values: Any, form: TextForm) -> NDArray[np.float64] | None:
        """Take the values of one more block of rows; return them if all are numbers, as those before were."""
        if self._is_numbers:
            numbers = _numbers(values, form)
            if numbers is not None:
                numbers = with_gaps(numbers, form.missing_values)
                if not self._blocks:
                    self._padded = _are_padded(values.slice(0, _LOOKED_AT))
                self._blocks += 1
                gaps = np.isnan(numbers)
                self._has_gaps |= bool(gaps.any())
                self._has_values |= not gaps.all()
                return numbers
            self.late, self._is_numbers = self._blocks > 0, False
        if not self.late:
            self._words.append(values.dictionary_encode())
        return None

    def column(self, name: str, form: TextForm, numbers: NDArray[np.float64] | None) -> Column:
        """Return the whole column; `numbers` are those of all its blocks, where it is one of numbers."""
        import pyarrow as pa

        if self._is_numbers:
            kind: Kind = "number" if self._has_values else "empty"
            return Column(name=name, kind=kind, numbers=numbers, padded=self._padded, has_gaps=self._has_gaps)
        chunks = pa.chunked_array(self._words).unify_dictionaries().chunks
        codes = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in chunks])
        missing = {word.strip().lower() for word in form.missing_values}
        words = ["" if word.strip().lower() in missing else word for word in chunks[0].dictionary.to_pylist()]
        return text_column(name, codes.astype(np.int64), words, date_format=form.date_format)


def _are_padded(values: Any) -> bool:
    """Return whether whole numbers have zeros before them."""
    from pyarrow import compute

    return bool(compute.any(compute.match_substring_regex(values, r"^\s*0[0-9]+\s*$")).as_py())


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
    for sign, plain in PLAIN_SIGNS.items():
        bare = compute.replace_substring(bare, sign, plain)
    for sign in form.numbers.unit_signs:
        bare = compute.replace_substring(bare, sign, "")
    if not form.numbers.is_plain:  # as accounts write what is negative
        bare = compute.replace_substring_regex(
            compute.utf8_trim_whitespace(bare), r"^(?:\((.*)\)|([^-].*)-)$", r"-\1\2"
        )
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


def _unreadable(error: Exception, place: str) -> DataError:
    """Say in our words what pyarrow cannot read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "UTF8" in reason:
        return not_utf8(place)
    if "straddling" in reason:
        return DataError(f"{place}: has a line longer than {size(MAX_LINE)}; is this a CSV file?")
    return DataError(f"{place}: is not readable CSV: {printable(reason[:200])}")
