"""Which samples are held out: drawn at random, by class or by group, the latest, or as a column says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.arrays import DataPurpose, permutation
from likewise.producer.data.loaded import Parts
from likewise.producer.data.table import Column
from likewise.producer.display import both, count, printable, short
from likewise.shared.errors import DataError
from likewise.shared.job.data import Split

Rows = NDArray[np.int64]

_PART_NAMES = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation",
    "valid": "validation", "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitBy:
    """It is what a split asks of the samples besides their number."""

    classes: Rows | None = None
    """The class of each sample, where there are classes."""
    column: Column | None = None
    """The column that `groups`, `time` or `column` names."""


def split(samples: int, declared: Split, by: SplitBy | None = None) -> Parts:
    """Return the sorted indices of the training, validation and test samples. Raises DataError for none."""
    by = by or SplitBy()
    if declared.column is not None:
        return _as_said(declared.column, by.column)
    if declared.columns and by.column is None:
        (field,) = declared.columns
        raise DataError(f"data.split.{field}: names a column, and these data are no table")
    if declared.groups is not None and by.column is not None:
        groups, names = by.column.labels()
        parts = _drawn(len(names), declared, "groups")
        return tuple(np.flatnonzero(np.isin(groups, part)) for part in parts)  # type: ignore[return-value]
    if declared.time is not None and by.column is not None:
        return _latest_last(declared, by.column)
    if declared.stratify:
        if by.classes is None:
            raise DataError(
                "data.split.stratify: there are no classes; it is for a classification of one target"
            )
        return _stratified(declared, by.classes)
    return _drawn(samples, declared, "samples")


def _drawn(count: int, declared: Split, what: str) -> Parts:
    order = permutation(count, declared.seed, DataPurpose.SPLIT)
    tests, validations = _shares(declared, count, what)
    test, validation, train = np.split(order, [tests, tests + validations])
    return np.sort(train), np.sort(validation), np.sort(test)


def _shares(declared: Split, count: int, what: str = "samples") -> tuple[int, int]:
    """Return how many are for the test and for the validation."""
    tests, validations = (_share(declared, part, count, what) for part in ("test", "validation"))
    if tests + validations >= count:
        raise DataError(
            f"data.split: of {count} {what}, {tests} for the test and {validations} for the validation "
            f"leave none to train on; hold out less, or bring more {what}"
        )
    return tests, validations


def _share(declared: Split, part: str, count: int, what: str) -> int:
    fraction: float = getattr(declared, part)
    exact = fraction * count
    # 0.15 · 100 is 15.000000000000002 in binary: what is whole but for rounding is whole
    whole = round(exact)
    if abs(exact - whole) < 1e-9 * max(1.0, exact):
        exact = float(whole)
    share = {"round": floor(exact + 0.5), "floor": floor(exact), "ceil": ceil(exact)}[declared.rounding]
    if fraction and not share:
        least = (1.0 if declared.rounding == "floor" else 0.5) / count
        raise DataError(
            f"data.split.{part} = {fraction:g}: of {count} {what} that is none; "
            f"at least {least:.2g} is one, and 0 means that there is no {part}"
        )
    return share


def _stratified(declared: Split, classes: Rows) -> Parts:
    """Hold out each class by its share; what rounding leaves over goes to the largest remainders.

    The counts are those of scikit-learn's StratifiedShuffleSplit but for ties, and one of each class stays.
    """
    order = permutation(len(classes), declared.seed, DataPurpose.SPLIT)
    tests, validations = _shares(declared, len(classes))
    values, sizes = np.unique(classes, return_counts=True)
    of_test = _allotted(tests, sizes, sizes - 1)
    of_validation = _allotted(validations, sizes, sizes - 1 - of_test)
    parts: list[list[Rows]] = [[], [], []]
    for value, first, second in zip(values, of_test, of_validation, strict=True):
        own = order[classes[order] == value]
        for part, rows in zip(parts, np.split(own, [first, first + second]), strict=True):
            part.append(rows)
    test, validation, train = (np.sort(np.concatenate(part)) for part in parts)
    return train, validation, test


def _allotted(count: int, sizes: Rows, most: Rows) -> Rows:
    """Return how many of `count` each class gives, in proportion to the sizes and at most so many."""
    exact = count * sizes / sizes.sum()
    given: Rows = np.minimum(np.floor(exact).astype(np.int64), most)
    while given.sum() < count:
        room = np.where(given < most, exact - given, -np.inf)
        if not np.isfinite(room).any():
            break  # only the last of each class are left, and they are trained on
        given[np.argmax(room)] += 1
    return given


def classes_lost(classes: Rows, parts: Parts, names: Sequence[str], ignored: int | None) -> list[str]:
    """Tell the classes of which no sample is trained on, and those of which none is held out.

    `classes` has the class of each sample, and `parts` is a split of them.
    """
    values, sizes = np.unique(classes if ignored is None else classes[classes != ignored], return_counts=True)
    lost: dict[tuple[str, ...], list[str]] = {}
    for part, rows in zip(("train", "validation", "test"), parts, strict=True):
        gone = () if len(rows) == 0 else np.flatnonzero(~np.isin(values, classes[rows]))
        told = [
            f"{printable(names[int(values[i])]) if values[i] < len(names) else values[i]} "
            f"({count(int(sizes[i]), 'sample')})"
            for i in gone[:5]
        ]
        if told:
            lost.setdefault(tuple(told), []).append(part)
    return [
        f"of class {both(told)} no sample is left to train on: all are held out; "
        "data.split.stratify: true keeps some of each class"
        if "train" in where
        else f"of class {both(told)} none is held out for {both(where)}, whose scores say nothing of it"
        for told, where in lost.items()
    ]


def _latest_last(declared: Split, column: Column) -> Parts:
    if column.numbers is None or column.missing.any():
        raise DataError(
            f"data.split.time {short(column.name)}: holds {'gaps' if column.missing.any() else 'text'}; "
            "samples are sorted by numbers, dates or times"
        )
    order = np.argsort(column.numbers, kind="stable").astype(np.int64)
    tests, validations = _shares(declared, len(order))
    train, validation, test = np.split(order, [len(order) - tests - validations, len(order) - tests])
    return np.sort(train), np.sort(validation), np.sort(test)


def _as_said(name: str, column: Column | None) -> Parts:
    if column is None:
        raise DataError("data.split.column: names a column, and these data are no table")
    codes, words = column.labels()
    unknown = [word for word in words if word.lower() not in _PART_NAMES]
    if unknown or (codes < 0).any():
        found = short(unknown[0]) if unknown else "a gap"
        raise DataError(
            f"data.split.column {short(name)}: holds {found}; each sample is train, validation or test"
        )
    part_of = np.array([_PART_NAMES[word.lower()] for word in words])[codes]
    train, validation, test = (np.flatnonzero(part_of == part) for part in ("train", "validation", "test"))
    if not len(train):
        raise DataError(f"data.split.column {printable(name)}: leaves none to train on; no sample says train")
    return train, validation, test
