"""Columns of a table as features: gaps filled, text and dates as numbers, fitted to the training samples.

The numbers are scikit-learn's: SimpleImputer, MissingIndicator, OneHotEncoder and OrdinalEncoder, whose
categories are in sorted order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.dates import DAY_S, HOUR_S, dates_of, times_of
from likewise.producer.data.loaded import Floats, check_size
from likewise.producer.data.table import Column, DataTable
from likewise.producer.display import did_you_mean, printable, short
from likewise.shared.errors import DataError
from likewise.shared.job.data import EVERY_COLUMN, Missing, TableData
from likewise.shared.run import FittedColumn

Rule = TypeVar("Rule", bound=str)

TIME_PARTS = ("hour", "minute", "second")
"""The parts of times, as far as any time has them."""
OF_TIMES = {"parts": "time_parts", "elapsed": "hours"}
"""What `dates` makes of times, which have no day."""

GAP = "(missing)"
"""The category of text that is missing, where `missing: indicator` makes one of it."""


@dataclass(frozen=True, kw_only=True)
class FeatureColumn:
    """It is one column with what was fitted to it, and the features that it makes."""

    kind: str
    fitted: FittedColumn
    names: tuple[str, ...]
    refused: bool
    """Whether a gap is an error."""

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.fitted.name

    @property
    def is_plain(self) -> bool:
        """Return whether the column is a feature as it is."""
        return self.fitted == FittedColumn(name=self.name, use="number")

    @property
    def scaled(self) -> list[bool]:
        """Return which of the features `standardize` scales: numbers, and not those that are 0 or 1."""
        numbers = self.fitted.use in ("number", "parts", "elapsed", "time_parts", "hours", "ordinal")
        return [
            numbers and not (self.fitted.indicator and i == len(self.names) - 1)
            for i in range(len(self.names))
        ]

    def encode(self, column: Column, out: Floats) -> NDArray[np.bool_]:
        """Write the features of n values into `out` (n, features); return where a category is unknown."""
        fitted, gap = self.fitted, column.missing
        unknown = np.zeros(len(gap), dtype=np.bool_)
        if fitted.use in ("one_hot", "ordinal"):
            codes = _places(column, fitted)
            unknown = (codes < 0) & ~gap
            if fitted.use == "ordinal":
                out[:, 0] = codes
            else:
                known = np.flatnonzero(codes >= 0)
                out[:, : len(fitted.words)] = 0.0
                out[known, codes[known]] = 1.0
        else:
            values = column.values if fitted.fill is None else np.where(gap, fitted.fill, column.values)
            if fitted.use == "elapsed":
                out[:, 0] = (values - float(fitted.start or 0.0)) / DAY_S
            elif fitted.use == "hours":
                out[:, 0] = values / HOUR_S
            elif fitted.use == "time_parts":
                for i, part in enumerate(_time_parts(values)[: len(self.names) - fitted.indicator]):
                    out[:, i] = part
            elif fitted.use == "parts":
                with_hours = any(name.endswith("_hour") for name in self.names)
                for i, part in enumerate(_date_parts(values, with_hours=with_hours)):
                    out[:, i] = part
            else:
                out[:, 0] = values
        if fitted.indicator:
            out[:, len(self.names) - 1] = gap
        return unknown


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedFeatures:
    """It is every column that is trained on, in order; see `loaded.Features`."""

    columns: tuple[FeatureColumn, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the features."""
        return tuple(name for column in self.columns for name in column.names)

    @cached_property
    def scaled(self) -> NDArray[np.bool_]:
        """Return which features `standardize` scales, (features,)."""
        return np.array([scaled for column in self.columns for scaled in column.scaled], dtype=np.bool_)

    @property
    def by_column(self) -> dict[str, tuple[str, ...]]:
        """Return the features that each column makes."""
        return {column.name: column.names for column in self.columns}

    @property
    def fitted(self) -> tuple[FittedColumn, ...]:
        """Return what was fitted to the columns that are not features as they are."""
        every = {column.name: column.fitted for column in self.columns if not column.is_plain}
        return tuple(every.values())

    @property
    def is_plain(self) -> bool:
        """Return whether each column is a feature as it is."""
        return all(column.is_plain for column in self.columns)

    @property
    def _are_numbers(self) -> bool:
        """Return whether each column is one feature, the number that it holds."""
        return all(one.fitted.use == "number" and not one.fitted.indicator for one in self.columns)

    def of_table(self, table: DataTable) -> tuple[Floats, dict[str, NDArray[np.bool_]]]:
        """Return the features (n, features), and by column where no training sample has the category.

        Numbers of the table that lie side by side as the features do become them, and their gaps are filled.
        """
        joined = table.joined
        if joined is not None and self._are_numbers and self.names == joined.names:
            for place, column in enumerate(self.columns):
                if column.fitted.fill is not None and table.columns[column.name].has_gaps:
                    numbers = joined.array[:, place]
                    numbers[np.isnan(numbers)] = column.fitted.fill
            return joined.array, {}
        x = np.empty((table.rows, len(self.names)))
        unknown, begin = {}, 0
        for column in self.columns:
            end = begin + len(column.names)
            new = column.encode(table.columns[column.name], x[:, begin:end])
            if new.any():
                unknown[column.name] = new
            begin = end
        return x, unknown

    def encode(self, rows: Sequence[Mapping[str, Any]], place: str) -> Floats:
        """Return rows of values by column as features (n, features). Raises DataError."""
        known = {column.name for column in self.columns}
        for number, row in enumerate(rows, start=1):
            for name in row:
                if name not in known:
                    hint = did_you_mean(str(name), [column.name for column in self.columns])
                    raise DataError(
                        f"{place}: row {number} has {short(name)}, which is not trained on ({hint})"
                    )
        columns = {
            column.name: _given_column(column, [row.get(column.name) for row in rows], place)
            for column in self.columns
        }
        x, unknown = self.of_table(
            DataTable(columns=columns, rows=len(rows), row_name=lambda row: f"row {row + 1}")
        )
        for name, new in unknown.items():
            first = int(np.flatnonzero(new)[0])
            given = rows[first][name]
            words = next(column.fitted.words for column in self.columns if column.name == name)
            raise DataError(
                f"{place}: row {first + 1}, column {printable(name)}: {short(given)} is not among the "
                f"training samples ({did_you_mean(str(given), words)})"
            )
        return x


