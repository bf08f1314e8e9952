"""CSV files: what is read, and what is refused by line and column."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

import bz2
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from likewise.producer.job.prepare import PreparedExperiment

Prepare = Callable[..., PreparedExperiment]
Refusal = Callable[..., str]


def csv(folder: Path, text: str | bytes, **fields: Any) -> dict[str, Any]:
    path = folder / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {"type": "csv", "path": "a.csv", "target": "y", **fields}


def dense(units: int) -> dict[str, Any]:
    return {"layers": [{"type": "dense", "units": units}]}


@pytest.mark.parametrize(
    "text",
    [
        "a,b,y\n1,2,3\n4,5,6\n",
        "\ufeffa,b,y\r\n1,2,3\r\n4,5,6",
        "a;b;y\n1;2;3\n4;5;6\n",
        "a\tb\ty\n1\t2\t3\n4\t5\t6\n",
        '"a","b", "y"\n"1", 2 ,"3.0"\n\n4e0,5.,+6\n\n',
        "y,b,a\n3,2,1\n6,5,4\n",
    ],
)
def test_numbers_are_read_whatever_the_dress(prepare: Prepare, tmp_path: Path, text: str) -> None:
    data = prepare(data=csv(tmp_path, text, features=["a", "b"])).runs["torch"].data

    assert data.train.x.tolist() == [[1, 2], [4, 5]]
    assert data.train.y.tolist() == [[3], [6]]
    assert (data.feature_names, data.target_names) == (("a", "b"), ("y",))


def test_features_are_all_other_columns_and_targets_may_be_several(prepare: Prepare, tmp_path: Path) -> None:
    section = csv(tmp_path, "a,z,b,y\n1,2,3,4\n", target=["y", "z"])
    data = prepare(data=section, model=dense(2)).runs["torch"].data

    assert data.feature_names == ("a", "b")
    assert data.train.y.tolist() == [[4, 2]]


def test_a_column_of_sample_weights_is_neither_feature_nor_target(prepare: Prepare, tmp_path: Path) -> None:
    section = csv(tmp_path, "a,w,y\n1,0.5,3\n4,2,6\n", sample_weights="w")
    data = prepare(data=section).runs["torch"].data

    assert data.feature_names == ("a",)
    assert data.train.weights.tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,w,y\n1,-2,3\n", "a.csv, column w: line 2 is -2; sample weights are numbers of 0 or more"),
        (
            "a,w,y\n1,,3\n",
            "a.csv: line 2, column w: a value is missing; missing: {w: drop} leaves the row out",
        ),
        ("a,y\n1,3\n", 'data.sample_weights "w": a.csv has no such column (one of a, y)'),
    ],
)
def test_sample_weights_that_are_none_are_refused(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, text: str, expected: str
) -> None:
    assert refusal(prepare, data=csv(tmp_path, text, sample_weights="w")) == expected


@pytest.mark.parametrize("fields", [{"features": ["a", "w"]}, {"target": "w"}])
def test_a_column_of_weights_is_for_nothing_else(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, fields: dict[str, Any]
) -> None:
    message = refusal(prepare, data=csv(tmp_path, "a,w,y\n1,2,3\n", sample_weights="w", **fields))
    (field,) = fields
    assert message == (
        f'data.sample_weights "w": is one of data.{field} too; weights are neither feature nor target'
    )


def test_text_labels_become_class_numbers_in_sorted_order(prepare: Prepare, tmp_path: Path) -> None:
    section = csv(tmp_path, "a,y\n1,dog\n2,cat\n3,cow\n4,cat\n")
    data = prepare(data=section, loss="categorical_crossentropy", model=dense(3)).runs["torch"].data

    assert data.class_names == ("cat", "cow", "dog")
    assert data.train.y.tolist() == [2, 0, 1, 0]
    assert data.train.y.dtype == np.uint8


def test_two_text_labels_serve_a_binary_loss(prepare: Prepare, tmp_path: Path) -> None:
    section = csv(tmp_path, "a,y\n1,yes\n2,no\n")
    data = prepare(data=section, loss="binary_crossentropy").runs["torch"].data

    assert (data.task, data.class_names) == ("binary", ("no", "yes"))
    assert data.train.y.tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,y\n1,2\n,3\n", "a.csv: line 3, column a: a value is missing; missing: {a: median} fills it, drop leaves the row out"),
        ("a,y\n1,1\n\n\nNA,2\n", "a.csv: line 5, column a: a value is missing; missing: {a: median} fills it, drop leaves the row out"),
        ("a,y\n\n\nNA,2\n", "a.csv: column a: holds no value; drop: [a] leaves it out"),
        ("a,y\nx,2\n", 'a.csv: line 2, column a: "x" is not a number; categories: one_hot takes text in, and drop leaves a column out'),
        ('a,y\n"1\n2",2\n3,\n', 'a.csv: line 2, column a: "1\\n2" is not a number; categories: one_hot takes text in, and drop leaves a column out'),
        ("a,y\n1,dog\n", 'a.csv: line 2, column y: "dog" is not a number; for classes use a cross-entropy loss'),
        ("a;y\n1,5;2\n", 'a.csv: line 2, column a: "1,5" is not a number; decimal: "," reads such values as numbers'),
        ("a,y\n1_0,2\n", 'a.csv: line 2, column a: "1_0" is not a number; categories: one_hot takes text in, and drop leaves a column out'),
        ("a,y\n1,2\n-inf,2\n", "a.csv: line 3, column a: -inf is infinite"),
        ("a,y\n1e39,2\n", "a.csv: line 2, column a: 1e+39 is too large for float32; use precision: float64"),
        ("a,y\n1,2\n3\n", 'a.csv: line 3 has 1 value, and the header names 2 columns ("3")'),
        (
            "a,y\n1,2,3\n",
            'a.csv: line 2 has 3 values, and the header names 2 columns ("1, 2, 3"); where all lines are so, the first '
            "has a name too few: mend it, or say header: false and skip_lines: 1, which number the columns",
        ),
        ("a,a,y\n1,2,3\n", 'a.csv: columns 1 and 2 are both named "a"; rename one'),
        ("1,2\n3,4\n", 'a.csv: the first line must name the columns, and it holds only numbers ("1, 2"); say header: false, or add a header line'),
        ("", "a.csv: is empty; the first line must name the columns"),
        ("a,y\n", "a.csv: has a header and no rows"),
        ("y\n1\n", "data.features: a.csv has no column besides the target"),
        ("a,yy\n1,2\n", 'data.target "y": a.csv has no such column (did you mean yy?)'),
        ('a,y\n"1,2\n', 'a.csv: line 2 has 1 value, and the header names 2 columns ("1,2\\n"); is a quote opened and never closed?'),
        (b"a,y\n\xe9,1\n", 'a.csv: is not UTF-8 text; say what it is, such as encoding: "latin-1", or save it as UTF-8'),
        (b"PK\0\0,y\n", "a.csv: is a binary file, not CSV text"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_by_line_and_column(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, text: str | bytes, expected: str
) -> None:
    assert refusal(prepare, data=csv(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("loss", "text", "expected"),
    [
        ("binary_crossentropy", "a,y\n1,0\n2,2\n", "a.csv, column y: line 3, column y is 2; targets are 0 or 1, or between them, with binary_crossentropy"),
        ("binary_crossentropy", "a,y\n1,a\n2,b\n3,c\n", "a.csv, column y: has 3 classes (a, b, c), and binary_crossentropy takes two; use loss: categorical_crossentropy with an output a class"),
        ("categorical_crossentropy", "a,y\n1,0\n2,0.5\n", "a.csv, column y: line 3 is 0.5; class numbers are whole numbers from 0 to 99999"),
        ("categorical_crossentropy", "a,y\n1,cat\n2,\n", "a.csv: line 3, column y: a value is missing; missing: {y: drop} leaves the row out"),
        ("categorical_crossentropy", "a,y\n1,cat\n2,cat\n", 'a.csv, column y: every sample has the label "cat"; there is nothing to learn'),
    ],
)  # fmt: skip
def test_targets_that_are_no_classes_are_refused(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, *, loss: str, text: str, expected: str
) -> None:
    assert refusal(prepare, data=csv(tmp_path, text), loss=loss) == expected


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (["a", "c"], 'data.features "c": a.csv has no such column (one of a, b, y)'),
        (["a", "a"], 'data.features: names "a" twice'),
        (["a", "y"], 'data.features "y": is a target too; the model would see the answer'),
    ],
)
def test_features_that_are_not_there_are_refused(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, features: list[str], expected: str
) -> None:
    assert refusal(prepare, data=csv(tmp_path, "a,b,y\n1,2,3\n", features=features)) == expected


def test_an_endless_line_is_refused_before_it_fills_the_memory(
    prepare: Prepare, refusal: Refusal, tmp_path: Path
) -> None:
    with (tmp_path / "a.csv").open("wb") as stream:
        stream.truncate(100 * 2**20)

    message = refusal(prepare, data={"type": "csv", "path": "a.csv", "target": "y"})
    assert message == "a.csv: line 1 is longer than 16 MiB; is this a CSV file?"


@pytest.mark.parametrize("packing", ["gzip", "zstd", "xz", "bz2"])
def test_a_packed_file_that_ends_too_early_is_told(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, packing: str
) -> None:
    text = b"a,y\n" + b"".join(b"%d,%d\n" % (i * i, 7 * i) for i in range(2000))
    packed = {"xz": lzma.compress, "bz2": bz2.compress}.get(packing)
    whole = packed(text) if packed else pa.Codec(packing).compress(text, asbytes=True)
    (tmp_path / "a.csv").write_bytes(whole[: len(whole) // 2])

    message = refusal(prepare, data={"type": "csv", "path": "a.csv", "target": "y"})

    assert message.startswith("a.csv: ")
    assert "cannot be read to its end" in message


def test_a_member_of_an_archive_is_read_by_its_address(prepare: Prepare, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "a,y\n1,2\n3,4\n")
        archive.writestr("b.csv", "nothing")
    prepared = prepare(data={"type": "csv", "path": f"zip://a.csv::{tmp_path}/a.zip", "target": "y"})

    assert prepared.runs["torch"].data.train.x.tolist() == [[1.0], [3.0]]
