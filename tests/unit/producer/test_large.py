"""What is said of data that take a while, before they are read and stored."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from likewise.producer.data import memory, reading
from likewise.producer.data import prepare as prepare_data
from likewise.producer.data.memory import grouped
from likewise.producer.data.prepare import before_storing
from likewise.producer.data.reading import before_reading
from likewise.producer.job.summary import lines_of
from likewise.shared.job import Data

DATA: TypeAdapter[Any] = TypeAdapter(Data)


def declared(**section: Any) -> Any:
    return DATA.validate_python(section)


def test_reading_is_announced_where_it_takes_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.npy", "b.npy", "y.npy"):
        np.save(tmp_path / name, np.zeros(2_000, np.uint8))
    files = declared(type="npy", x=["a.npy", "b.npy"], y="y.npy")

    assert before_reading(files, tmp_path) is None
    assert before_reading(declared(type="npz", path="missing.npz"), tmp_path) is None
    assert before_reading(declared(type="inline", x=[1.0], y=[1.0]), tmp_path) is None
    pictures = declared(type="images", path="pets", size=[8, 8])
    assert before_reading(pictures, tmp_path) == "reading the images of pets"
    monkeypatch.setattr(reading, "LARGE_BYTES", 5_000)
    assert before_reading(files, tmp_path) == "reading a.npy and 2 more (6.2 KiB)"


def test_storing_is_announced_once_for_data_that_sides_share(
    prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    section = {"type": "synthetic", "kind": "mnist", "samples": 100, "scale": 255, "mean": [127.5]}
    model = {"layers": ["flatten", {"type": "dense", "units": 10}]}
    prepared = prepare(data=section, loss="categorical_crossentropy", model=model)
    every = [run.data for run in prepared.runs.values()]

    assert before_storing(every) is None
    monkeypatch.setattr(prepare_data, "LARGE_BYTES", 70_000)
    assert before_storing(every) == "storing 77 KiB of samples for the workers"
    assert lines_of(prepared)[1] == (
        "  data        synthetic: 100 training samples; 28 x 28 x 1 values of uint8, 77 KiB, less 127.5, "
        "divided by 255; 10 classes"
    )


@pytest.mark.parametrize(("kind", "more"), [("csv", {}), ("parquet", {}), ("csv", {"standardize": True})])
def test_a_table_is_in_memory_less_than_twice_while_it_is_prepared(
    prepare: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    more: dict[str, Any],
) -> None:
    monkeypatch.setattr(memory, "STRETCH_BYTES", 2**20)
    monkeypatch.setattr(memory, "_STATISTICS_BYTES", 2**20)
    values = np.random.default_rng(0).integers(0, 1000, (80_000, 30)).astype(np.float64)
    table = pa.table({f"c{i}": values[:, i] for i in range(30)})
    write = {"csv": arrow_csv.write_csv, "parquet": pq.write_table}[kind]
    write(table, tmp_path / f"data.{kind}")
    section = {"type": kind, "path": f"data.{kind}", "target": "c3", "split": {"validation": 0.2}, **more}
    section["missing"] = "median"

    tracemalloc.start()
    try:
        prepared = prepare(data=section)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    data = prepared.runs["tensorflow"].data
    assert data.train.x.shape == (64_000, 29)
    assert peak < 1.75 * values.nbytes


class Counted(str):
    """A name that counts how often it is held against another."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)


def test_columns_are_grouped_without_holding_each_name_against_all() -> None:
    names = [Counted(number) for number in range(2000)]
    rows = grouped(dict.fromkeys(names), [*names[:1500:2], Counted("text")])

    assert [len(one) for one in rows] == [750] + [1] * 1250
    assert Counted.compared < 5 * len(names)
