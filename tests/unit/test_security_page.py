"""Each claim of SECURITY.md names a test, and the test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def missing(page: str) -> list[str]:
    return [
        f"{file}::{test}"
        for file, test in NAMED.findall(page)
        if not (ROOT / file).exists() or f"def {test}(" not in (ROOT / file).read_text()
    ]


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text()
    assert len(NAMED.findall(page)) > 10
    assert missing(page) == []


def test_every_row_but_the_owners_names_one() -> None:
    rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if not NAMED.search(row)] == [rows[-1]]


def test_a_test_that_is_gone_is_noticed() -> None:
    assert missing("`tests/unit/test_security_page.py::test_of_nothing`")
    assert missing("`tests/unit/test_nowhere.py::test_of_nothing`")