def rule_for(setting: Mapping[str, Rule] | Rule | None, name: str) -> Rule | None:
    """Return what a setting that is given for all columns, or by column, says of one."""
    if isinstance(setting, Mapping):
        return setting.get(name, setting.get(EVERY_COLUMN))
    return setting


def fit(table: DataTable, names: Sequence[str], data: TableData, train: NDArray[np.int64]) -> FittedFeatures:
    """Fit every feature column to the training rows; the columns are such as `problems_of` lets pass."""
    fitted = FittedFeatures(columns=tuple(_fit(table.columns[name], data, train) for name in names))
    check_size(table.rows, len(fitted.names), "data")
    return fitted


def problems_of(column: Column, data: TableData) -> Iterator[str]:
    """Say why a column cannot be a feature as the job stands, and what would take it in."""
    name = printable(column.name)
    leave = f"drop: [{name}] leaves it out"
    if column.kind == "empty":
        yield f"column {name}: holds no value; {leave}"
    elif column.kind == "other":
        yield f"column {name}: holds {column.words[0]}, which is not trained on; {leave}"
    elif column.kind in ("date", "time") and use_of(column, data) is None:
        holds = "dates" if column.kind == "date" else "times"
        yield f"column {name}: holds {holds}; dates: parts or dates: elapsed takes them in, {leave}"


def _category(data: TableData, column: Column) -> str | None:
    """Return how a column becomes categories; one that is not text does so only where it is named."""
    if column.kind != "text" and not isinstance(data.categories, Mapping):
        return None
    if column.kind != "text" and column.name not in (data.categories or {}):
        return None
    return rule_for(data.categories, column.name)


def use_of(column: Column, data: TableData) -> str | None:
    """Return what becomes of a column; None where the job does not say."""
    category = _category(data, column)
    if category is not None:
        return category
    if column.kind == "date":
        return rule_for(data.dates, column.name)
    if column.kind == "time":
        rule = rule_for(data.dates, column.name)
        return rule_for(data.categories, column.name) if rule is None else OF_TIMES[rule]
    return "number" if column.kind in ("number", "boolean") else None


def _fit(column: Column, data: TableData, train: NDArray[np.int64]) -> FeatureColumn:
    rule: Missing = rule_for(data.missing, column.name) or "error"
    use: Any = use_of(column, data)
    if use == "number" and rule in ("error", "drop"):
        plain = FittedColumn(name=column.name, use=use)
        return FeatureColumn(kind=column.kind, fitted=plain, names=(column.name,), refused=True)
    own = column.take(train)
    fill = None if rule in ("error", "drop") else _fill(own, rule, use)
    name = column.name
    indicator = rule == "indicator" and use != "one_hot" and bool(column.missing.any())
    if use in ("one_hot", "ordinal"):
        codes, words = own.labels()
        kept = [words[code] for code in np.unique(codes[codes >= 0])]
        if rule == "indicator" and bool(column.missing.any()) and use == "one_hot":
            kept, fill = [*kept, GAP], GAP
        made = [f"{name}_{word}" for word in kept] if use == "one_hot" else [name]
        fitted = FittedColumn(name=name, use=use, fill=fill, indicator=indicator, words=tuple(kept))
    elif use == "time_parts":
        made = [f"{name}_{part}" for part in TIME_PARTS[: _parts_needed(column)]]
        fitted = FittedColumn(name=name, use=use, fill=fill, indicator=indicator)
    elif use == "parts":
        made = [f"{name}_{part}" for part in ("year", "month", "day", "weekday")]
        known = column.values[~column.missing]
        if (known % DAY_S != 0).any():
            made.append(f"{name}_hour")
        fitted = FittedColumn(name=name, use=use, fill=fill, indicator=indicator)
    else:
        start = float(np.nanmin(own.numbers)) if use == "elapsed" and own.numbers is not None else None
        made = [name]
        fitted = FittedColumn(name=name, use=use, fill=fill, indicator=indicator, start=start)
    names = (*made, *([f"{name}_missing"] if indicator else []))
    return FeatureColumn(kind=column.kind, fitted=fitted, names=names, refused=rule in ("error", "drop"))


