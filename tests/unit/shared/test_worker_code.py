"""The digest of a worker's code: what it runs changes it, and nothing else does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from likewise.shared import worker_code as code

ROOT = Path(__file__).parents[3]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what workers are made of, at which the digest looks."""
    for part in ("shared", "worker"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    monkeypatch.setattr(code, "NOTE", tmp_path / "worker-code.json")
    return tmp_path


@pytest.mark.parametrize(
    "changed",
    [
        "shared/names.py",
        "shared/ledger/scripts/claim.lua",
        "worker/service/app.py",
        "worker/adapters/torch_adapter/layers.py",
    ],
)
def test_what_a_worker_runs_changes_its_digest(package: Path, changed: str) -> None:
    before = code.worker_code("torch")
    file = package / changed
    file.write_text(file.read_text() + "\n")
    assert code.worker_code("torch") != before


def test_another_frameworks_adapter_does_not_change_it(package: Path) -> None:
    before = code.worker_code("torch")
    shutil.rmtree(package / "worker" / "adapters" / "tensorflow_adapter")  # as in torch's image
    assert code.worker_code("torch") == before


def test_a_producer_without_workers_knows_the_digests_that_were_noted(package: Path) -> None:
    expected = [code.worker_code(framework) for framework in ("tensorflow", "torch")]
    code.write_note()
    shutil.rmtree(package / "worker")
    assert [code.worker_code(framework) for framework in ("tensorflow", "torch")] == expected
    assert code.worker_code("numpy") is None
