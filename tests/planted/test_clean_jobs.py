"""Jobs drawn at random in which nothing differs are never said to differ."""

from __future__ import annotations

import os

import pytest

JOBS = int(os.environ.get("LIKEWISE_CLEAN_JOBS", "12"))
"""`make parity` asks for 200."""


@pytest.mark.parametrize("number", range(JOBS))
def test_a_clean_job_agrees(number, likewise, clean_job, record):
    said = likewise("compare", clean_job(number))
    gaps = [gap["relative"] for pair in said["gaps"] for gap in pair["largest"]]
    record("clean", number=number, verdict=said["verdict"], gap=max(gaps), twin=bool(said["twin"]))
    assert said["verdict"] == "agree", said["reasons"]
