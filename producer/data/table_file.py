"""Files of columns, whatever their format; here those that say what their values are, by pyarrow.

Those are Parquet and JSON lines. Separated text is read by `text_table`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.file_lists import listed, place_of, refuse_other_columns, row_namer
from likewise.producer.data.loaded import MAX_BYTES, check_size, refuse_duplicates
from likewise.producer.data.memory import grouped
from likewise.producer.data.opening import opened
from likewise.producer.data.table import Column, DataTable, JoinedNumbers, Kind, text_column, with_gaps
from likewise.producer.data.text_table import read_text, text_names
from likewise.producer.display import printable, size
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData, JsonLinesData, ParquetData, TableData

_ROWS_AT_ONCE = 2**14
_KINDS = {"parquet": "Parquet", "jsonl": "JSON Lines"}


def column_names(data: TableData, base: Path) -> list[str]:
    """Return the names of a file's columns, in order. Raises DataError."""
    return text_names(data, base) if isinstance(data, CsvData) else _typed_names(data, base)


def read_table(
    data: TableData,
    base: Path,
    wanted: Collection[str] | None = None,
    *,
    words: Collection[str] = (),
    together: Sequence[str] = (),
) -> DataTable:
    """Return the wanted columns of a file, or all; of text, those in `words` as they are written.

    The numbers of those in `together` lie side by side, in that order, where each is a column of numbers.
    Raises DataError with the place of what cannot be read.
    """
    if isinstance(data, CsvData):
        return read_text(data, base, wanted, words=words, together=together)
    return _read_typed(data, base, wanted, together)


def _typed_names(data: ParquetData | JsonLinesData, base: Path) -> list[str]:
    """Return the names of the columns, in the order of the first file. Raises DataError."""
    with _reading(data, listed(data.path)[0], base) as (stream, place):
        names = list(_schema(data, stream).names)
        refuse_duplicates(names, place)
        return names


def _read_typed(
    data: ParquetData | JsonLinesData, base: Path, wanted: Collection[str] | None, together: Sequence[str]
) -> DataTable:
    """Return the wanted columns, or all. Raises DataError."""
    paths, rows_of_files = listed(data.path), list[int]()
    gathered: _TypedColumns | None = None
    for path in paths:
        with _reading(data, path, base) as (stream, place):
            rows = _json(stream, place) if isinstance(data, JsonLinesData) else _parquet(stream, place)
            gathered = gathered or _TypedColumns(rows.schema, place, wanted, together)
            gathered.check(rows.schema, place)
            rows_of_files.append(rows.count)
            check_size(sum(rows_of_files), len(gathered.chosen), place)
            for part in rows.parts(gathered.chosen):
                gathered.take(part, data)
    if gathered is None or not sum(rows_of_files):
        raise DataError(f"{place_of(paths)}: has no rows")
    return DataTable(
        columns=gathered.columns(data),
        rows=sum(rows_of_files),
        row_name=row_namer(paths, rows_of_files, lambda _, row: f"row {row + 1}"),
        joined=gathered.joined,
    )


