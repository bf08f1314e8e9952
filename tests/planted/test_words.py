"""A fault in each word of the job file is seen, found at its place and blamed on its setting."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
words = __import__("words")

ANY = "any"
BLAME = re.compile(r"This is not like for like: (\S+) is ")
EVERY = int(os.environ.get("LIKEWISE_EVERY_WORD", "24"))
"""One of so many is planted; `make parity` asks for each."""


@pytest.mark.parametrize("planted", words.word_faults()[::EVERY], ids=lambda one: one.word)
def test_a_fault_in_a_word_is_found(planted: Any, likewise: Any, record: Any, tmp_path: Path) -> None:
    file = tmp_path / "arrays.npz"
    np.savez(file, **planted.arrays)
    document = planted.document | {"data": planted.document["data"] | {"path": str(file)}}
    said = likewise("compare", document)
    found = said["first_divergence"] or {}
    blamed = BLAME.match(said["reasons"][0])
    seen = {
        "verdict": said["verdict"],
        "blamed": blamed[1] if blamed else None,
        **{name: found.get(name) for name in ("stage", "tensor")},
    }
    wanted = {
        "verdict": planted.verdict,
        "blamed": planted.setting,
        "stage": planted.stage,
        "tensor": planted.tensor,
    }
    right = all(value in (ANY, seen[name]) for name, value in wanted.items())
    record(
        "faults",
        fault=planted.word,
        right=right,
        step=found.get("step"),
        relative_difference=found.get("relative_difference"),
        **seen,
    )
    assert right, (seen, wanted, said["reasons"])
