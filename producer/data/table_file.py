"""The one door to files of columns, whatever their format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from likewise.producer.data.table import DataTable
from likewise.producer.data.text_table import read_text, text_names
from likewise.producer.data.typed_table import read_typed, typed_names
from likewise.shared.job.data import CsvData, TableData


def column_names(data: TableData, base: Path) -> list[str]:
    """Return the names of a file's columns, in order. Raises DataError."""
    return text_names(data, base) if isinstance(data, CsvData) else typed_names(data, base)


def read_table(data: TableData, base: Path, wanted: Collection[str] | None = None) -> DataTable:
    """Return the wanted columns of a file, or all. Raises DataError with the place of what cannot be read."""
    if isinstance(data, CsvData):
        return read_text(data, base, wanted)
    return read_typed(data, base, wanted)
