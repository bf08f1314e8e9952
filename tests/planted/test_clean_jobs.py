"""Jobs drawn at random in which nothing differs but the words are never said to differ."""

from __future__ import annotations

import os

import pytest

from tests.planted.clean_jobs import clean_job
from tests.planted.rewordings import reworded

JOBS = int(os.environ.get("LIKEWISE_CLEAN_JOBS", "12"))
"""`make parity` asks for 300. Every third is written in two ways."""
TWO_WAYS = 3
ALWAYS = (36, 98, 136)
"""A kernel that only fits on padding; a bias before batch norm, and one behind which a leaky ReLU is never
negative, whose gradients are rounding that Adam takes for steps."""


@pytest.mark.parametrize("number", sorted({*range(JOBS), *ALWAYS}))
def test_a_clean_job_agrees(number, likewise, record):
    in_two_ways = number % TWO_WAYS == TWO_WAYS - 1
    job = reworded(clean_job(number), number) if in_two_ways else clean_job(number)
    said = likewise("compare", job)
    gaps = [gap["relative"] for pair in said["gaps"] for gap in pair["largest"]]
    record(
        "clean", number=number, verdict=said["verdict"], gap=max(gaps), twin=bool(said["twin"]),
        two_ways=in_two_ways,
    )  # fmt: skip
    assert said["verdict"] == "agree", (job.get("overrides"), said["reasons"])
    codes = {note["code"] for note in said["notes"]} & {"written_differently"}
    assert bool(codes) == in_two_ways, said["notes"]
