"""NumPy files of ordinary size: kept in their dtype, mapped where they lie, joined, refused by arithmetic."""

from __future__ import annotations

import io
import mmap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.data import memory, npz
from likewise.producer.data.memory import mean_and_deviation, room_for, scaled, taken
from likewise.producer.data.npz import read_arrays, read_npy
from likewise.shared.errors import DataError

Prepare = Callable[..., Any]
Refusal = Callable[..., str]
CLASSES = {
    "loss": "categorical_crossentropy",
    "model": {"layers": ["flatten", {"type": "dense", "units": 10}]},
}


def mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">i2", "float16", "float32", "int64", "float64"])
def test_numbers_keep_the_dtype_of_the_file(prepare: Prepare, tmp_path: Path, dtype: str) -> None:
    x = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 2])
    data = prepare(data={"type": "npz", "path": "a.npz"}, **CLASSES).runs["torch"].data

    expected = "uint8" if dtype == "bool" else x.dtype.newbyteorder("=").name
    assert (data.train.x.dtype.name, data.train.y.dtype.name) == (expected, "uint8")
    assert data.train.x.tolist() == x.astype(int).tolist()


def test_class_numbers_take_the_narrowest_dtype_that_holds_them(prepare: Prepare, tmp_path: Path) -> None:
    def dtype(y: Any, **loss: Any) -> str:
        np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=y)
        declared = {"type": "categorical_crossentropy", **loss}
        model = {"layers": [{"type": "dense", "units": 301}]}
        data = prepare(data={"type": "npz", "path": "a.npz"}, loss=declared, model=model).runs["torch"].data
        return str(data.train.y.dtype)

    assert dtype([0, 1, 255]) == "uint8"
    assert dtype([0, 1, 300]) == "uint16"
    assert dtype([0, 127, -1], ignore_index=-1) == "int8"
    assert dtype([0, 300, -1], ignore_index=-1) == "int16"


def test_a_large_plain_archive_is_mapped_and_a_packed_one_is_unpacked(tmp_path: Path) -> None:
    x = np.arange(3 * memory.STRETCH_BYTES, dtype=np.uint32).view(np.uint8).reshape(-1, 1024)[: 2**14]
    np.savez(tmp_path / "plain.npz", x=x)
    np.savez_compressed(tmp_path / "packed.npz", x=x)
    np.save(tmp_path / "x.npy", x)
    plain, packed = (read_arrays(tmp_path / f"{name}.npz")["x"] for name in ("plain", "packed"))

    assert mapped(plain)
    assert not mapped(packed)
    assert mapped(read_npy(tmp_path / "x.npy"))
    for array in (plain, packed, read_npy(tmp_path / "x.npy")):
        assert np.array_equal(array, x)


def test_a_flipped_bit_of_a_mapped_archive_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(2 * memory.STRETCH_BYTES, np.uint8))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[memory.STRETCH_BYTES] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)

    with pytest.raises(DataError, match=r"a\.npz, array x: is damaged: its checksum is wrong"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "shape",
    [
        "(-3,)",
        "(3, -1)",
        "(2**70,)",
        "('a',)",
        "(9" + "9" * 30 + ",)",
        "(3.5,)",
        "(0, 9)",
        "(10**18,)",
        "(2,",
    ],
)
@pytest.mark.parametrize("how", ["npz", "npy"])
def test_a_shape_that_no_file_has_is_one_line(tmp_path: Path, shape: str, how: str) -> None:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    member = io.BytesIO()
    member.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(24))
    (tmp_path / "a.npy").write_bytes(member.getvalue())
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", member.getvalue())

    with pytest.raises(DataError, match=r"^a\.np.*(claims the shape|is not a NumPy array)") as error:
        read_arrays(tmp_path / "a.npz") if how == "npz" else read_npy(tmp_path / "a.npy")
    assert "\n" not in str(error.value)
    assert "<ast." not in str(error.value)


