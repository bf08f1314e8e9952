"""Files of columns, whatever their format; here those that say what their values are, by pyarrow.

Those are Parquet and JSON lines. Separated text is read by `text_table`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.loaded import MAX_BYTES, check_size, refuse_duplicates
from likewise.producer.data.memory import GrowingRows
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
    """Return the names of the columns, in order. Raises DataError."""
    with _reading(data, base) as (stream, place):
        names = list(_schema(data, stream).names)
        refuse_duplicates(names, place)
        return names


def _read_typed(
    data: ParquetData | JsonLinesData, base: Path, wanted: Collection[str] | None, together: Sequence[str]
) -> DataTable:
    """Return the wanted columns, or all. Raises DataError."""
    with _reading(data, base) as (stream, place):
        if isinstance(data, ParquetData):
            schema, parts = _parquet(stream, place, wanted)
        else:
            schema, parts = _json(stream, place, wanted)
        numbers = [one.name for one in schema if _is_number(one.type)]
        side_by_side = tuple(name for name in dict.fromkeys(together) if name in numbers)
        alone = [(name,) for name in numbers if name not in side_by_side]
        gathered = {names: GrowingRows(len(names)) for names in (side_by_side, *alone) if names}
        others: dict[str, list[Any]] = {one.name: [] for one in schema if one.name not in numbers}
        rows = 0
        for part in parts:
            rows += part.num_rows
            for names, some in gathered.items():
                some.append([_floats(part.column(name), data) for name in names], part.num_rows)
            for name, chunks in others.items():
                chunks.extend(part.column(name).chunks)
        if rows == 0:
            raise DataError(f"{place}: has no rows")
        arrays = {names: some.whole() for names, some in gathered.items()}
        columns = {
            name: _number_column(name, array[:, i])
            for names, array in arrays.items()
            for i, name in enumerate(names)
        }
        columns |= {name: _column(name, others.pop(name), data) for name in [*others]}
    joined = None
    if len(side_by_side) == len({*together}) > 0:
        joined = JoinedNumbers(names=side_by_side, array=arrays[side_by_side])
    return DataTable(
        columns={name: columns[name] for name in schema.names},
        rows=rows,
        row_name=lambda row: f"row {row + 1}",
        joined=joined,
    )


def _is_number(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


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
def _reading(data: ParquetData | JsonLinesData, base: Path) -> Iterator[tuple[IO[bytes], str]]:
    import pyarrow as pa

    with opened(data.path, base) as (stream, place):
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


def _json(stream: IO[bytes], place: str, wanted: Collection[str] | None) -> tuple[Any, Iterator[Any]]:
    """Return the types of the wanted columns, and their rows part after part."""
    arrow = _read_json(stream)
    refuse_duplicates(arrow.column_names, place)
    chosen = arrow.select([name for name in arrow.column_names if wanted is None or name in wanted])
    check_size(arrow.num_rows, chosen.num_columns, place)
    return chosen.schema, iter([chosen])


def _flat(arrow: Any) -> Any:
    """Return the table with a column for each field of a structure: `geo.lat` and `geo.lon` for `geo`."""
    import pyarrow.types as kinds

    while any(kinds.is_struct(one.type) for one in arrow.schema):
        arrow = arrow.flatten()
    return arrow


def _parquet(stream: IO[bytes], place: str, wanted: Collection[str] | None) -> tuple[Any, Iterator[Any]]:
    """Return the types of the wanted columns, and their rows part after part.

    Text that repeats stays packed, so that memory holds each word once.
    """
    import pyarrow.parquet as pq
    import pyarrow.types as kinds

    with pq.ParquetFile(stream) as source:
        schema = _flat(source.schema_arrow.empty_table()).schema
        refuse_duplicates(schema.names, place)
        texts = [one.name for one in schema if kinds.is_string(one.type) or kinds.is_large_string(one.type)]
        chosen = [name for name in schema.names if wanted is None or name in wanted]
        rows = source.metadata.num_rows
    check_size(rows, len(chosen), place)
    stream.seek(0)
    empty = _flat(schema.empty_table()).select(chosen)
    return empty.schema, _parquet_parts(stream, place, chosen, texts)


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


def _times(name: str, values: Any) -> Column:
    import pyarrow as pa

    unit = 10.0 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[values.type.unit]
    whole = pa.int32() if pa.types.is_time32(values.type) else pa.int64()
    counts = values.cast(whole).cast(pa.float64(), safe=False).to_numpy()
    return Column(name=name, kind="time", numbers=counts / unit)


def _booleans(name: str, values: Any) -> Column:
    import pyarrow as pa

    return Column(name=name, kind="boolean", numbers=values.cast(pa.int8()).cast(pa.float64()).to_numpy())


def _column(name: str, chunks: list[Any], data: ParquetData | JsonLinesData) -> Column:
    """Return an arrow column that is not one of numbers as one of ours."""
    import pyarrow as pa
    import pyarrow.types as kinds

    values = pa.chunked_array(chunks)
    kind = values.type
    if kinds.is_null(kind):
        return Column(name=name, kind="empty", numbers=np.full(len(values), np.nan))
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        instants = values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64(), safe=False)
        return Column(name=name, kind="date", numbers=instants.to_numpy() / 1e6)
    if kinds.is_time(kind) or kinds.is_duration(kind) or kinds.is_boolean(kind):
        return _times(name, values) if not kinds.is_boolean(kind) else _booleans(name, values)
    inner = kind.value_type if kinds.is_dictionary(kind) else kind
    if not (kinds.is_string(inner) or kinds.is_large_string(inner)):
        return Column(
            name=name, kind="other", codes=np.zeros(len(values), dtype=np.int64), words=(str(kind),)
        )
    packed = values if kinds.is_dictionary(kind) else values.dictionary_encode()
    whole = packed.unify_dictionaries().combine_chunks()
    codes = whole.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    missing = {word.strip().lower() for word in data.missing_values}
    words = ["" if word.strip().lower() in missing else word for word in whole.dictionary.to_pylist()]
    return text_column(name, codes, words, date_format=data.date_format)