def _fill(own: Column, rule: str, use: str) -> float | str | None:
    """Return what stands for a gap; None where the column has none in all. Raises DataError."""
    there = ~own.missing
    if not there.any():
        raise DataError(
            f"data.missing: column {printable(own.name)} has no value among the training samples, so nothing "
            f"to fill its gaps by; drop: [{printable(own.name)}] leaves it out"
        )
    if use in ("one_hot", "ordinal"):
        if rule in ("mean", "median"):
            raise DataError(
                f"data.missing: column {printable(own.name)} holds categories, which have no {rule}; "
                f"say {{{printable(own.name)}: most_frequent}}, or indicator"
            )
        codes, words = own.labels()
        return words[int(np.bincount(codes[there]).argmax())]
    values = own.values[there]
    if rule == "median":
        return float(np.median(values))
    if rule == "most_frequent":
        known, counts = np.unique(values, return_counts=True)
        return float(known[counts.argmax()])
    return float(values.mean())


def _places(column: Column, fitted: FittedColumn) -> NDArray[np.int64]:
    """Return the places of a column's values among the fitted categories, −1 for others; gaps are filled."""
    codes, words = column.labels()
    place = {word: i for i, word in enumerate(fitted.words)}
    gap = -1 if fitted.fill is None else place[str(fitted.fill)]
    of_word = np.array([*(place.get(word, -1) for word in words), gap], dtype=np.int64)
    return of_word[codes]


def _date_parts(seconds: Floats, *, with_hours: bool) -> list[Floats]:
    """Return year, month, day of the month, weekday (Monday is 0), and the hour where it is asked for."""
    days = np.floor(seconds / DAY_S)
    stamps = days.astype("int64").astype("datetime64[D]")
    months = stamps.astype("datetime64[M]")
    years = stamps.astype("datetime64[Y]")
    parts = [
        years.astype(np.int64) + 1970,
        (months - years).astype(np.int64) + 1,
        (stamps - months).astype(np.int64) + 1,
        (days.astype(np.int64) + 3) % 7,  # 1970 began on a Thursday
    ]
    if with_hours:
        parts.append(np.floor((seconds - days * DAY_S) / 3600.0))
    return [np.asarray(part, dtype=np.float64) for part in parts]


def _parts_needed(column: Column) -> int:
    """Return how many parts a column's times have: one where all are on the hour."""
    known = column.values[~column.missing]
    if (known % 60 != 0).any():
        return 3
    return 2 if (known % HOUR_S != 0).any() else 1


def _time_parts(seconds: Floats) -> list[Floats]:
    """Return the hours, the minutes and the seconds of times."""
    minutes = np.floor(seconds / 60.0)
    return [np.floor(minutes / 60.0), minutes % 60.0, seconds - minutes * 60.0]


def _given_column(column: FeatureColumn, values: Sequence[Any], place: str) -> Column:
    """Return the values of one column that rows give. Raises DataError for the first that does not fit."""
    if column.kind == "text":
        words = sorted({str(value) for value in values if value is not None})
        codes = [-1 if value is None else words.index(str(value)) for value in values]
        made = Column(
            name=column.name, kind="text", codes=np.array(codes, dtype=np.int64), words=tuple(words)
        )
    else:
        numbers = [_given(value, column, place, row) for row, value in enumerate(values, start=1)]
        made = Column(name=column.name, kind=column.kind, numbers=np.array(numbers))  # type: ignore[arg-type]
    if made.missing.any() and column.fitted.fill is None:
        row = int(np.flatnonzero(made.missing)[0]) + 1
        raise DataError(
            f"{place}: row {row} has no {short(column.name)}, and data.missing fills no gap of it"
        )
    return made


def _given(value: Any, column: FeatureColumn, place: str, row: int) -> float:
    if value is None:
        return float("nan")
    if column.kind == "date":
        seconds = dates_of([str(value)], None)
        if seconds is not None:
            return seconds[0]
        expected = f"a date such as {datetime.now(UTC).date().isoformat()[:4]}-01-31"
    elif column.kind == "time":
        times = times_of([str(value)])
        if times is not None:
            return times[0]
        expected = 'a time such as "13:45", in quotes'
    elif isinstance(value, bool | int | float) and np.isfinite(value):
        return float(value)
    else:
        expected = "true or false" if column.kind == "boolean" else "a number"
    raise DataError(f"{place}: row {row}, column {printable(column.name)}: {short(value)} is not {expected}")
