"""Results on a worker's disk: what is whole is found, and what is not leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from likewise.worker.service.spool import Spool, SpooledResult

RESULT = SpooledResult(run_id="0123456789abcdef0123", fence=2, state="succeeded", failure=None, payload="{}")


def test_a_result_is_found_by_the_next_worker_and_an_unfinished_one_is_removed(tmp_path: Path) -> None:
    kept = Spool(tmp_path, retention_s=60).keep(RESULT)
    assert kept is not None
    assert list(Spool(tmp_path, retention_s=60).left()) == [], "its worker still holds it"
    copy = kept.path.read_bytes()
    kept.remove()
    kept.path.write_bytes(copy)
    (tmp_path / "fedcba9876543210fedc.new").write_bytes(copy[:50])
    assert [result for _, result in Spool(tmp_path, retention_s=60).left()] == [RESULT]
    assert [file.name for file in tmp_path.iterdir()] == [kept.path.name]


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert Spool(tmp_path, retention_s=60).keep(RESULT) is None
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_has_asked_for_while_results_are_kept_is_removed(tmp_path: Path) -> None:
    kept = Spool(tmp_path, retention_s=60).keep(RESULT)
    assert kept is not None
    kept.leave()
    os.utime(kept.path, (0, 0))
    assert list(Spool(tmp_path, retention_s=60).left()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_wrong_in_thousands_of_places_is_told_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    document = json.dumps({f"field {i}": i for i in range(3_000)}).encode()
    file = tmp_path / "0123456789abcdef0123.1"
    file.write_bytes(hashlib.sha256(document).hexdigest().encode() + b"\n" + document)
    assert list(Spool(tmp_path, retention_s=60).left()) == []
    assert file.with_name(f"{file.name}.damaged").exists()
    (record,) = caplog.records
    assert "run_id: Field required" in record.getMessage()
    assert len(record.getMessage()) < 1_000
