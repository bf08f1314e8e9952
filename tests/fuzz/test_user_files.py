"""What a user's command takes: job files, tables, archives, and the results that workers have written."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from likewise.producer.data.npz import read_arrays, read_npy
from likewise.producer.data.table_file import read_table
from likewise.producer.job.examples import example_names, example_path
from likewise.producer.job.jobfile import read_experiment
from likewise.shared.errors import DataError, LikewiseError, ResultError
from likewise.shared.frozen import read_result
from likewise.shared.job.data import CsvData, ParquetData
from likewise.shared.results.run_result import RunResult
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.store.arrays import ArrayRef
from tests.fuzz.conftest import bounded
from tests.fuzz.spoiling import as_json, documents, files, texts
from tests.fuzz.test_queue import GOLDEN, RESULT

JOBS = [example_path(name).read_text() for name in example_names()] + [(GOLDEN / "job.v1.yaml").read_text()]
JOB_DOCUMENTS = [json.loads((GOLDEN / "job-words.v1.json").read_text())]


def written(folder: Any, name: str, data: bytes) -> Path:
    """A file of these bytes."""
    file: Path = folder.getbasetemp() / name
    file.write_bytes(data)
    return file


def told(error: LikewiseError) -> None:
    """What is told is text that a terminal can show."""
    assert str(error).replace("\n", "").isprintable()


@given(texts(*JOBS))
def test_a_job_file_is_read_or_its_fault_is_told(tmp_path_factory: Any, data: bytes) -> None:
    file = written(tmp_path_factory, "job.yaml", data)
    with bounded():
        try:
            read_experiment(str(file))
        except LikewiseError as error:
            told(error)


@given(documents(*JOB_DOCUMENTS).map(as_json))
def test_a_job_of_json_is_read_or_its_fault_is_told(tmp_path_factory: Any, data: bytes) -> None:
    file = written(tmp_path_factory, "job.json", data)
    with bounded():
        try:
            read_experiment(str(file))
        except LikewiseError as error:
            told(error)


CSV = 'a,b,"c d"\n1,2,x\n3,,"y\ny"\n5,6,z\n'
DATES = "when;n\n2026-01-02;1,5\n2026-02-03;2,5\n"


def _table(data: Any, folder: Path) -> None:
    try:
        found = read_table(data, folder)
        assert len(found.columns) > 0
    except DataError as error:
        told(error)


@given(texts(CSV, DATES))
@example(b"(\xb5/\xfd")
def test_a_table_of_text_is_read_or_its_fault_is_told(tmp_path_factory: Any, data: bytes) -> None:
    file = written(tmp_path_factory, "a.csv", data)
    with bounded():
        _table(CsvData.model_validate({"type": "csv", "path": file.name, "target": "a"}), file.parent)


def parquet(**options: Any) -> bytes:
    """A Parquet file with a column of each kind."""
    file = io.BytesIO()
    columns = {
        "n": pa.array([1, None, 3]),
        "x": pa.array([0.5, float("nan"), 2.0]),
        "t": pa.array(["a", "b", None]),
        "d": pa.array([0, 1, 2], pa.timestamp("us")),
        "b": pa.array([True, None, False]),
    }
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


@given(files(parquet(), parquet(compression="none", use_dictionary=False), parquet(compression="gzip")))
def test_a_parquet_file_is_read_or_its_fault_is_told(tmp_path_factory: Any, data: bytes) -> None:
    file = written(tmp_path_factory, "a.parquet", data)
    with bounded():
        _table(ParquetData.model_validate({"type": "parquet", "path": file.name, "target": "n"}), file.parent)


def archive(save: Any, **arrays: Any) -> bytes:
    """A NumPy archive."""
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    """A NumPy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


X = np.arange(12.0).reshape(6, 2)
ARCHIVES = (archive(np.savez, x=X, y=X[:, 0]), archive(np.savez_compressed, x=np.zeros((500, 500)), y=X))


@given(files(*ARCHIVES), files(npy(X), npy(X.astype(">i2").T)))
def test_an_archive_of_arrays_is_read_or_its_fault_is_told(
    tmp_path_factory: Any, packed: bytes, plain: bytes
) -> None:
    several = written(tmp_path_factory, "a.npz", packed)
    one = written(tmp_path_factory, "a.npy", plain)
    with bounded():
        for read, file in ((read_arrays, several), (read_npy, one)):
            try:
                read(file)
            except DataError as error:
                told(error)


def _held(ref: ArrayRef) -> Any:
    """What the store would have, if it is of a size that a store could have."""
    if ref.nbytes > 2**20:
        raise ResultError("too large for this store")
    return np.zeros(ref.shape, ref.dtype)


WHOLE = json.loads(RunResult.model_validate_json(json.dumps(RESULT)).model_dump_json())


@given(documents(RESULT, WHOLE).map(as_json), st.sampled_from([(3, 5), (0,)]))
def test_a_result_is_read_or_its_fault_is_told(document: bytes, seeds: tuple[int, ...]) -> None:
    with bounded():
        try:
            result = read_result(RunResult, document)
        except ValidationError:
            return
        with suppress(ResultError):
            table = SeedTable.of(result, seeds, arrays=_held)
            for name in (
                "losses",
                "validation_losses",
                "epochs",
                "stopped_early",
                "predictions",
                "weights",
                "hashes",
            ):
                getattr(table, name)
