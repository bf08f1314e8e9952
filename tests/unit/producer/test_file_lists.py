"""Several files as one table: read as if their rows stood in one file, and told apart in every message."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likewise.producer.data.loaded import Loaded
from likewise.producer.data.prepare import load
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.new_file import NewJob, write_new
from likewise.producer.job.prepare import prepare_experiment
from likewise.shared.errors import DataError, UsageError
from likewise.shared.job.data import CsvData, JsonLinesData, ParquetData, TableData

ROWS = [
    {
        "day": f"2024-{1 + i % 12:02}-{1 + i:02}",
        "kind": "abc"[i % 3],
        "size": i * 1.5,
        "wet": i % 2 == 0,
        "y": i % 7,
    }
    for i in range(24)
]
NAMES = list(ROWS[0])
PARTS = (ROWS[:5], ROWS[5:6], ROWS[6:])
SETTINGS: dict[str, Any] = {"target": "y", "categories": "one_hot", "dates": "elapsed"}


def csv_of(rows: list[dict[str, Any]], names: list[str], sep: str = ",") -> str:
    return "\n".join([sep.join(names), *(sep.join(str(row[name]) for name in names) for row in rows)]) + "\n"


def written(folder: Path, kind: str) -> tuple[TableData, TableData]:
    """Write the rows as one file and as three whose columns stand in other orders; return both as data."""
    for name, rows, names in (
        ("whole", ROWS, NAMES),
        *((f"part{i}", rows, NAMES[i:] + NAMES[:i]) for i, rows in enumerate(PARTS)),
    ):
        path = folder / name
        if kind == "csv":
            path.write_text(csv_of(rows, names, sep=";" if name == "part1" else ","))
        elif kind == "jsonl":
            path.write_text("".join(json.dumps({key: row[key] for key in names}) + "\n" for row in rows))
        else:
            as_dates = [{**row, "day": dt.date.fromisoformat(row["day"])} for row in rows]
            table = pa.Table.from_pylist([{key: row[key] for key in names} for row in as_dates])
            if name == "part1":  # other types that hold the same kinds of values
                packed = table["kind"].cast(pa.large_string()).dictionary_encode()
                table = table.set_column(names.index("kind"), "kind", packed)
                table = table.set_column(names.index("day"), "day", table["day"].cast(pa.timestamp("ms")))
                table = table.set_column(names.index("y"), "y", table["y"].cast(pa.float32()))
            pq.write_table(table, path)
    made = {"csv": CsvData, "jsonl": JsonLinesData, "parquet": ParquetData}[kind]
    paths = ["part0", "part1", "part2"]
    return made(type=kind, path="whole", **SETTINGS), made(type=kind, path=paths, **SETTINGS)


def read(data: TableData, base: Path) -> Loaded:
    return load(data, base, tasks={"": "regression"})


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_several_files_are_read_as_the_one_that_has_all_rows(tmp_path: Path, kind: str) -> None:
    whole, parts = (read(data, tmp_path) for data in written(tmp_path, kind))

    assert np.array_equal(whole.x, parts.x)
    assert np.array_equal(whole.y, parts.y)
    assert parts.feature_names == whole.feature_names
    assert parts.x_place == "part0 and 2 other files"
    place = "line 2" if kind == "csv" else "row 1"
    assert [parts.row(i) for i in (0, 5, 6)] == [f"{place} of part{i}" for i in range(3)]


def test_a_column_whose_first_file_has_no_value_is_what_the_others_hold(tmp_path: Path) -> None:
    first = pa.table({"a": pa.nulls(2), "b": pa.nulls(2), "y": [1, 2]})
    pq.write_table(first, tmp_path / "one")
    pq.write_table(pa.table({"a": [3, 4], "b": ["u", "v"], "y": [3, 4]}), tmp_path / "two")
    for paths in (["one", "two"], ["two", "one"]):
        data = ParquetData(
            type="parquet", path=paths, target="y", missing="most_frequent", categories={"b": "ordinal"}
        )
        loaded = read(data, tmp_path)

        assert loaded.x[[0, -1]].tolist() == [
            [3, 0],
            [3 if paths[-1] == "one" else 4, int(paths[-1] == "two")],
        ]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (["a,y\n1,2\n", "a,b,y\n1,2,3\n"], "0.csv: lacks the column 'b', which 1.csv has; files that are read as one table have the same columns, in any order"),
        (["a,b,y\n1,2,3\n", "y\n1\n"], "1.csv: lacks the columns 'a' and 'b', which 0.csv has; files that are read as one table have the same columns, in any order"),
        (["a,y\n1,2\n", "a,y\n1,2\n3\n"], "1.csv: line 3 has 1 value, and the header names 2 columns ('3')"),
        (["a,y\n1,2\n", "a,y\n1,2\nx,3\n"], "0.csv and 1 other file: line 3 of 1.csv, column a: 'x' is not a number; categories: one_hot takes text in, and drop leaves a column out"),
        (["a,y\n1,2\n3,\n", "a,y\n1,2\n"], "0.csv and 1 other file: line 3 of 0.csv, column y: a value is missing; missing: {y: drop} leaves the row out"),
        (["a,y\n", "a,y\n"], "0.csv and 1 other file: has a header and no rows"),
        (["a,y\n1,2\n", None], "data.path '1.csv': there is no such file in "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_file(
    tmp_path: Path, contents: list[str | None], message: str
) -> None:
    for number, content in enumerate(contents):
        if content is not None:
            (tmp_path / f"{number}.csv").write_text(content)
    data = CsvData(type="csv", path=[f"{number}.csv" for number in range(len(contents))], target="y")

    with pytest.raises(DataError) as refused:
        read(data, tmp_path)
    assert str(refused.value).replace('"', "'").startswith(message)


def test_a_column_of_another_kind_is_told_with_both_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2], "y": [1, 2]}), tmp_path / "one")
    pq.write_table(pa.table({"a": ["1", "x"], "y": [1, 2]}), tmp_path / "two")
    with pytest.raises(
        DataError,
        match="two: column a holds text, and that of one numbers; files that are read as one table have the same kinds of columns",
    ):
        read(ParquetData(type="parquet", path=["one", "two"], target="y"), tmp_path)


def test_init_takes_a_table_in_several_files_by_name_or_by_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts").mkdir()
    written(Path("parts"), "csv")
    job = Path("job.yaml")
    every = [Path("parts/part0"), Path("parts/part1"), Path("parts/part2")]
    write_new(job, NewJob(csv=[Path("parts/part*")], targets=["y"]), force=False)
    by_pattern = job.read_text()
    write_new(job, NewJob(csv=every, targets=["y"]), force=True)
    data = prepare_experiment(read_experiment("job.yaml")).runs["torch"]

    assert job.read_text() == by_pattern
    assert data.job.data.path == tuple(map(str, every))  # type: ignore[union-attr]
    assert "after a look at part0 and 2 other files." in by_pattern
    assert len(data.data.train.x) == 16
    for csv, message in (
        (["nothing*"], r"--csv nothing\*: no file has such a name"),
        ([*every, "parts/*1"], "--csv parts/part1: is given twice, and its rows would count twice"),
        (["parts"], r"--csv parts: is a folder; for a table name its files, such as 'parts/\*.csv', and for a folder of images a class: --images parts"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            write_new(Path("b.yaml"), NewJob(csv=list(map(Path, csv)), targets=["y"]), force=False)
    with pytest.raises(UsageError, match="say --csv before each, or give a pattern in quotes"):
        write_new(Path("parts/part1"), NewJob(csv=[every[0]], targets=["y"]), force=True)
