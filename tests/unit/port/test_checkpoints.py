"""Checkpoints without pickle, and the file of the mapping."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from likewise.producer.port.models import WeightRow
from likewise.producer.port.rows import read_lock, write_lock
from likewise.shared.errors import DataError
from likewise.worker.port.checkpoints import read_arrays, write_arrays
from likewise.worker.port.contract import ProgramError

ARRAYS = {
    "head.weight": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
    "steps": np.array(7, dtype=np.int64),
}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_arrays_come_back_as_they_were(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"net{ending}"
    write_arrays(file, ARRAYS, more=())
    found = read_arrays(file, more=())
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_bfloat16_is_read_as_the_upper_half_of_a_float32(tmp_path: Path) -> None:
    numbers = np.array([1.5, -2.0], dtype=np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "net.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + halves)
    assert np.array_equal(read_arrays(tmp_path / "net.safetensors", more=())["w"], numbers)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("net.bin", b"", "it can be .pt, .safetensors or .npz"),
        ("net.npz", b"no archive", "cannot be read"),
        ("net.safetensors", b"\xff" * 20, "cannot be read"),
    ],
)
def test_a_file_of_another_kind_or_a_broken_one_is_told(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProgramError, match=words):
        read_arrays(tmp_path / name, more=(".pt",))


def test_rows_by_hand_are_kept_in_the_file_of_the_mapping(tmp_path: Path) -> None:
    lock = tmp_path / "mapping.lock.yaml"
    rows = tuple(
        WeightRow(
            names={"keras": f"{name}.kernel", "torch": f"{other}.weight"},
            shapes={"keras": (4, 4), "torch": (4, 4)},
            transform="transposed",
            status="proved",
        )
        for name, other in (("one", "a"), ("two", "b"))
    )
    assert read_lock(lock, ("keras", "torch")) == ()
    write_lock(lock, rows, (rows[1].names,))
    assert read_lock(lock, ("keras", "torch")) == ({"keras": "two.kernel", "torch": "b.weight"},)
    lock.write_text("weights:\n  - {keras: two.kernel, status: by_hand}\n")
    with pytest.raises(DataError, match="without a name for keras and torch"):
        read_lock(lock, ("keras", "torch"))
