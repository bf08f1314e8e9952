"""What a job's data are, what becomes of each column, and what the network sees: `likewise data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, RenderableType
from rich.text import Text

from likewise.producer.console import bullet
from likewise.producer.data.file_lists import listed, place_of
from likewise.producer.data.prepare import PreparedData
from likewise.producer.data.table import Column, DataTable
from likewise.producer.data.table_samples import Roles
from likewise.producer.display import MISSING, both, count, number, printable
from likewise.producer.report.document import Document, Table, Value, bullets, text_table
from likewise.shared.job import Job

_ROWS = 5
_RANGE = ("smallest", "largest", "mean")
_MOST_LINES = 40
"""The most columns, features or classes that a reader is shown; a program gets all of them."""
_ENOUGH = _MOST_LINES + 1
_NARROW = 70
"""A terminal of fewer columns is shown a line a column, and fewer rows of the table."""


@dataclass(frozen=True, kw_only=True)
class ColumnLine:
    """It is one column of the file: what it holds, and what becomes of it."""

    column: str
    kind: str
    holds: str
    missing: int
    becomes: str


@dataclass(frozen=True, kw_only=True)
class DataDocument(Document):
    """The document shows the data of one side; the others' are told where they differ."""

    job: Job
    data: PreparedData
    table: DataTable | None = None
    """Every column of the file, where the data are a table."""
    roles: Roles | None = None
    others: tuple[str, ...] = ()
    """The sides whose data are others."""

    @property
    def title(self) -> str:
        """Return whose data they are."""
        return f"{self.job.name}: the data"

    @property
    def sentences(self) -> Sequence[str]:
        """Return what the data are, in a sentence each."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        if self.table is not None:
            gaps = sum(line.missing for line in self.columns)
            yield (
                f"{self._files()}: {count(self.table.rows, 'row')} of "
                f"{count(len(self.columns), 'column')}, {count(gaps, 'gap')}."
            )
        shape = " × ".join(f"{size:,}" for size in self.data.input_shape)
        scaled = ", standardised over the training samples" if self.job.data.standardize else ""
        yield f"The network sees samples of {shape} numbers ({self.data.train.x.dtype}){scaled}."
        parts = both([f"{amount:,} {name}" for name, amount in self._sizes().items()])
        rounding = f"; a split rounds: {self.job.data.split.rounding}" if len(self._sizes()) > 1 else ""
        yield f"Samples: {parts}{rounding}."
        if self.data.target_scaling is not None:
            mean, scale = self.data.target_scaling
            named = zip(self.data.target_names, mean, scale, strict=True)
            told = both([f"{name} ({number(m)} ± {number(s)})" for name, m, s in named])
            yield f"Targets are standardised: {told}; predictions and metrics are told in their own units."

    def _files(self) -> str:
        paths = listed(getattr(self.job.data, "path", ""))
        return paths[0] if len(paths) == 1 else place_of(paths)

    @property
    def notes(self) -> Sequence[str]:
        """Return what a user should know of the samples."""
        others = f"{both(self.others)} {'has' if len(self.others) == 1 else 'have'} other data than these."
        return (*self.data.notes, *([others] if self.others else []))

    @property
    def columns(self) -> list[ColumnLine]:
        """Return the columns of the file; none where the data are arrays."""
        if self.table is None or self.roles is None:
            return []
        made = self.data.features_of
        return [
            ColumnLine(
                column=column.name,
                kind=column.kind,
                holds=_holds(column),
                missing=int(column.missing.sum()),
                becomes=self._becomes(column.name, made),
            )
            for column in self.table.columns.values()
        ]

    def _becomes(self, name: str, made: Mapping[str, tuple[str, ...]]) -> str:
        roles, split = self.roles, self.job.data.split.columns
        if roles is None:
            return ""
        uses = []
        if name in made:
            fitted = {one.name: one for one in self.data.columns}.get(name)
            features = made[name]
            uses.append("a feature" if features == (name,) else _listed(features))
            if fitted is not None and fitted.fill is not None:
                fill = fitted.fill if isinstance(fitted.fill, str) else number(fitted.fill)
                column = None if self.table is None else self.table.columns[name]
                if column is not None and column.kind in ("date", "time"):
                    fill = column.word_of(float(fitted.fill))
                uses.append(f"gaps: {fill}")
        if name in roles.targets:
            uses.append("the target")
        if name == roles.weights:
            uses.append("the sample weights")
        uses += [f"split.{field}" for field, column in split.items() if column == name]
        if name in getattr(self.job.data, "drop", ()):
            uses.append("left out: drop names it")
        if name in roles.left_out:
            uses.append("left out: features does not name it")
        return "; ".join(uses)

    def _sizes(self) -> dict[str, int]:
        return {name: len(part.x) for name, part in self._parts().items()}

    def _parts(self) -> dict[str, Any]:
        named = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        return {name: part for name, part in named.items() if part is not None}

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Return how many samples of each class each part has; nothing for a regression.

        Of several outputs the classes are told with the output's name.
        """
        counts: dict[str, dict[str, int]] = {}
        several, column = len(self.data.outputs) > 1, 0
        for output, targets in self.data.outputs.items():
            begin, column = column, column + targets.columns
            if targets.task == "regression" or (targets.task == "binary" and targets.columns > 1):
                continue
            for part, arrays in self._parts().items():
                y = arrays.y[:, begin] if several else arrays.y.reshape(-1)
                values, amounts = np.unique(y, return_counts=True)
                for value, amount in zip(values.astype(np.int64).tolist(), amounts.tolist(), strict=True):
                    names = targets.class_names
                    name = names[value] if 0 <= value < len(names) else str(value)
                    name = f"{output} {name}" if several else name
                    counts.setdefault(name, dict.fromkeys(self._parts(), 0))[part] = amount
        return counts

    def features(self) -> list[dict[str, Any]]:
        """Return each feature's range over the training samples; where a sample has axes, one for all."""
        x = self.data.train.x
        if x.ndim > 2:
            low, high, mean = float(x.min()), float(x.max()), float(x.mean(dtype=np.float64))
            return [{"feature": "x", "smallest": low, "largest": high, "mean": mean}]
        names = self.data.feature_names or tuple(f"x{i + 1}" for i in range(x.shape[1]))
        ranges = zip(x.min(axis=0), x.max(axis=0), x.mean(axis=0, dtype=np.float64), strict=True)
        return [
            {"feature": name, **{key: float(value) for key, value in zip(_RANGE, one, strict=True)}}
            for name, one in zip(names, ranges, strict=True)
        ]

    def tables(self) -> Iterator[Table]:
        """Yield the columns, the classes, the features, and the first rows before and after."""
        columns = self.columns
        yield _table(
            "Columns of the file", ("column", "kind", "holds", "gaps", "becomes"),
            [(one.column, one.kind, one.holds, f"{one.missing or ''}", one.becomes) for one in columns],
        )  # fmt: skip
        classes = self.class_counts()
        parts = tuple(self._parts())
        counts = [(name, *(f"{one[part]:,}" for part in parts)) for name, one in classes.items()]
        yield _table("Classes", ("class", *parts), counts)
        yield _table(
            "Features of the training samples", ("feature", *_RANGE),
            [(one["feature"], *_numbers(one[key] for key in _RANGE)) for one in self.features()],
        )  # fmt: skip
        yield from self._first_rows(_ROWS)

    def _first_rows(self, amount: int) -> Iterator[Table]:
        before = self.data.first_rows[:amount]
        if before:
            rows = [(name, *(_cell(row[name]) for row in before)) for name in before[0]]
            yield _table("First training rows, as the file has them", ("column", *_numbered(before)), rows)
        x, y = self.data.train.x[:amount], self.data.train.y[:amount]
        if x.ndim > 2:
            return
        y = y.reshape(len(y), -1)
        names = self.data.feature_names or tuple(f"x{i + 1}" for i in range(x.shape[1]))
        targets = (
            self.data.target_names if len(self.data.target_names) == y.shape[1] else ("target",) * y.shape[1]
        )
        rows = [(f"{name} (target)", *_numbers(y[:, i])) for i, name in enumerate(targets)]
        rows += [(name, *_numbers(x[:, i])) for i, name in enumerate(names[:_ENOUGH])]
        title = (
            "The same, as the network sees them"
            if before
            else "First training rows, as the network sees them"
        )
        yield _table(title, ("feature", *_numbered(x)), rows)

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows, part by part: on a narrow one fewer rows."""
        for sentence in self.sentences:
            yield Text(printable(sentence))
        yield ""
        narrow = console.width < _NARROW
        for one in self.columns[:_MOST_LINES] if narrow else ():
            gaps = f", {count(one.missing, 'gap')}" if one.missing else ""
            yield bullet(f"{one.column}: {one.kind}, {one.holds}{gaps}; becomes {one.becomes}", console)
        if narrow and self.columns:
            yield ""
        for table in [*list(self.tables())[narrow:3], *self._first_rows(2 if narrow else _ROWS)]:
            if table.rows:
                yield Text(printable(table.title), style="bold")
                yield text_table(table)
                yield ""
        yield from bullets(self.notes, console)

    def values(self) -> Iterator[Value]:
        """Yield every number by itself."""
        for name, amount in self._sizes().items():
            yield Value(table="samples", row=name, value=amount)
        for one in self.columns:
            for field in ("kind", "holds", "missing", "becomes"):
                yield Value(table=f"columns.{field}", row=one.column, value=getattr(one, field))
        for feature in self.features():
            for field in ("smallest", "largest", "mean"):
                yield Value(table=f"features.{field}", row=feature["feature"], value=feature[field])
        for name, amounts in self.class_counts().items():
            for part, amount in amounts.items():
                yield Value(table=f"classes.{part}", row=name, value=amount)

    def to_json(self) -> dict[str, Any]:
        """Return the same for a program."""
        data = self.data
        return {
            "name": self.job.name,
            "type": self.job.data.type,
            "task": data.task,
            "rows": None if self.table is None else self.table.rows,
            "columns": [vars(one) for one in self.columns],
            "samples": self._sizes(),
            "input_shape": list(data.input_shape),
            "dtype": str(data.train.x.dtype),
            "features": self.features(),
            "target_names": list(data.target_names),
            "target_scaling": None
            if data.target_scaling is None
            else [list(one) for one in data.target_scaling],
            "class_names": list(data.class_names),
            "classes": self.class_counts(),
            "fitted": [one.model_dump(mode="json") for one in data.columns],
            "first_rows": {
                "as_the_file_has_them": [dict(row) for row in data.first_rows],
                "x": data.train.x[:_ROWS].tolist(),
                "y": data.train.y[:_ROWS].tolist(),
            },
            "notes": list(self.notes),
        }


def _holds(column: Column) -> str:
    """Say the range of a column's values, or some of them."""
    if column.kind in ("empty", "other"):
        return "".join(column.words) or "nothing"
    if column.kind == "text":
        return f"{count(len(column.words), 'word')}: {_listed(column.words)}"
    known = column.values[~column.missing]
    low, high = float(known.min()), float(known.max())
    if column.kind == "boolean":
        return f"{int(known.sum()):,} true, {int(len(known) - known.sum()):,} false"
    if column.kind in ("date", "time"):
        return f"{column.word_of(low)} to {column.word_of(high)}"
    return f"{_plain(low)} to {_plain(high)}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:4]) + (f", … ({len(words):,})" if len(words) > 4 else "")


def _cell(value: Any) -> str:
    return MISSING if value is None else _plain(value) if isinstance(value, float) else str(value)


def _plain(value: float) -> str:
    """Return a number of the file without signs between its digits, as years have none."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.6g}"


def _numbers(values: Iterable[float]) -> list[str]:
    return [number(_rounded(float(value))) for value in values]


def _rounded(value: float) -> float:
    """Return 0 for what is 0 but for rounding."""
    return 0.0 if abs(value) < 1e-12 else value


def _numbered(rows: Sequence[Any] | NDArray[Any]) -> list[str]:
    return [f"row {i + 1}" for i in range(len(rows))]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    shown = list(rows[:_MOST_LINES])
    if len(rows) > _MOST_LINES:
        shown.append((f"{len(rows) - _MOST_LINES:,} more", "in --json", *[""] * (len(columns) - 2)))
    return Table(title=title, columns=columns, rows=shown)
