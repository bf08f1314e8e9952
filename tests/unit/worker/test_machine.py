"""What a process may use of its machine, and what disturbed a timed run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from likewise.shared.results.run_result import Conditions
from likewise.worker import counters
from likewise.worker.counters import moment, since

BURN = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts all processes' time")
def test_the_time_that_another_program_takes_is_not_counted_as_the_run_s_own() -> None:
    before = moment()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    found = Conditions(**since(before))
    assert found.others_cpu_s is not None
    assert found.others_cpu_s > 0.25
    assert found.cpu_s < 0.25
    assert found.stolen_s is not None
    assert found.stolen_s >= 0


def test_a_container_s_quota_bounds_the_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = len(os.sched_getaffinity(0))
    monkeypatch.setattr(counters, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(counters, "_QUOTA_OF_VERSION_1", tmp_path)
    assert counters.cores() == own
    for written, expected in {
        "max 100000": own,
        "50000 100000": 1,
        "100000 100000": 1,
        "9900000 100000": own,
    }.items():
        (tmp_path / "cpu.max").write_text(f"{written}\n")
        assert counters.cores() == expected
        assert counters.half_of_the_cores() == max(1, expected // 2)


@pytest.mark.parametrize(("micros", "most"), [("-1", None), ("50000", 1), ("100000", 1), ("200000", 2)])
def test_so_does_a_quota_of_the_older_control_groups(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, micros: str, most: int | None
) -> None:
    own = len(os.sched_getaffinity(0))
    monkeypatch.setattr(counters, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(counters, "_QUOTA_OF_VERSION_1", tmp_path)
    (tmp_path / "cpu.cfs_quota_us").write_text(f"{micros}\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert counters.cores() == min(own, most or own)


def test_a_host_has_one_name_in_all_its_containers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They share the kernel's id, and have host names of their own; where it is not told, that has to do."""
    monkeypatch.setattr(counters, "_BOOT_ID", tmp_path / "boot_id")
    assert counters.this_host() == socket.gethostname()
    (tmp_path / "boot_id").write_text("410d083a-fad3-4751-a2bf-e12972b159a9\n")
    assert counters.this_host() == "410d083a-fad3"
