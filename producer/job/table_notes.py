"""What is worth a second look in a table before it is trained on, though no column is left out for it.

A feature that tells the target by itself may be made from it, and be missing where a prediction is wanted.
The first or the last row may hold units or totals; classes may be one class in several spellings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from likewise.producer.data.table import Column, DataTable
from likewise.producer.display import both, short
from likewise.producer.job.left_out import is_id_name

_LEAST_ROWS = 10
_LEAST_NUMBERED = 20
_STRAIGHT = 1e-6
"""The most that a target may lie beside a straight line over a feature, in its own deviations."""


def is_copy(column: Column, target: Column) -> bool:
    """Return whether a column holds the target's own values, row by row."""
    if column.kind != target.kind or not bool((column.missing == target.missing).all()):
        return False
    if column.numbers is not None:
        return np.array_equal(column.numbers, target.values, equal_nan=True)
    return column.words == target.words and np.array_equal(column.places, target.places)


def notes_of(
    table: DataTable, *, targets: Sequence[str], features: Sequence[str], words_are_gaps: bool
) -> Iterator[tuple[str, str]]:
    """Yield columns and what to look at in them; `features` are those that are trained on.

    `words_are_gaps` says whether words among numbers were taken for missing values.
    """
    for target in (table.columns[name] for name in targets):
        for name in features:
            told = _told_by(table.columns[name], target)
            if told is not None:
                yield name, f"{told}; where it is not known before {target.name} is, drop it"
            elif (numbered := _names_rows(table.columns[name])) is not None:
                yield name, numbered
        if (spelt := _spellings(target)) is not None:
            yield target.name, spelt
    if table.rows > _LEAST_ROWS:
        yield from _rows_of_no_data(table, words_are_gaps=words_are_gaps)


def _rows_of_no_data(table: DataTable, *, words_are_gaps: bool) -> Iterator[tuple[str, str]]:
    """Yield what makes the first or the last row look like units or totals, with the column that shows it."""
    for row, which in ((0, "first"), (table.rows - 1, "last")):
        place = f"{table.row_name(row)}, the {which} row"
        for column in table.columns.values():
            if words_are_gaps and _has_its_only_gap(column, row):
                what = "has no number here; if it is no row of data but units or a total"
            elif _is_sum_of_others(column, row):
                what = "is the sum of all others here; if it is no row of data but a total"
            else:
                continue
            yield column.name, f"{place}, {what}, take it out of the file"
            break


def _names_rows(column: Column) -> str | None:
    """Say how a feature numbers the rows, or names what several rows are of; None where it does not."""
    if column.kind != "number" or column.missing.any() or (column.values % 1).any():
        return None
    values, rows = column.values, len(column.values)
    if rows > _LEAST_NUMBERED and values[0] in (0, 1) and bool((np.diff(values) == 1).all()):
        return (
            f"it numbers the rows from {values[0]:.0f} to {values[-1]:.0f} in their order; where that says "
            "nothing of them, drop it"
        )
    different = len(np.unique(values))
    if is_id_name(column.name) and _LEAST_ROWS < different < rows:
        return (
            f"by its name its {different} numbers are names, not amounts: drop it; where rows of one belong "
            f"together, split: {{..., groups: {column.name}}} keeps them so"
        )
    return None


def _told_by(column: Column, target: Column) -> str | None:
    """Say how a feature tells the target by itself; None where it does not."""
    both_there = ~(column.missing | target.missing)
    if both_there.sum() < _LEAST_ROWS:
        return None
    if column.kind == target.kind == "number":
        return _line(column.values[both_there], target.values[both_there], target.name)
    if target.kind not in ("text", "boolean") or column.kind in ("empty", "other"):
        return None
    own, classes = column.labels()[0][both_there], target.labels()[0][both_there]
    pairs = np.unique(np.stack([own, classes]), axis=1).shape[1]
    if pairs == len(np.unique(own)) == len(np.unique(classes)) and 3 * pairs <= len(own):
        return f"each of its {pairs} values stands beside one class of {target.name} alone"
    return None


def _line(x: np.ndarray, y: np.ndarray, target: str) -> str | None:
    """Say that all targets lie on a straight line over a feature; None where they do not."""
    spread = float(x.std())
    if not (np.isfinite(spread) and spread > 0 and y.std() > 0):
        return None
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / spread**2)
    shift = float(y.mean() - slope * x.mean())
    beside = np.abs(y - slope * x - shift).max() / y.std()
    if not beside < _STRAIGHT:
        return None
    if abs(slope - 1) < _STRAIGHT and abs(shift) < _STRAIGHT * float(y.std()):
        return f"it is {target} itself"
    plus = "" if abs(shift) < _STRAIGHT * float(y.std()) else f" {'+-'[shift < 0]} {abs(shift):.4g}"
    return f"{target} is {slope:.4g} times it{plus} in every row"


def _spellings(target: Column) -> str | None:
    """Say which classes differ in the case of their letters alone; None where none do."""
    if target.kind != "text":
        return None
    alike: dict[str, list[str]] = {}
    for word in target.words:
        alike.setdefault(" ".join(word.casefold().split()), []).append(word)
    spelt = next((words for words in alike.values() if len(words) > 1), None)
    return None if spelt is None else f"{both([short(word) for word in spelt])} are told apart as classes"


def _has_its_only_gap(column: Column, row: int) -> bool:
    return column.kind == "number" and bool(column.missing[row]) and int(column.missing.sum()) == 1


def _is_sum_of_others(column: Column, row: int) -> bool:
    """Return whether a number is the sum of all others: of amounts, of which none is below 0.

    Where signs differ, a value among many columns may be the sum of the others by chance.
    """
    if column.kind != "number" or column.missing[row]:
        return False
    total = float(column.values[row])
    others = np.delete(column.values, row)
    others = others[~np.isnan(others)]
    if (others > 0).sum() < _LEAST_ROWS or others.min() < 0:
        return False
    return abs(float(others.sum()) - total) <= 1e-9 * total
