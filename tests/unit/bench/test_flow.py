"""What a bench says while it runs."""

from __future__ import annotations

import io
from typing import Literal

import pytest

from likewise.producer.bench import flow
from likewise.producer.bench.flow import telling
from likewise.producer.console import make_console
from likewise.producer.output import loudness

TORCH = "torch eager"


@pytest.mark.parametrize(
    ("patience_s", "loud", "lines"), [(0.0, "normal", 5), (60.0, "normal", 1), (60.0, "verbose", 2)]
)
def test_a_long_round_is_not_silent_and_a_short_one_not_chatty(
    monkeypatch: pytest.MonkeyPatch, patience_s: float, loud: Literal["normal", "verbose"], lines: int
) -> None:
    monkeypatch.setattr(flow, "LINE_EVERY_S", patience_s)
    stream = io.StringIO()
    before = loudness.set(loud)
    with telling(make_console(stream, width=80), quiet=False) as told:
        told.warming(TORCH)
        told.timing(TORCH)
        told.training(TORCH)
        told.training(TORCH)
        told.round(1, 0.2)
    loudness.reset(before)
    said = stream.getvalue().splitlines()
    assert len(said) == lines
    assert said[-1] == ("warming up torch eager" if lines == 1 else "1 round done, medians known to ±20 %")


def test_what_is_piped_as_json_is_not_told_of_steps() -> None:
    stream = io.StringIO()
    with telling(make_console(stream, width=80), quiet=True) as told:
        told.warming(TORCH)
        told.round(1, 0.2)
        told.notice("no live worker")
    assert stream.getvalue() == "no live worker\n"