def test_several_files_are_one_set_in_their_order(prepare: Prepare, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    parts = [draw.integers(0, 256, (n, 4, 2), np.uint8) for n in (3, 1, 5)]
    y = [draw.integers(0, 3, len(part)) for part in parts]
    for number, part in enumerate(parts):
        np.savez(tmp_path / f"{number}.npz", x=part, y=y[number])
        np.save(tmp_path / f"x{number}.npy", part)
    np.save(tmp_path / "y.npy", np.concatenate(y))
    archives = {"type": "npz", "path": [f"{number}.npz" for number in range(3)]}
    files = {"type": "npy", "x": [f"x{number}.npy" for number in range(3)], "y": "y.npy"}

    for section in (archives, files):
        data = prepare(data=section, **CLASSES).runs["torch"].data
        assert np.array_equal(data.train.x, np.concatenate(parts))
        assert data.train.y.tolist() == np.concatenate(y).tolist()


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (
            np.zeros((2, 3), np.uint8),
            "b.npy: has samples of the shape (3,), and a.npy (4,); files that are joined have samples "
            "of one shape",
        ),
        (np.zeros((2, 4), np.float32), "b.npy: holds float32, and a.npy uint8; save all in one dtype"),
        (np.zeros((3, 4), np.uint8), "data: x has 5 samples and y has 4; each sample needs both"),
    ],
)
def test_files_that_do_not_go_together_are_told(
    prepare: Prepare, refusal: Refusal, tmp_path: Path, other: Any, expected: str
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 4), np.uint8))
    np.save(tmp_path / "b.npy", other)
    np.save(tmp_path / "y.npy", np.zeros(4, int))

    assert (
        refusal(prepare, data={"type": "npy", "x": ["a.npy", "b.npy"], "y": "y.npy"}, **CLASSES) == expected
    )


def test_what_memory_cannot_hold_goes_to_a_file_and_what_the_disk_cannot_is_refused_by_arithmetic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not mapped(room_for((4, 3), np.dtype(np.uint8), place="here"))
    monkeypatch.setattr(memory, "MEMORY_SHARE", 0.0)
    out = room_for((4, 3), np.dtype(np.float32), place="here")
    out[:] = 7
    assert mapped(out)
    assert out.sum() == 84
    with pytest.raises(
        DataError, match=r"here: 1,000,000,000,000,000 × 8 numbers of 4 bytes \(float32\) are 29104"
    ):
        room_for((10**15, 8), np.dtype(np.float32), place="here")


def test_statistics_are_float64_and_those_of_numpy_whatever_the_stretch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.random.default_rng(0).normal(1000, 1, (999, 3))
    x[:, 1] = 0.1
    mean, deviation = mean_and_deviation(x)
    assert mean.tobytes() == x.mean(axis=0).tobytes()
    assert deviation[[0, 2]].tobytes() == x.std(axis=0)[[0, 2]].tobytes()
    assert deviation[1] == 0
    monkeypatch.setattr(memory, "_STATISTICS_BYTES", 1000)
    monkeypatch.setattr(memory, "STRETCH_BYTES", 1000)
    narrow = x.astype(np.float32)
    mean, deviation = mean_and_deviation(narrow)
    assert mean == pytest.approx(narrow.astype(np.float64).mean(axis=0), rel=1e-14)
    assert deviation[0] == pytest.approx(narrow[:, 0].astype(np.float64).std(), rel=1e-12)
    found = scaled(narrow, mean, np.where(deviation == 0, 1.0, deviation), given_up=False)
    assert (found.dtype, scaled(x, mean, mean, given_up=False).dtype) == (np.float32, np.float64)
    rows = np.flatnonzero(np.random.default_rng(1).random(999) < 0.3)
    assert np.array_equal(taken(x, rows), x[rows])
    assert taken(x, np.arange(999)) is x


@pytest.mark.parametrize(
    ("kind", "samples", "shape"), [("mnist", 60_000, (28, 28, 1)), ("cifar10", 50_000, (32, 32, 3))]
)
def test_synthetic_sets_have_the_shape_and_the_bytes_of_the_known_ones(
    prepare: Prepare, kind: str, samples: int, shape: tuple[int, ...]
) -> None:
    data = prepare(data={"type": "synthetic", "kind": kind}, **CLASSES).runs["torch"].data
    few = prepare(data={"type": "synthetic", "kind": kind, "samples": 20}, **CLASSES).runs["torch"].data

    assert (data.train.x.shape, data.train.x.dtype) == ((samples, *shape), np.uint8)
    assert data.classes == 10
    assert few.train.y.tolist() == [*range(10)] * 2
    first, other, same = few.train.x[[0, 1, 10]].astype(int)
    assert np.abs(same - first).mean() < np.abs(other - first).mean()
    with pytest.raises(Exception, match="features is not asked where kind is"):
        prepare(data={"type": "synthetic", "kind": kind, "features": 3}, **CLASSES)


def test_a_packed_array_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "MAX_BYTES", 10**6)
    monkeypatch.setattr(npz, "room_for", lambda *_, **__: pytest.fail("it was given room"))
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2 * 10**6, np.uint8))
    with pytest.raises(DataError, match=r"unpacks to 1\.9 MiB, and at most 977 KiB are unpacked"):
        read_arrays(tmp_path / "a.npz")