class _TypedColumns:
    """It is the chosen columns while rows come in, of one file or of several."""

    def __init__(
        self, schema: Any, place: str, wanted: Collection[str] | None, together: Sequence[str]
    ) -> None:
        self._names, self._place = schema.names, place
        self.chosen = [name for name in schema.names if wanted is None or name in wanted]
        self._kinds: dict[str, tuple[str, str]] = {}
        """What each column holds, and the first file that has a value of it."""
        kinds = {name: _holds(schema.field(name).type) for name in self.chosen}
        numbers = dict.fromkeys(name for name, kind in kinds.items() if kind == "numbers")
        self._numbers = grouped(numbers, together)
        self._others: dict[str, list[Any]] = {name: [] for name in self.chosen if name not in numbers}
        every = tuple(dict.fromkeys(together))
        self._together = every if every in self._numbers else ()
        self.joined: JoinedNumbers | None = None

    def check(self, schema: Any, place: str) -> None:
        """Raise DataError where a file has other columns than the first, or other kinds of values in them.

        A column without a value goes with any.
        """
        refuse_other_columns(schema.names, place, first=self._names, first_place=self._place)
        for name in self.chosen:
            kind = _holds(schema.field(name).type)
            if kind == "no value":
                continue
            known, where = self._kinds.setdefault(name, (kind, place))
            if kind != known:
                raise DataError(
                    f"{place}: column {printable(name)} holds {kind}, and that of {where} {known}; files "
                    "that are read as one table have the same kinds of columns"
                )

    def take(self, part: Any, data: ParquetData | JsonLinesData) -> None:
        """Put the rows of a part behind those that were taken before."""
        for names, some in self._numbers.items():
            some.append([_floats(part.column(name), data) for name in names], part.num_rows)
        for name, chunks in self._others.items():
            chunks.extend(part.column(name).chunks)

    def columns(self, data: ParquetData | JsonLinesData) -> dict[str, Column]:
        """Return the columns of all rows; none can be taken after that."""
        arrays = {names: some.whole() for names, some in self._numbers.items()}
        if self._together:
            self.joined = JoinedNumbers(names=self._together, array=arrays[self._together])
        found = {
            name: _number_column(name, array[:, i])
            for names, array in arrays.items()
            for i, name in enumerate(names)
        }
        for name in [*self._others]:
            kind, _ = self._kinds.get(name, ("no value", ""))
            found[name] = _column(name, self._others.pop(name), kind, data)
        return {name: found[name] for name in self.chosen}


def _holds(kind: Any) -> str:
    """Return what values of an arrow type are, in the words of messages."""
    import pyarrow.types as kinds

    inner = kind.value_type if kinds.is_dictionary(kind) else kind
    if kinds.is_null(kind):
        return "no value"
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return "numbers"
    if kinds.is_boolean(kind):
        return "true and false"
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        return "dates"
    if kinds.is_time(kind) or kinds.is_duration(kind):
        return "times"
    return "text" if kinds.is_string(inner) or kinds.is_large_string(inner) else printable(str(kind))


def _floats(values: Any, data: ParquetData | JsonLinesData) -> NDArray[np.float64]:
    """Return a column of arrow's as float64, NaN where a value is missing."""
    import pyarrow as pa

    numbers: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy()
    return with_gaps(numbers, data.missing_values)


def _number_column(name: str, numbers: NDArray[np.float64]) -> Column:
    gaps = np.isnan(numbers)
    kind: Kind = "empty" if gaps.all() else "number"
    return Column(name=name, kind=kind, numbers=numbers, has_gaps=bool(gaps.any()))


