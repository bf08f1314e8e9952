"""The process's memory peak."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from worker.training import resources

SIZE = 200 * 1024 * 1024


def touch() -> None:
    np.ones(SIZE, dtype=np.uint8)


def test_the_peak_counts_memory_that_was_given_back() -> None:
    resources.reset_peak()
    before = resources.peak_bytes()
    assert before is not None
    touch()
    after = resources.peak_bytes()
    assert after is not None
    assert after - before > 0.9 * SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_what_a_training_needs_is_told_apart_from_what_the_process_holds() -> None:
    kept = np.ones(SIZE, dtype=np.uint8)
    held = resources.reset_peak()
    touch()
    grown = resources.grown_bytes(held)
    assert held is not None
    assert held > kept.nbytes
    assert grown is not None
    assert 0.9 * SIZE < grown < 1.2 * SIZE


def test_where_a_peak_cannot_be_forgotten_nothing_is_said_of_its_growth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "_CLEAR_REFS", tmp_path)
    assert resources.reset_peak() is None
    assert resources.grown_bytes(None) is None
    assert resources.peak_bytes() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_what_is_free_is_given_back() -> None:
    pieces = [np.ones(10_000, np.uint8) for _ in range(10_000)]  # small ones, which the allocator keeps
    pinned = pieces[-1]
    del pieces
    kept = resources.reset_peak()
    resources.give_back()
    left = resources.reset_peak()
    assert pinned.size
    assert kept is not None
    assert left is not None
    assert left < kept - 50 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_a_reset_forgets_the_peak() -> None:
    touch()
    high = resources.peak_bytes()
    resources.reset_peak()
    low = resources.peak_bytes()
    assert high is not None
    assert low is not None
    assert low < high - 0.9 * SIZE
