"""Rows of a new file: which do not fit what was trained on, and how they are to be written."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

from pathlib import Path

import pytest

from likewise.producer.data.new_rows import problems_in
from likewise.producer.data.table_file import read_table
from likewise.shared.job.data import CsvData
from likewise.shared.run import FittedColumn


@pytest.mark.parametrize(
    ("use", "cells", "told"),
    [
        ("number", "1 abc 2 x x", 'line 3, column a: "abc" is no number, and so in line 5 and line 6'),
        ("number", "50,5 1 2", 'line 2, column a: "50,5" is no number (it looks like 50.5, written with a decimal comma)'),
        ("number", "1,234 5,600", 'line 2, column a: "1,234" is no number (it looks like 1.234, written with a decimal comma or 1234, written in groups of three digits), and so in line 3'),
        ("number", "5kg 6kg", 'line 2, column a: "5kg" is no number (it looks like 5, written with the unit kg), and so in line 3'),
        ("number", "1.234,5 2", 'line 2, column a: "1.234,5" is no number (it looks like 1234.5, written with a decimal comma and in groups of three digits)'),
        ("number", "1 - 2 -", "line 3, column a: has no value, and data.missing fills no gap of it, and so in line 5"),
        ("number", "1 x x x x x x", 'line 3, column a: "x" is no number, and so in line 4, line 5, line 6 and 2 more'),
        ("parts", "2024-05-05 May", 'line 3, column a: "May" is no date; write dates as 2024-03-31'),
        ("hours", "noon 13:45", 'line 2, column a: "noon" is no time; write times as 13:45'),
        ("number", "1 2.5 -3e4", None),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_told_with_what_would(
    tmp_path: Path, use: str, cells: str, told: str | None
) -> None:
    lines = ["a,b", *(f'"{cell}",1' for cell in cells.split())]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    table = read_table(CsvData(type="csv", path="new.csv", target="?"), tmp_path)
    fitted = FittedColumn.model_validate({"name": "a", "use": use})

    assert list(problems_in(table.columns["a"], fitted, table)) == ([] if told is None else [told])