@contextmanager
def _reading(data: ParquetData | JsonLinesData, path: str, base: Path) -> Iterator[tuple[IO[bytes], str]]:
    import pyarrow as pa

    with opened(path, base) as (stream, place):
        try:
            yield stream, place
        except (pa.ArrowException, OSError, ValueError, EOFError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            kind = _KINDS[data.type]
            raise DataError(f"{place}: is not a readable {kind} file: {printable(reason)}") from None


def _schema(data: ParquetData | JsonLinesData, stream: IO[bytes]) -> Any:
    if isinstance(data, ParquetData):
        import pyarrow.parquet as pq

        return _flat(pq.read_schema(stream).empty_table()).schema
    return _read_json(stream).schema


def _read_json(stream: IO[bytes]) -> Any:
    import pyarrow.json as arrow_json

    return _flat(arrow_json.read_json(stream, read_options=arrow_json.ReadOptions(block_size=2**24)))


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """It is the rows of an open file, which are read when they are asked for."""

    schema: Any
    """The type of each column."""
    count: int
    parts: Callable[[Sequence[str]], Iterator[Any]]
    """It gives the rows of some columns, part after part."""


def _json(stream: IO[bytes], place: str) -> _Rows:
    arrow = _read_json(stream)
    refuse_duplicates(arrow.column_names, place)
    return _Rows(
        schema=arrow.schema, count=arrow.num_rows, parts=lambda chosen: iter([arrow.select(list(chosen))])
    )


def _flat(arrow: Any) -> Any:
    """Return the table with a column for each field of a structure: `geo.lat` and `geo.lon` for `geo`."""
    import pyarrow.types as kinds

    while any(kinds.is_struct(one.type) for one in arrow.schema):
        arrow = arrow.flatten()
    return arrow


def _parquet(stream: IO[bytes], place: str) -> _Rows:
    """Return the rows of a file; text that repeats stays packed, so that memory holds each word once."""
    import pyarrow.parquet as pq
    import pyarrow.types as kinds

    with pq.ParquetFile(stream) as source:
        schema = _flat(source.schema_arrow.empty_table()).schema
        refuse_duplicates(schema.names, place)
        texts = [one.name for one in schema if kinds.is_string(one.type) or kinds.is_large_string(one.type)]
        count = source.metadata.num_rows
    stream.seek(0)
    return _Rows(
        schema=schema,
        count=count,
        parts=lambda chosen: _parquet_parts(stream, place, list(chosen), texts),
    )


def _parquet_parts(stream: IO[bytes], place: str, chosen: list[str], texts: list[str]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    read = 0
    with pq.ParquetFile(stream, read_dictionary=texts, buffer_size=2**16, pre_buffer=False) as source:
        for batch in source.iter_batches(_ROWS_AT_ONCE, columns=chosen, use_threads=False):
            read += batch.nbytes
            if read > MAX_BYTES:
                raise DataError(
                    f"{place}: unpacks to more than {size(MAX_BYTES)}; at most that can be trained on"
                )
            yield _flat(pa.Table.from_batches([batch]))


def _in_one_form(values: Any, kind: str) -> Any:
    """Return an arrow array of a kind of values so that those of several files can be joined.

    Text is packed; dates are seconds since 1970, times seconds since midnight, true and false are 1 and 0.
    """
    import pyarrow as pa
    from pyarrow import compute

    if kind == "text":
        packed = values.type == pa.dictionary(pa.int32(), pa.string())
        return values if packed else values.cast(pa.string()).dictionary_encode()
    if kind == "dates":
        instants = values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64(), safe=False)
        return compute.divide(instants, 1e6)
    if kind == "times" and not pa.types.is_null(values.type):
        unit = 10.0 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[values.type.unit]
        whole = pa.int32() if pa.types.is_time32(values.type) else pa.int64()
        return compute.divide(values.cast(whole).cast(pa.float64(), safe=False), unit)
    if kind == "true and false":
        return values.cast(pa.int8()).cast(pa.float64())
    return values.cast(pa.float64(), safe=False)


_KIND_OF: Mapping[str, Kind] = {"dates": "date", "times": "time", "true and false": "boolean"}


def _column(name: str, chunks: Sequence[Any], kind: str, data: ParquetData | JsonLinesData) -> Column:
    """Return arrow arrays as one of our columns; they hold `kind`, which is not numbers in the first file."""
    import pyarrow as pa

    if kind not in (*_KIND_OF, "text", "numbers", "no value"):
        nothing = np.zeros(sum(map(len, chunks)), dtype=np.int64)
        return Column(name=name, kind="other", codes=nothing, words=(kind,))
    joined = pa.chunked_array([_in_one_form(chunk, kind) for chunk in chunks])
    if kind != "text":
        numbers = with_gaps(joined.to_numpy(), data.missing_values if kind == "numbers" else ())
        if kind in _KIND_OF:
            return Column(name=name, kind=_KIND_OF[kind], numbers=numbers)
        return _number_column(name, numbers)
    whole = joined.unify_dictionaries().combine_chunks()
    codes = whole.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    missing = {word.strip().lower() for word in data.missing_values}
    words = ["" if word.strip().lower() in missing else word for word in whole.dictionary.to_pylist()]
    return text_column(name, codes, words, date_format=data.date_format)
