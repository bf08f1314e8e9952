"""The other sources: npz, parquet, builtin, synthetic, inline; and files that cannot be had."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likewise.producer.data import arrays, table_file
from likewise.producer.job.prepare import PreparedExperiment
from likewise.shared.job.data import BuiltinData

Prepare = Callable[..., PreparedExperiment]
Refusal = Callable[..., str]


def dense(units: int) -> dict[str, Any]:
    return {"layers": [{"type": "dense", "units": units}]}


def test_npz_arrays_are_read_by_name_and_keep_their_axes(prepare: Prepare, tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.savez_compressed(tmp_path / "a.npz", images=images, y=np.array([1, 2], dtype=np.int32))
    section = {"type": "npz", "path": "a.npz", "x": "images"}
    model = {"layers": ["flatten", {"type": "dense", "units": 1}]}
    data = prepare(data=section, model=model, predict=[list(range(12))]).runs["torch"].data

    assert data.train.x.dtype == np.uint8
    assert np.array_equal(data.train.x, images)
    assert data.train.y.tolist() == [[1.0], [2.0]]
    assert data.predict is not None
    assert data.predict.shape == (1, 4, 3)


def two_inputs(**sizes: int) -> dict[str, Any]:
    """A model that joins its inputs, of these sizes, and a dense layer."""
    inputs = [{"type": "input", "name": name, "shape": [size]} for name, size in sizes.items()]
    return {"layers": [*inputs, {"type": "concatenate", "inputs": [*sizes]}, {"type": "dense", "units": 1}]}


INLINE = {"type": "inline", "x": {"b": [[5], [6]], "a": [[1, 2], [3, 4]]}, "y": [0, 1]}


def test_named_inputs_lie_side_by_side_in_the_order_of_the_model_s(prepare: Prepare, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        left=np.arange(12, dtype=np.uint8).reshape(2, 3, 2),
        b=np.array([0.5, 1.5]),
        y=[0, 1],
    )
    archive = {"type": "npz", "path": "a.npz", "x": {"b": "b", "a": "left"}}
    inline = (
        prepare(data=INLINE, model=two_inputs(a=2, b=1), predict={"b": [9], "a": [[7, 8]]}).runs["torch"].data
    )
    model = two_inputs(a=1, b=1)
    model["layers"][0]["shape"] = [3, 2]
    model["layers"].insert(2, {"type": "flatten", "inputs": ["a"], "name": "flat"})
    model["layers"][3]["inputs"] = ["flat", "b"]
    read = prepare(data=archive, model=model).runs["torch"].data

    assert inline.train.x.tolist() == [[1, 2, 5], [3, 4, 6]]
    assert inline.feature_names == ("a.1", "a.2", "b")
    assert inline.predict is not None
    assert inline.predict.tolist() == [[7, 8, 9]]
    assert read.train.x.tolist() == [[0, 1, 2, 3, 4, 5, 0.5], [6, 7, 8, 9, 10, 11, 1.5]]


def test_columns_of_a_table_are_shared_out_among_inputs(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("kind,size,age,price\nA,1,10,1\nB,2,30,2\nA,3,20,3\n")
    section = {
        "type": "csv", "path": "a.csv", "target": "price", "categories": "one_hot",
        "features": {"deep": ["age"], "wide": ["kind", "size"]}, "standardize": ["deep"],
    }  # fmt: skip
    data = prepare(data=section, model=two_inputs(wide=3, deep=1)).runs["torch"].data

    assert data.train.x[:, :3].tolist() == [[1, 0, 1], [0, 1, 2], [1, 0, 3]]
    np.testing.assert_allclose(data.train.x[:, 3], np.sqrt(1.5) * np.array([-1, 1, 0]))


def test_a_column_of_a_table_may_go_to_two_inputs(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("kind,size,price\nA,1,1\nB,2,2\nA,3,3\n")
    section = {
        "type": "csv", "path": "a.csv", "target": "price", "categories": "one_hot",
        "features": {"wide": ["kind", "size"], "deep": ["size", "kind"]},
    }  # fmt: skip
    rows = [{"kind": "B", "size": 5}]
    data = prepare(data=section, model=two_inputs(wide=3, deep=3), predict=rows).runs["torch"].data

    assert data.train.x.tolist() == [[1, 0, 1, 1, 1, 0], [0, 1, 2, 2, 0, 1], [1, 0, 3, 3, 1, 0]]
    assert data.predict.tolist() == [[0, 1, 5, 5, 0, 1]]
    assert [column.name for column in data.columns] == ["kind"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": dense(1)}, "data.x: is a mapping with b and a, and the model has no such inputs; give it a layer {type: input, name: b, shape: […]} for each"),
        ({"model": two_inputs(a=2, c=1)}, "data.x.b: the model has no such input (one of a, c)"),
        ({"model": two_inputs(a=2, b=1, c=1)}, "data.x: lacks c, which the model has as an input"),
        ({"model": two_inputs(a=2, b=3)}, "data.x.b: has samples of the shape (1,), and the input of the model takes (3,); shape: [1] would do"),
        ({"data": INLINE | {"x": {"a": [[1, 2]], "b": [5, 6]}}}, "data.x.b: has 2 samples, and data.x.a has 1 sample; each sample needs all of them"),
        ({"data": INLINE | {"standardize": ["d"]}}, "data.standardize d: the model has no such input (one of a, b)"),
        ({"predict": {"a": [[1, 2]]}}, "predict: has rows of a, and the model's inputs are a and b"),
        ({"predict": {"a": [[1, 2, 3]], "b": [1]}}, "predict.a: its rows have 3 values, and a sample of the input has 2"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_go_with_the_model_s_are_refused(
    prepare: Prepare, refusal: Refusal, changes: dict[str, Any], expected: str
) -> None:
    assert refusal(prepare, **{"data": INLINE, "model": two_inputs(a=2, b=1), **changes}) == expected


HEADS = {
    "layers": [
        {"type": "dense", "units": 3, "name": "kind", "inputs": ["input"]},
        {"type": "dense", "units": 1, "name": "size", "inputs": ["input"]},
    ],
    "outputs": ["kind", "size"],
}
TWO_LOSSES = {"kind": "categorical_crossentropy", "size": {"type": "mse", "weight": 0.2}}
TWO_TARGETS = {
    "type": "inline",
    "x": [[1], [2], [3]],
    "y": {"size": [0.5, 1.5, 2.5], "kind": [[0, 1, 0], [1, 0, 0], [0, 0, 1]]},
}


def test_targets_of_named_outputs_lie_side_by_side_and_classes_in_one_column(
    prepare: Prepare, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), k=np.array([2, 0, 1], np.uint8), s=np.array([0.5, 1, 2]))
    archive = {"type": "npz", "path": "a.npz", "y": {"kind": "k", "size": "s"}}
    (tmp_path / "a.csv").write_text("a,b,kind,size\n1,2,no,0.5\n3,4,yes,1.5\n5,6,maybe,2.5\n")
    table = {
        "type": "csv",
        "path": "a.csv",
        "target": {"kind": "kind", "size": "size"},
        "class_names": {"kind": ["no", "maybe", "yes"]},
    }
    inline, read, columns = (
        prepare(data=data, model=HEADS, loss=TWO_LOSSES).runs["torch"].data
        for data in (TWO_TARGETS, archive, table)
    )

    assert inline.train.y.tolist() == [[1, 0.5], [0, 1.5], [2, 2.5]]
    assert (inline.outputs["kind"].classes, inline.outputs["size"].columns) == (3, 1)
    assert read.train.y.tolist() == [[2, 0.5], [0, 1], [1, 2]]
    assert columns.train.y.tolist() == [[0, 0.5], [2, 1.5], [1, 2.5]]
    assert columns.feature_names == ("a", "b")
    assert columns.outputs["kind"].class_names == ("no", "maybe", "yes")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data": TWO_TARGETS | {"y": [1, 2, 3]}}, "data.y: is for one output, and the model has kind and size; give a mapping with the targets of each"),
        ({"data": TWO_TARGETS | {"y": {"kind": [0, 1, 2], "sise": [1, 2, 3]}}}, "data.y.sise: the model has no such output (did you mean size?)"),
        ({"data": TWO_TARGETS | {"y": {"kind": [0, 1, 2]}}}, "data.y: lacks size, which the model has as an output"),
        ({"data": TWO_TARGETS | {"y": {"kind": [0, 1, 0.5], "size": [1, 2, 3]}}}, "data.y.kind: row 3 is 0.5; class numbers are whole numbers from 0 to 99999"),
        ({"data": TWO_TARGETS | {"split": {"stratify": True, "test": 0.5}}}, "data.split.stratify: keeps the shares of one target's classes, and the model has kind and size; leave it out, or split by a column of the table"),
        ({"model": dense(1), "loss": "mse"}, "data.y: is a mapping with size and kind, and the model has one output; let model.outputs name them"),
    ],
)  # fmt: skip
def test_targets_that_do_not_go_with_the_outputs_are_refused(
    prepare: Prepare, refusal: Refusal, changes: dict[str, Any], expected: str
) -> None:
    assert (
        refusal(prepare, **{"data": TWO_TARGETS, "model": HEADS, "loss": TWO_LOSSES, **changes}) == expected
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "a.npz: x has 5 samples and y has 4; each sample needs both"),
        ({"x": "X"}, 'a.npz: has no array "X" (data.x); did you mean x?'),
        ({"x": "objects"}, "a.npz, array objects: holds Python objects, which are not read; save plain numbers"),
        ({"x": "words"}, "a.npz, array words: holds <U3, not numbers"),
        ({"x": "complexes"}, "a.npz, array complexes: holds complex128, not numbers"),
        ({"x": "gaps", "y": "one"}, "a.npz, array gaps: row 1, column 2: nan is NaN"),
        ({"x": "none", "y": "none"}, "a.npz, array none: has no samples"),
        ({"x": "y", "y": "images"}, "a.npz, array images: has the shape (4, 3, 2); targets are (samples,) or (samples, targets)"),
        ({"x": "scalar"}, "a.npz: an array of samples has at least one axis, and one here is a single number"),
    ],
)  # fmt: skip
def test_npz_arrays_that_cannot_be_trained_on_are_refused(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, fields: dict[str, str], expected: str
) -> None:
    np.savez(
        tmp_path / "a.npz",
        x=np.zeros((5, 2)), y=np.zeros(4), objects=np.array([{}], dtype=object), words=np.array(["one"]),
        complexes=np.zeros(4, complex), gaps=np.array([[1.0, np.nan]]), one=np.zeros(1), none=np.zeros(0),
        images=np.zeros((4, 3, 2)), scalar=np.array(1.0),
    )  # fmt: skip

    assert refusal(prepare, data={"type": "npz", "path": "a.npz", **fields}) == expected


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(
    prepare: Prepare, refusal: Refusal, tmp_path: Path
) -> None:
    header = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }"
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.ljust(127) + b"\n")
        archive.writestr("y.npy", header.ljust(127) + b"\n")

    message = refusal(prepare, data={"type": "npz", "path": "a.npz"})
    assert message == (
        "a.npz, array x: claims the shape (999999999999,) of float64, 7,999,999,999,992 bytes, and holds 0; "
        "save it anew with NumPy"
    )


@pytest.mark.parametrize("keep", [0, 10, 100, 300])
def test_a_damaged_archive_is_refused(prepare: Prepare, refusal: Refusal, tmp_path: Path, keep: int) -> None:
    np.savez(tmp_path / "whole.npz", x=np.zeros(9), y=np.zeros(9))
    (tmp_path / "a.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:keep])

    assert refusal(prepare, data={"type": "npz", "path": "a.npz"}).startswith("a.npz: is not a readable .npz")


def test_an_array_and_a_column_hold_sample_weights(
    prepare: Prepare, refusal: Refusal, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.zeros(3), w=[1, 2, 3], short=[1, 2])
    archive = {"type": "npz", "path": "a.npz"}
    pq.write_table(pa.table({"a": [1, 2], "w": [3, 4], "y": [1, 2]}), tmp_path / "a.parquet")
    table = {"type": "parquet", "path": "a.parquet", "target": "y", "sample_weights": "w"}
    from_archive, from_table = (
        prepare(data=section).runs["torch"].data for section in (archive | {"sample_weights": "w"}, table)
    )

    assert from_archive.train.weights.tolist() == [1, 2, 3]
    assert from_table.train.weights.tolist() == [3, 4]
    assert from_table.feature_names == ("a",)
    assert refusal(prepare, data=archive | {"sample_weights": "short"}) == (
        "a.npz: data.sample_weights, array short, has the shape (2,); weights are one a sample, (3,)"
    )


def test_parquet_columns_of_all_kinds_of_numbers_are_read(prepare: Prepare, tmp_path: Path) -> None:
    table = pa.table({
        "a": pa.array([1, 2], pa.int8()), "b": pa.array([True, False]), "c": pa.array([0.5, 1.5], pa.float32()),
        "y": pa.array(["no", "yes"]).dictionary_encode(),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    section = {"type": "parquet", "path": "a.parquet", "target": "y"}
    data = prepare(data=section, loss="binary_crossentropy").runs["torch"].data

    assert data.train.x.tolist() == [[1, 1, 0.5], [2, 0, 1.5]]
    assert data.train.y.tolist() == [[0], [1]]
    assert (data.feature_names, data.class_names) == (("a", "b", "c"), ("no", "yes"))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"a": [1, None], "y": [1, 2]}, "a.parquet: row 2, column a: a value is missing; missing: {a: median} fills it, drop leaves the row out"),
        ({"a": ["u", "v"], "y": [1, 2]}, 'a.parquet: row 1, column a: "u" is not a number; categories: one_hot takes text in, and drop leaves a column out'),
        ({"a": [1.0, float("nan")], "y": [1, 2]}, "a.parquet: row 2, column a: a value is missing; missing: {a: median} fills it, drop leaves the row out"),
        ({"a": [], "y": []}, "a.parquet: has no rows"),
        ({"a": [1], "z": [1]}, 'data.target "y": a.parquet has no such column (one of a, z)'),
    ],
)  # fmt: skip
def test_parquet_that_cannot_be_trained_on_is_refused(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, columns: dict[str, list[Any]], expected: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")

    assert refusal(prepare, data={"type": "parquet", "path": "a.parquet", "target": "y"}) == expected


def test_a_damaged_parquet_file_is_refused(prepare: Prepare, refusal: Refusal, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0] * 100, "y": [1.0] * 100}), tmp_path / "whole.parquet")
    whole = bytearray((tmp_path / "whole.parquet").read_bytes())
    for cut in (whole[: len(whole) // 2], bytearray(b"PAR1"), whole[:20] + whole[60:]):
        (tmp_path / "a.parquet").write_bytes(bytes(cut))
        message = refusal(prepare, data={"type": "parquet", "path": "a.parquet", "target": "y"})
        assert message.startswith("a.parquet: is not a readable Parquet file")


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "digits", "iris", "wine"])
def test_a_builtin_set_is_that_of_scikit_learn_bit_for_bit(name: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = getattr(datasets, f"load_{name}")()
    ours = arrays.load_builtin(BuiltinData(type="builtin", name=name))

    assert ours.x.dtype == ours.y.dtype == np.float64
    assert ours.x.tobytes() == np.ascontiguousarray(theirs.data, dtype=np.float64).tobytes()
    assert ours.y.tobytes() == np.asarray(theirs.target, dtype=np.float64).tobytes()
    assert ours.x.shape == theirs.data.shape
    assert ours.y.shape == (len(theirs.target), 1)
    assert ours.feature_names == tuple(map(str, theirs.feature_names))
    assert ours.class_names == tuple(map(str, getattr(theirs, "target_names", ())))


@pytest.mark.parametrize(
    ("name", "loss", "units", "shape"),
    [
        ("diabetes", "mse", 1, (442, 10)),
        ("digits", "categorical_crossentropy", 10, (1797, 64)),
        ("iris", "categorical_crossentropy", 3, (150, 4)),
        ("wine", "categorical_crossentropy", 3, (178, 13)),
        ("breast_cancer", "binary_crossentropy", 1, (569, 30)),
    ],
)
def test_the_builtin_sets_are_there_without_a_network(
    prepare: Prepare, name: str, loss: str, units: int, shape: tuple[int, int]
) -> None:
    data = prepare(data={"type": "builtin", "name": name}, loss=loss, model=dense(units)).runs["torch"].data

    assert data.train.x.shape == shape
    assert len(data.feature_names) == shape[1]


def test_synthetic_samples_follow_their_formulas(prepare: Prepare) -> None:
    def samples(**fields: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        section = {"type": "synthetic", "samples": 50, "features": 3, **fields}
        train = prepare(data=section).runs["torch"].data.train
        return train.x, train.y[:, 0]

    x, y = samples(kind="linear")
    assert np.allclose(y, 2 * x.sum(axis=1) - 1, rtol=1e-14)
    x, y = samples(kind="sine")
    assert np.array_equal(y, np.sin(x[:, 0]))
    x, y = samples(kind="regression")
    assert np.linalg.matrix_rank(np.column_stack([x, y]), tol=1e-9) == 3
    x, noisy = samples(kind="regression", noise=0.5)
    assert 0.2 < (noisy - y).std() < 0.8


def test_synthetic_samples_change_with_the_seed_and_with_nothing_else(prepare: Prepare) -> None:
    def x(seed: int) -> list[list[float]]:
        section = {"type": "synthetic", "kind": "linear", "seed": seed}
        return prepare(data=section).runs["torch"].data.train.x.tolist()  # type: ignore[no-any-return]

    assert x(1) == x(1)
    assert x(1) != x(2)


def test_synthetic_classes_take_turns(prepare: Prepare) -> None:
    section = {"type": "synthetic", "kind": "classification", "classes": 3, "samples": 7}
    data = prepare(data=section, loss="categorical_crossentropy", model=dense(3)).runs["torch"].data

    assert data.train.y.tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"type": "inline", "x": [1, 2], "y": [1]}, "data: x has 2 rows and y has 1 row; each sample needs both"),
        ({"type": "inline", "x": [1e39], "y": [1]}, "data.x: row 1: 1e+39 is too large for float32; use precision: float64"),
        ({"type": "synthetic", "kind": "sine", "samples": 10**12}, "data.samples: 1,000,000,000,000 samples of 2 values are 15 TiB as float64; at most 2.0 GiB can be trained on"),
        ({"type": "csv", "path": "b.csv", "target": "y"}, "is no such file"),
        ({"type": "csv", "path": "no/b.csv", "target": "y"}, "no, is not there)"),
        ({"type": "csv", "path": ".", "target": "y"}, 'data.path ".": is a folder; name a file in it'),
        ({"type": "csv", "path": "a\0b", "target": "y"}, "embedded null"),
        ({"type": "npz", "path": "pipe"}, 'data.path "pipe": is not a regular file'),
        ({"type": "parquet", "path": "huge", "target": "y"}, 'data.path "huge": has 3.0 GiB; at most 2.0 GiB can be trained on'),
    ],
)  # fmt: skip
def test_data_that_cannot_be_had_is_refused(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, section: dict[str, Any], expected: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(3 * 2**30)

    assert expected in refusal(prepare, data=section)


def test_pyarrow_is_loaded_only_when_a_table_is_asked_for() -> None:
    code = (
        "import sys; from likewise.producer.job.jobfile import read_experiment;"
        "from likewise.producer.job.prepare import prepare_experiment;"
        "prepare_experiment(read_experiment('article')); print(sorted({'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_small_table_that_unpacks_to_too_much_is_refused(
    refusal: Refusal, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_file, "MAX_BYTES", 10**6)
    pq.write_table(pa.table({"a": [[0] * 10**6] * 2, "y": [1, 2]}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    said = refusal(prepare, data={"type": "parquet", "path": "a.parquet", "target": "y"})
    assert said == "a.parquet: unpacks to more than 977 KiB; at most that can be trained on"
