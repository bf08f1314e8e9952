"""Each change that takes out a protection fits the code as it is, and the test that must see it is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.protections import Protection, protections

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("one", protections(), ids=lambda one: one.protection)
def test_each_change_fits_the_code_and_has_its_test(one: Protection) -> None:
    assert (ROOT / one.file).read_text().count(one.old) == 1
    file, _, name = one.test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_none_is_listed_twice() -> None:
    listed = protections()
    assert len(listed) > 25
    assert max(Counter(one.protection for one in listed).values()) == 1
