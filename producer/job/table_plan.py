"""What becomes of the columns of a table, told from their values: losses of targets, settings of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.dates import date_text, time_text
from likewise.producer.data.table import Column, DataTable, mixed_numbers
from likewise.producer.display import count, printable, short
from likewise.producer.job.left_out import reason_to_leave
from likewise.shared.errors import UsageError

MAX_CLASSES = 20
"""Whole numbers from 0 are taken for classes up to this many; above, for measurements."""
_MOST_LABELS = 100
_FEW_NUMBERS = 10
_TOY_ROWS = 8
"""Classes are taken as they are where a table has so few rows."""


@dataclass(frozen=True, kw_only=True)
class ColumnPlan:
    """It is what becomes of one column, and why."""

    name: str
    left_out: bool
    why: str
    """The reason it is left out, with what would take it in; else what is made of it, if anything is."""
    settings: tuple[tuple[str, str], ...] = ()
    """Settings of the job file by column, such as `("missing", "median")`."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """It is what a target column asks for."""

    loss: str
    units: int
    why: str
    class_names: tuple[str, ...] = ()


def goal_of(column: Column, path: str) -> Goal:
    """Choose a regression for numbers, a classification for labels and few whole numbers from 0."""
    there = int((~column.missing).sum())
    where = f"{printable(path)}, column {printable(column.name)}"
    if column.kind in ("empty", "other", "date", "time"):
        holds = {"empty": "no value", "date": "dates", "time": "times"}.get(
            column.kind, "".join(column.words)
        )
        raise UsageError(f"{where}: holds {holds}; a target is numbers, or text for classes")
    codes, words = column.labels()
    classes = len(np.unique(codes[codes >= 0]))
    if classes == 1:
        raise UsageError(f"{where}: every value is {short(words[0])}; there is nothing to learn")
    if column.kind == "number":
        numbers = np.unique(column.values[~column.missing])
        from_zero = bool((numbers == np.arange(classes)).all())
        if not (from_zero and classes <= MAX_CLASSES) and not (
            classes == 2 and there >= 10 and bool((numbers % 1 == 0).all())
        ):
            return Goal(loss="mse", units=1, why=f"one output, for one target{_or_classes(numbers, there)}")
        names = () if from_zero else words
    else:
        if classes > _MOST_LABELS or (there > _TOY_ROWS and classes > 2 and 1.5 * classes > there):
            if (mixed := mixed_numbers(words)) is not None:
                raise UsageError(f"{where}: {mixed}; a target is numbers, or text for classes")
            each = "each in one row alone" if classes == there else "too many to learn by example"
            raise UsageError(
                f"{where}: holds {classes} different words in {there} rows, such as {short(words[0])}, "
                f"{each}; a target is numbers, or a few classes with several rows each"
            )
        names = words
    if classes == 2:
        why = "one logit for two classes, no sigmoid"
        return Goal(loss="binary_crossentropy", units=1, why=why, class_names=names)
    why = "one logit a class, no softmax before this loss"
    return Goal(loss="categorical_crossentropy", units=classes, why=why, class_names=names)


def _or_classes(numbers: NDArray[np.float64], rows: int) -> str:
    """Say what would make classes of a target whose few whole numbers may be amounts, such as stars."""
    few = 2 < len(numbers) <= _FEW_NUMBERS and 3 * len(numbers) <= rows and bool((numbers % 1 == 0).all())
    if not few:
        return ""
    names = ", ".join(f'"{number:g}"' for number in numbers)
    return (
        f"; its {len(numbers)} numbers are taken for amounts: as classes they want units: {len(numbers)}, "
        f"loss: categorical_crossentropy and data.class_names: [{names}]"
    )


def plan_of(column: Column, table: DataTable, place: int, *, every: Column) -> ColumnPlan:
    """Decide what becomes of a column that is not the target; `every` has all rows of the file."""
    gaps = column.missing
    missing = f"{int(gaps.sum())} of {table.rows} values are missing"
    reason = reason_to_leave(column, table, place, missing, every=every)
    if reason is not None:
        return ColumnPlan(name=column.name, left_out=True, why=reason)
    settings, why = [], []
    if column.padded:
        settings.append(("categories", "one_hot"))
        why.append("codes: its numbers have zeros before them")
    elif column.kind == "text":
        settings.append(("categories", "one_hot"))
        why.append(f"{count(len(column.words), 'category', 'categories')}: {_few(column.words)}")
        alike = [word for word in column.words if word.lower() != word and word.lower() in column.words]
        if alike:
            why.append(f"{short(alike[0])} and {short(alike[0].lower())} are told apart")
    elif column.kind == "date":
        known = column.values[~gaps]
        in_order = bool((np.diff(known) > 0).all())
        settings.append(("dates", "elapsed" if in_order else "parts"))
        why.append(
            f"dates from {date_text(known.min())} to {date_text(known.max())}{', in order' * in_order}"
        )
    elif column.kind == "time":
        known = column.values[~gaps]
        settings.append(("dates", "elapsed"))
        why.append(f"times from {time_text(known.min())} to {time_text(known.max())}")
    if gaps.any():
        measured = column.kind in ("number", "date", "time") and not column.padded
        settings.append(("missing", "median" if measured else "most_frequent"))
        why.append(missing)
    return ColumnPlan(name=column.name, left_out=False, why="; ".join(why), settings=tuple(settings))


def _few(words: Sequence[str]) -> str:
    return ", ".join(printable(word) for word in words[:4]) + (", …" if len(words) > 4 else "")
