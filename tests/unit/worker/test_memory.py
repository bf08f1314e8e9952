"""The process's memory peak."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from worker.training import memory

SIZE = 200 * 1024 * 1024


def touch() -> None:
    np.ones(SIZE, dtype=np.uint8)


def test_the_peak_counts_memory_that_was_given_back() -> None:
    memory.reset_peak()
    before = memory.peak_bytes()
    assert before is not None
    touch()
    after = memory.peak_bytes()
    assert after is not None
    assert after - before > 0.9 * SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_a_reset_forgets_the_peak() -> None:
    touch()
    high = memory.peak_bytes()
    memory.reset_peak()
    low = memory.peak_bytes()
    assert high is not None
    assert low is not None
    assert low < high - 0.9 * SIZE
