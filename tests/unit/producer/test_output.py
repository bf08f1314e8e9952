"""Standard output that takes no more: a word where a disk is full, silence where nobody reads on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
COMMANDS = [
    ("--help",),
    ("schema",),
    ("validate", "matched"),
    ("validate", "matched", "--resolved"),
    ("validate", "matched", "--resolved", "--json"),
]


def likewise(*words: str, to: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "likewise.producer", *words],
        stdout=to, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not FULL.exists(), reason="this system has no file that is always full")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_under_standard_output_is_one_line_and_4(words: tuple[str, ...]) -> None:
    with FULL.open("wb") as full:
        done = likewise(*words, to=full.fileno())
    assert (done.returncode, done.stderr) == (
        4,
        "likewise: standard output cannot be written: no space left on device; make room there, or send it "
        "elsewhere\n",
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_pipe_that_nobody_reads_ends_a_command_in_silence(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = likewise(*words, to=writer)
    finally:
        os.close(writer)
    assert done.stderr == ""


def test_all_of_a_long_answer_is_written(tmp_path: Path) -> None:
    with (tmp_path / "schema.json").open("wb") as file:
        assert likewise("schema", to=file.fileno()).returncode == 0
    assert (tmp_path / "schema.json").read_text().endswith("}\n")
