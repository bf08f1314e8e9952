"""Files at an address: what a protocol raises is one line, and what is given once is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from likewise.producer.data.prepare import load
from likewise.producer.data.reading import before_reading
from likewise.shared.errors import DataError
from likewise.shared.job.data import CsvData, ParquetData, TableData


class LibraryError(Exception):
    """An error such as libraries of protocols have: of no kind that Python knows."""

    status: int | None = None


class AnsweredError(LibraryError):
    """An answer of a web server, with its number."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}, message='', url='…'")
        self.status = status


class OneWay:
    """A stream that is given once, as a server gives a file whose length it does not say."""

    def __init__(self, stream: Any, cut: bool) -> None:
        self.stream, self.cut = stream, cut

    def read(self, amount: int) -> bytes:
        if self.cut and self.stream.tell():
            raise LibraryError("received 8 of 622 bytes")
        part: bytes = self.stream.read(amount)
        return part

    def seek(self, *_: int) -> int:
        raise ValueError("Cannot seek streaming HTTP file")

    def close(self) -> None:
        self.stream.close()


class Server(LocalFileSystem):  # type: ignore[misc]
    """A protocol that gives files of this machine in one way, or fails as the file's name says."""

    protocol = "oneway"

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        name = Path(path).name
        if name.isdigit():
            raise FileNotFoundError(path) from AnsweredError(int(name))
        if name == "nobody":
            raise FileNotFoundError(path) from LibraryError("Cannot connect to host nobody:80")
        if name == "secret":
            raise LibraryError("Unable to locate credentials")
        return OneWay(Path(path.removesuffix(".cut")).open("rb"), cut=name.endswith(".cut"))


@pytest.fixture
def address(tmp_path: Path) -> str:
    fsspec.register_implementation("oneway", Server, clobber=True)
    (tmp_path / "a.csv").write_text("a,y\n1,2\n3,4\n")
    pq.write_table(pa.table({"a": [1, 3], "y": [2, 4]}), tmp_path / "a.parquet")
    return f"oneway://{tmp_path}"


def data(path: str) -> TableData:
    kind = ParquetData(type="parquet", path=path, target="y")
    return kind if path.endswith(".parquet") else CsvData(type="csv", path=path, target="y")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_stream_that_is_given_once_is_read(address: str, tmp_path: Path, name: str) -> None:
    loaded = load(data(f"{address}/{name}"), tmp_path, tasks={"": "regression"})

    assert loaded.x.tolist() == [[1.0], [3.0]]
    assert before_reading(data(f"{address}/{name}"), tmp_path) == f"reading {address}/{name}"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("404", ": there is no such file"),
        ("403", ": cannot be opened: the server answers 403 (Forbidden)"),
        ("500", ": cannot be opened: the server answers 500 (Internal Server Error)"),
        ("0", ": cannot be opened: AnsweredError"),
        ("nobody", ": cannot be opened: Cannot connect to host nobody:80"),
        ("secret", ": cannot be opened: Unable to locate credentials"),
        ("a.csv.cut", "a.csv.cut: cannot be read to its end: received 8 of 622 bytes"),
    ],
)
def test_why_an_address_is_not_read_is_one_line(address: str, tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(DataError) as refused:
        load(data(f"{address}/{name}"), tmp_path, tasks={"": "regression"})
    assert str(refused.value).endswith(reason)
    assert "\n" not in str(refused.value)


def test_a_web_page_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n<!DOCTYPE html>\n<html><body>sign in, please</body></html>\n")
    with pytest.raises(DataError, match=r"a\.csv: is a web page, not a table; give the address of the file"):
        load(data("a.csv"), tmp_path, tasks={"": "regression"})
