"""Parquet files, by pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likewise.producer.data.loaded import (
    Floats,
    Loaded,
    check_size,
    choose_columns,
    find_file,
    label_codes,
    refuse_duplicates,
)
from likewise.producer.display import printable
from likewise.shared.errors import DataError
from likewise.shared.job.data import ParquetData
from likewise.shared.run import Task


def load(data: ParquetData, base: Path, *, task: Task) -> Loaded:
    """Return the named columns; raise DataError with row and column of what cannot be trained on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = find_file(data.path, base)
    place = printable(file.name)
    try:
        with pq.ParquetFile(file) as source:
            columns = list(source.schema_arrow.names)
            refuse_duplicates(columns, place)
            features, targets = choose_columns(columns, data, place)
            weighed = [] if data.sample_weights is None else [data.sample_weights]
            rows = source.metadata.num_rows
            if rows == 0:
                raise DataError(f"{place}: has no rows")
            check_size(rows, len(features) + len(targets), place)
            table = source.read(
                columns=list(dict.fromkeys([*features, *targets, *weighed])), use_threads=False
            )
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{place}: is not a readable Parquet file: {printable(reason)}") from None
    y_place = f"{place}, column {printable(', '.join(targets))}"
    y, class_names = _targets(table, targets, place, y_place, task)
    return Loaded(
        x=np.stack([_numbers(table, name, place) for name in features], axis=1),
        y=y,
        weights=_numbers(table, weighed[0], place) if weighed else None,
        weights_place=f"{place}, column {printable(''.join(weighed))}",
        x_place=place,
        y_place=y_place,
        feature_names=tuple(features),
        target_names=tuple(targets),
        class_names=class_names,
    )


def _targets(
    table: Any, names: list[str], place: str, y_place: str, task: Task
) -> tuple[Floats, tuple[str, ...]]:
    import pyarrow.types as kinds

    column = table.column(names[0])
    kind = column.type.value_type if kinds.is_dictionary(column.type) else column.type
    if task != "regression" and len(names) == 1 and (kinds.is_string(kind) or kinds.is_large_string(kind)):
        _refuse_nulls(column, names[0], place)
        return label_codes(column.to_pylist(), y_place)
    return np.stack([_numbers(table, name, place) for name in names], axis=1), ()


def _numbers(table: Any, name: str, place: str) -> Floats:
    import pyarrow as pa
    import pyarrow.types as kinds

    column = table.column(name)
    where = f"{place}, column {printable(name)}"
    kind = column.type
    if not (
        kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind) or kinds.is_decimal(kind)
    ):
        hint = "for text classes use a cross-entropy loss, and leave other text columns out of data.features"
        raise DataError(f"{where}: holds {printable(str(kind))}, not numbers; {hint}")
    _refuse_nulls(column, name, place)
    try:
        whole = column.cast(pa.int8()) if kinds.is_boolean(kind) else column
        values: Floats = whole.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    except pa.ArrowException as error:
        raise DataError(f"{where}: cannot be read as numbers: {printable(str(error))}") from None
    return values


def _refuse_nulls(column: Any, name: str, place: str) -> None:
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise DataError(
            f"{place}: row {row}, column {printable(name)}: a value is missing; "
            "fill the gap or remove the row"
        )
