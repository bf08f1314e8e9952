"""A history's plot in a terminal: marks where values are, within the terminal, and nothing without values."""

from __future__ import annotations

import pytest

from likewise.producer.report.plot import plotted

NAMES = ["aaaaaaaa", "bbbbbbbb", "cccccccc"]


def drawn(sides: dict[str, list[float | None]], columns: int = 80) -> list[str]:
    return [line.plain for line in plotted("loss", NAMES, sides, columns=columns)]


def test_marks_stand_as_high_as_their_values() -> None:
    legend, *rows, _, names = drawn({"keras": [1.0, 2.0, 3.0], "torch": [3.0, None, 1.0]})

    assert legend.split() == ["loss", "o", "keras", "×", "torch"]
    assert rows[0].split() == ["3", "│", "×", "o"]
    assert rows[-1].split() == ["1", "│", "o", "×"]
    assert sum(row.count("o") for row in rows) == 3
    assert [row.index("o") for row in reversed(rows) if "o" in row] == sorted(
        row.index("o") for row in rows if "o" in row
    )
    assert names.split() == NAMES


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_the_newest_stay(columns: int) -> None:
    many = [f"{place:08}" for place in range(300)]
    lines = plotted("loss", many, {"keras": [10.0**-place for place in range(300)]}, columns=columns)

    assert all(len(line.plain) <= columns for line in lines)
    assert "logarithmic" in lines[0].plain
    assert "o" in lines[8].plain, "the newest is the lowest"


def test_nothing_is_drawn_of_one_experiment_or_of_no_finite_values() -> None:
    assert plotted("loss", ["a"], {"keras": [1.0]}, columns=80) == []
    assert drawn({"keras": [None, None, None]}) == []
    assert drawn({"keras": [1.0, float("nan"), 2.0]}) == []
