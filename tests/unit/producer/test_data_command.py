"""`likewise data`: what a table is, what becomes of each column, what the network sees."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from rich.console import Console

from likewise.producer.cli.reading import ReadingLine
from likewise.producer.data import opening
from likewise.producer.data.reading import on_read
from likewise.producer.data.table_file import read_table
from likewise.producer.data.table_samples import roles_of
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.report.data import DataDocument
from likewise.producer.report.document import print_parts
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData

Likewise = Callable[..., CompletedProcess[str]]

JOB = """
data:
  {type: csv, path: a.csv, target: y, drop: [note], missing: {height: median}, categories: one_hot,
   split: {test: 0.25}, standardize: true, class_names: [no, yes]}
model: {layers: [{type: dense, units: 1}]}
loss: binary_crossentropy
optimizer: sgd
training: {epochs: 1}
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    """Write a table of twenty rows with its job."""
    rows = [
        f"{'' if i == 2 else i},{'north' if i % 2 else 'south'},n{i},{'yes' if i % 3 else 'no'}"
        for i in range(20)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["height,town,note,y", *rows]) + "\n")
    (tmp_path / "a.yaml").write_text(JOB)
    return "a.yaml"


def test_each_column_is_told_with_what_becomes_of_it(likewise: Likewise, job: str) -> None:
    told = json.loads(likewise("data", job, "--json").stdout)
    becomes = {one["column"]: one["becomes"] for one in told["columns"]}

    assert becomes == {
        "height": "a feature; gaps: 11.5",
        "town": "town_north, town_south", "note": "left out: drop names it",
        "y": "the target",
    }  # fmt: skip
    assert [one["missing"] for one in told["columns"]] == [1, 0, 0, 0]
    assert (told["rows"], told["samples"], told["input_shape"]) == (20, {"train": 15, "test": 5}, [3])
    assert told["classes"]["no"]["train"] + told["classes"]["no"]["test"] == 7


def test_five_rows_are_shown_before_and_after(likewise: Likewise, job: str) -> None:
    told = json.loads(likewise("data", job, "--json").stdout)
    before, x = told["first_rows"]["as_the_file_has_them"], np.array(told["first_rows"]["x"])

    assert len(before) == len(x) == 5
    assert x[:, 1].tolist() == [float(row["town"] == "north") for row in before]
    assert told["first_rows"]["y"] == [[float(row["y"] == "yes")] for row in before]
    heights = [row["height"] for row in before if row["height"] is not None]
    kept = [one for one, row in zip(x[:, 0], before, strict=True) if row["height"] is not None]
    assert np.corrcoef(heights, kept)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_is_told_in_its_width(tmp_path: Path, job: str, width: int) -> None:
    prepared = prepare_experiment(read_experiment(str(tmp_path / job)))
    run = prepared.runs["torch"]
    table = read_table(run.job.data, tmp_path)
    roles = roles_of(list(table.columns), run.job.data, "a.csv")
    stream = io.StringIO()
    document = DataDocument(job=run.job, data=run.data, table=table, roles=roles)
    print_parts(document, Console(file=stream, width=width, force_terminal=True, color_system=None))

    assert "left out" in stream.getvalue()
    assert max(map(len, stream.getvalue().splitlines())) <= width


def test_data_that_are_no_table_are_shown_too(likewise: Likewise) -> None:
    told = json.loads(likewise("data", "digits", "--json").stdout)

    assert (told["columns"], told["rows"]) == ([], None)
    assert sum(sum(parts.values()) for parts in told["classes"].values()) == sum(told["samples"].values())


def test_a_packed_file_that_unpacks_to_too_much_is_refused_while_it_unpacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MAX_BYTES", 80 * 2**20)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,y\n" + b"1,2\n" * (40 * 2**20)))
    read: list[int] = []
    token = on_read.set(lambda _, count: read.append(count or 0))
    try:
        with pytest.raises(DataError, match=r"a\.csv\.gz: unpacks to more than 80 MiB"):
            read_table(CsvData(type="csv", path="a.csv.gz", target="y"), tmp_path)
    finally:
        on_read.reset(token)

    assert 30 * 2**20 < max(read) <= 80 * 2**20


def test_a_long_reading_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 0.5, 2.0, 6.0, 6.1])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    line = ReadingLine(stream=io.StringIO())
    for count in (1, 2 * 2**20, 3 * 2**20, 4 * 2**20, 5 * 2**20, None):
        line("big.csv", count)

    assert line.stream.getvalue().splitlines() == [
        "likewise: reading big.csv: 5 MiB",
    ]


def test_of_a_small_file_nothing_is_said_however_slow_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 100, 10))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    line = ReadingLine(stream=io.StringIO())
    for count in (1, 302, 302, None):
        line("my.csv", count)

    assert line.stream.getvalue() == ""
