"""What `--seeds` takes: a count, a list, and a list of one."""

from __future__ import annotations

import pytest

from likewise.producer.experiments import seed_list, with_seeds
from likewise.shared.errors import UsageError


@pytest.mark.parametrize(
    ("given", "seeds"),
    [("3", (0, 1, 2)), ("0,1,7", (0, 1, 7)), (" 4 , 2 ", (4, 2)), ("7,", (7,)), ("7,8,", (7, 8))],
)
def test_seeds_are_a_count_or_a_list_and_a_comma_makes_one_number_a_list(
    given: str, seeds: tuple[int, ...]
) -> None:
    assert seed_list(given) == seeds
    assert with_seeds(["seeds=9"], given)[-1] == f"seeds={seeds[-1] + 1 if given == '3' else list(seeds)}"


@pytest.mark.parametrize("given", ["", ",", "7,,", "1-5", "-3", "a", "1,,2"])
def test_what_is_neither_is_refused_with_what_would_be_right(given: str) -> None:
    with pytest.raises(UsageError, match=r"give a count, such as 5, or a list, such as 0,1,7; 7, is seed 7"):
        with_seeds([], given)
