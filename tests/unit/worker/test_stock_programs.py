"""A worker runs a program of its own folder alone, and only the text that the run's hash is of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from likewise.shared.run import ProgramFile
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.placement import Placement
from likewise.worker.training.failures import TrainingError
from likewise.worker.training.stock import imported, read_program

CODE = b"weights = {}\n\n\ndef model():\n    return weights\n"
SHA256 = hashlib.sha256(CODE).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "programs" / "stock").mkdir(parents=True)
    (tmp_path / "programs" / "stock" / "one.py").write_bytes(CODE)
    return tmp_path / "programs"


def refusal(wanted: ProgramFile, folder: Path | None) -> str:
    with pytest.raises(TrainingError) as refused:
        read_program(wanted, folder)
    assert refused.value.reason == "program_refused"
    return str(refused.value)


def test_a_program_of_the_folder_with_the_runs_hash_is_read(folder: Path) -> None:
    assert read_program(ProgramFile(file="stock/one.py", sha256=SHA256), folder) == CODE


def test_another_hash_is_refused(folder: Path) -> None:
    said = refusal(ProgramFile(file="stock/one.py", sha256="0" * 64), folder)
    assert said == f"The program stock/one.py has the SHA-256 {SHA256[:12]}…; the run is for 000000000000…"


def test_a_worker_without_a_folder_runs_none() -> None:
    said = refusal(ProgramFile(file="stock/one.py", sha256=SHA256), None)
    assert said == "This worker runs no programs; give it a folder with LIKEWISE_PROGRAMS"


def test_a_path_out_of_the_folder_is_refused(folder: Path) -> None:
    folder.with_name("outside.py").write_bytes(CODE)
    said = refusal(ProgramFile(file="../outside.py", sha256=SHA256), folder)
    assert said == "The program ../outside.py leads out of the worker's folder of programs"
    with pytest.raises(ValidationError):
        ProgramFile(file=str(folder.with_name("outside.py")), sha256=SHA256)


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    folder.with_name("outside.py").write_bytes(CODE)
    os.symlink(folder.with_name("outside.py"), folder / "link.py")
    assert "leads out of" in refusal(ProgramFile(file="link.py", sha256=SHA256), folder)


def test_a_missing_program_is_refused(folder: Path) -> None:
    assert "cannot be read" in refusal(ProgramFile(file="stock/two.py", sha256=SHA256), folder)


def test_what_is_imported_is_what_was_read(folder: Path) -> None:
    code = read_program(ProgramFile(file="stock/one.py", sha256=SHA256), folder)
    (folder / "stock" / "one.py").write_text("raise RuntimeError")
    names = imported(code, "stock/one.py")
    names["weights"] = {"kernel": 1}
    assert names["model"]() == {"kernel": 1}


SHAPES = {"a.kernel": (3, 2), "a.bias": (5000,)}


def made(weights: dict[str, np.ndarray]) -> list[np.ndarray]:
    """A transposed kernel with the bias behind it in one array, and a table of numbers that nobody gave."""
    whole = np.concatenate([weights["a.kernel"].T.reshape(-1), weights["a.bias"]])
    return [np.arange(9.0), whole.astype(np.float32)]


def test_weights_are_read_back_from_wherever_a_program_puts_them() -> None:
    draw = np.random.default_rng(0)
    weights = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    found = Placement(SHAPES, made).read(made(weights))
    assert all(np.array_equal(found[name], weights[name]) for name in SHAPES)


def test_a_program_that_drops_a_weight_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="take a.bias as it is".replace(".", r"\.")):
        Placement(SHAPES, lambda weights: [made(weights)[1][:-1]])
