"""Values in short, as settings are told."""

from __future__ import annotations

import pytest

from likewise.producer.display import setting


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([*range(1000)], "0 to 999 (1000 items)"),
        ([1, 2, 3], "[1, 2, 3]"),
        ([5, 7] * 40, "[5, 7, 5, 7, 5, 7, 5, 7, 5, 7,… (80 items)"),
    ],
)
def test_a_long_list_is_told_by_its_ends_where_they_say_all(value: list[int], told: str) -> None:
    assert setting(value) == told
