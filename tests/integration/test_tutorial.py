"""docs/tutorial.md, run as it stands: the files, the commands, and what they print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_tutorial_prints_what_it_shows(likewise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = 0
    for kind, text in BLOCKS.findall(PAGE):
        if kind == "python":
            head, body = text.split("\n", 1)
            Path(head.removeprefix("# ")).write_text(body, encoding="utf-8")
            continue
        for one in f"\n{text}".split("\n$ ")[1:]:
            command, _, shown = one.partition("\n")
            program, *words = command.split()
            if program == "python":
                subprocess.run([sys.executable, *words], check=True)
                continue
            answer = likewise(*words)
            assert answer.returncode == 0, answer.stderr
            assert_shown(shown, answer.stdout)
            ran += 1
    assert ran == 7


def assert_shown(shown: str, printed: str) -> None:
    """Every line that is shown was printed, in this order; between two `…` others may be left out."""
    lines = iter(without_numbers(printed))
    for line in without_numbers(shown):
        assert line in {"", "…"} or line in lines, f"{line!r} was not printed:\n{printed}"


def without_numbers(text: str) -> list[str]:
    """The lines with a # for each number: the last digits are the machine's."""
    return [re.sub(r"\d[\d.,]*(e[-+]\d+)?", "#", line.rstrip()) for line in text.splitlines()]


def test_what_is_not_printed_is_found():
    with pytest.raises(AssertionError):
        assert_shown("a 1\nc 2\nb 3", "a 9\nb 9\nc 9")
