"""Rows of a new file as a trained model takes them: by the names of columns, with what was fitted then.

All that is asked of the training is in its run: the features' names, the columns that became other features,
and what they were standardised by. The training's own file is not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.dates import dates_of, times_of
from likewise.producer.data.features import TIME_PARTS, FeatureColumn, FittedFeatures
from likewise.producer.data.loaded import STARTS_FROM, Floats, find_file
from likewise.producer.data.memory import put_together
from likewise.producer.data.npz import read_arrays, read_npy
from likewise.producer.data.sniffing import looked_at
from likewise.producer.data.table import (
    Column,
    DataTable,
    NumberFormat,
    bare_number,
    is_number,
    number_format_of,
)
from likewise.producer.data.table_file import column_names, read_table
from likewise.producer.display import both, did_you_mean, printable, short
from likewise.shared.errors import DataError
from likewise.shared.job import Job
from likewise.shared.job.data import CsvData, TableData
from likewise.shared.job.experiment import Precision
from likewise.shared.run import Dataset, FittedColumn, Run
from likewise.shared.store.arrays import ArrayRef

_SHOWN = 5
"""At most this many problems of a file are told at once."""
_ROWS_NAMED = 3
"""At most this many further rows with the same problem are named."""
_PARTS = ("year", "month", "day", "weekday")


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """It holds rows as the model takes them, and what a reader should know of the file."""

    x: Floats
    """The rows (n, *features), standardised as the samples were."""
    notes: tuple[str, ...] = ()
    row: Callable[[int], str] = lambda row: f"row {row + 1}"
    """What a row is called in the file."""
    column: Callable[[int], str] = lambda _: ""
    """It says in which column of the file a feature lies, as `, column a`."""


def read_new_rows(path: Path, run: Run, load: Callable[[ArrayRef], NDArray[Any]]) -> NewRows:
    """Return the rows of a file as the model of a run takes them. Raises DataError by row and column."""
    shape = run.dataset.train.x.shape[1:]
    try:
        file = find_file(path.name, path.absolute().parent)
    except DataError as error:
        said = str(error).replace("data.path", "--data", 1).removesuffix(f" ({STARTS_FROM})")
        raise DataError(said).about(path) from None
    if path.suffix in (".npy", ".npz"):
        rows = NewRows(x=_arrays(file, run.job, shape))
    elif len(run.dataset.feature_names) == prod(shape):
        rows = _by_name(file, run)
    else:
        rows = _in_order(file, shape)
    given = rows.x.reshape(-1, *shape)
    x = given
    if run.dataset.scaling is not None:
        mean, scale = load(run.dataset.scaling)
        with np.errstate(over="ignore", invalid="ignore"):  # told below, by row and column
            x = (given - mean) / scale
    _check_representable(rows, given, x, run.job.precision, printable(path.name))
    return replace(rows, x=np.ascontiguousarray(x, dtype=np.float64))


def _check_representable(rows: NewRows, given: Floats, x: Floats, precision: Precision, place: str) -> None:
    """Raise DataError for the first number that is none in the training's precision, once standardised."""
    kept = "float64" if precision == "float64" else "float32"
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(x.reshape(len(x), -1)) <= np.finfo(kept).max)
    if not bad.any():
        return
    row, feature = (int(place) for place in np.argwhere(bad)[0])
    value = given.reshape(len(given), -1)[row, feature]
    why = f"is too large for {kept}, in which it was trained" if np.isfinite(value) else "is not finite"
    raise DataError(f"{place}: {rows.row(row)}{rows.column(feature)}: {value:g} {why}")


def features_of(dataset: Dataset) -> FittedFeatures:
    """Return the columns that were trained on, in order, as far as the features' names tell them."""
    names, fitted = list(dataset.feature_names), list(dataset.columns)
    columns: list[FeatureColumn] = []
    while names:
        made = _made_by(fitted[0], names) if fitted else ()
        if made and tuple(names[: len(made)]) == made:
            column = fitted.pop(0)
            kind = "text" if column.words else "number"
        else:
            made, column, kind = (names[0],), FittedColumn(name=names[0], use="number"), "number"
        columns.append(FeatureColumn(kind=kind, fitted=column, names=made, refused=column.fill is None))
        del names[: len(made)]
    return FittedFeatures(columns=tuple(columns))


def _made_by(column: FittedColumn, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the features that a column became; `names` are those from its place on."""
    if column.use == "one_hot":
        made = [f"{column.name}_{word}" for word in column.words]
    elif column.use == "time_parts":
        parts = [f"{column.name}_{part}" for part in TIME_PARTS]
        made = [name for name, given in zip(parts, names, strict=False) if name == given]
    elif column.use == "parts":
        made = [f"{column.name}_{part}" for part in _PARTS]
        hour = f"{column.name}_hour"
        made += [hour] if hour in names[len(made) : len(made) + 1] else []
    else:
        made = [column.name]
    return (*made, *([f"{column.name}_missing"] if column.indicator else []))


def _by_name(file: Path, run: Run) -> NewRows:
    """Return the rows of a table whose columns have the names that were trained on."""
    place, features = printable(file.name), features_of(run.dataset)
    base, wanted = file.parent, [column.name for column in features.columns]
    data = _as_written(file, run.job, wanted)
    given = column_names(data, base)
    if lacking := [name for name in wanted if name not in given]:
        several = [f"{printable(name)} ({did_you_mean(name, given)})" for name in lacking[:_SHOWN]]
        raise DataError(
            f"{place}: lacks {_plural(lacking, 'the column', 'the columns')} {both(several)}, which "
            f"{run.side} was trained with"
        )
    words = [column.name for column in features.columns if column.fitted.words]
    table = read_table(data, base, wanted, words=words)
    problems: list[str] = []
    columns = {one.name: _as_trained(table.columns[one.name], one.fitted) for one in features.columns}
    for one in features.columns:
        problems += problems_in(columns[one.name], one.fitted, table)
    _refuse(place, problems)
    x, unknown = features.of_table(replace(table, columns=columns))
    for one in features.columns:
        if one.name in unknown:
            problems += _unknown(table.columns[one.name], one.fitted, unknown[one.name], table)
    _refuse(place, problems)
    ignored = [name for name in given if name not in wanted]
    of_feature = [one.name for one in features.columns for _ in one.names]
    return NewRows(
        x=x,
        notes=_not_used(ignored),
        row=table.row_name,
        column=lambda feature: f", column {printable(of_feature[feature])}",
    )


def _as_written(file: Path, job: Job, wanted: Sequence[str]) -> TableData:
    """Return how a file of columns is read: as the job says, where it is of the kind that was trained on.

    A title that the samples had before their header, new rows may lack.
    """
    found, _ = looked_at([file], None)
    if not isinstance(job.data, CsvData) or not isinstance(found, CsvData):
        return found
    declared = job.data.model_copy(update={"path": file.name})
    if not declared.skip_lines:
        return declared
    bare = declared.model_copy(update={"skip_lines": 0})
    return max(declared, bare, key=lambda data: len(set(wanted) & set(_names(data, file.parent))))


def _names(data: TableData, base: Path) -> list[str]:
    """Return the names of the columns; none where the first line names none."""
    try:
        return column_names(data, base)
    except DataError:
        return []


def _as_trained(column: Column, fitted: FittedColumn) -> Column:
    """Return a column whose categories are spelled as those that were trained on."""
    if fitted.use not in ("one_hot", "ordinal"):
        return column
    codes, words = column.labels()
    spelled = tuple(word if word in fitted.words else _as_number(word) for word in words)
    return Column(name=column.name, kind="text", codes=codes, words=spelled)


def _as_number(word: str) -> str:
    """Return a number as a category of numbers is called: 3 for 3.0; another word as it is."""
    if not is_number(word):
        return word
    return Column(name="", kind="number").word_of(float(word))


_EXPECTED = {"parts": "date", "elapsed": "date", "time_parts": "time", "hours": "time"}
"""What kind of values a column has, by what became of it; else numbers."""
_READ: Mapping[str, Callable[[Sequence[str]], Any]] = {
    "date": lambda words: dates_of(words, None),
    "time": times_of,
}


def problems_in(column: Column, fitted: FittedColumn, table: DataTable) -> Iterator[str]:
    """Say of a column which value does not fit what was trained on."""
    name = f"column {printable(column.name)}"
    expected = _EXPECTED.get(fitted.use, "number")
    if fitted.use not in ("one_hot", "ordinal") and column.kind != "empty":
        kinds = ("number", "boolean") if expected == "number" else (expected,)
        if column.kind not in kinds:
            rows = _others(column, expected)
            given = str(column.cell(int(rows[0])) if column.kind != "other" else column.words[0])
            hint = _looks_like(given, column.words) if expected == "number" else _WRITTEN[expected]
            where = table.row_name(int(rows[0]))
            yield f"{where}, {name}: {short(given)} is no {expected}{hint}{_also(rows, table)}"
            return
    missing = np.flatnonzero(column.missing)
    if len(missing) and fitted.fill is None:
        yield (
            f"{table.row_name(int(missing[0]))}, {name}: has no value, and data.missing fills no gap of it"
            f"{_also(missing, table)}"
        )


_WRITTEN = {"date": "; write dates as 2024-03-31", "time": "; write times as 13:45"}


def _looks_like(word: str, words: Sequence[str]) -> str:
    """Say what a word that is no number looks like, and how it is to be written; nothing where it is none.

    `words` are all of its column, by which a decimal comma is told from one between thousands.
    """
    forms = [
        number_format_of(words, decimal_first=first) or number_format_of([word], decimal_first=first)
        for first in (True, False)
    ]
    told = [_read_as(word, form) for form in dict.fromkeys(forms) if form is not None]
    return f" (it looks like {' or '.join(told)})" if told else ""


def _read_as(word: str, form: NumberFormat) -> str:
    bare = bare_number(word, form.unit_signs)
    plain = bare.replace(form.thousands, "") if form.thousands else bare
    signs = [f"with the unit {form.unit_signs[0]}"] if form.unit_signs else []
    signs += ["with a decimal comma"] if form.decimal == "," else []
    signs += ["in groups of three digits"] if form.thousands else []
    return f"{plain.replace(form.decimal, '.')}, written {both(signs)}"


def _also(rows: NDArray[np.int64], table: DataTable) -> str:
    """Name the rows besides the first that have the same fault, up to a few."""
    if len(rows) == 1:
        return ""
    named = [table.row_name(int(row)) for row in rows[1 : 1 + _ROWS_NAMED]]
    more = len(rows) - 1 - len(named)
    return f", and so in {both([*named, *([f'{more:,} more'] if more else [])])}"


def _others(column: Column, expected: str) -> NDArray[np.int64]:
    """Return the rows whose values are not of the kind that is expected."""
    if column.codes is None or column.kind != "text":
        return np.flatnonzero(~column.missing)
    fits = [
        is_number(word) if expected == "number" else _READ[expected]([word]) is not None
        for word in column.words
    ]
    other = np.array([*(not one for one in fits), False])[column.codes]
    return np.flatnonzero(other if other.any() else ~column.missing)


def _unknown(
    column: Column, fitted: FittedColumn, unknown: NDArray[np.bool_], table: DataTable
) -> Iterator[str]:
    rows = np.flatnonzero(unknown)
    given = str(column.cell(int(rows[0])))
    yield (
        f"{table.row_name(int(rows[0]))}, column {printable(column.name)}: {short(given)} is not among the "
        f"training samples ({did_you_mean(given, list(fitted.words))}){_also(rows, table)}"
    )


def _in_order(file: Path, shape: tuple[int, ...]) -> NewRows:
    """Return the rows of a table whose columns are the values of a sample in order: it has no names."""
    data, table = looked_at([file], None)
    names, width, place = column_names(data, file.parent), prod(shape), printable(file.name)
    if len(names) != width:
        raise DataError(
            f"{place}: has {len(names)} {_plural(names, 'column', 'columns')}, and a sample has {width} "
            f"value{'s' * (width != 1)} without names; give those in order, or a .npy file of rows {shape}"
        )
    columns = [table.columns[name] for name in names]
    _refuse(
        place,
        [
            problem
            for column in columns
            for problem in problems_in(column, FittedColumn(name=column.name, use="number"), table)
        ],
    )
    return NewRows(
        x=np.stack([column.values for column in columns], axis=1),
        row=table.row_name,
        column=lambda feature: f", column {printable(names[feature])}",
    )


def _arrays(file: Path, job: Job, shape: tuple[int, ...]) -> Floats:
    """Return the rows of a NumPy file: one array, or for a model of several inputs one of each by name."""
    place = printable(file.name)
    if file.suffix == ".npy":
        return _shaped(read_npy(file), shape, place)
    found = read_arrays(file)
    inputs = {one.name: one.shape for one in job.model.inputs}
    if inputs:
        if found.keys() != inputs.keys():
            raise DataError(
                f"{place}: has {both(list(found))}, and the model's inputs are {both(list(inputs))}"
            )
        parts = {name: _shaped(found[name], inputs[name], f"{place}, {name}") for name in inputs}
        rows, _ = put_together(parts, np.asarray, place)
        return np.asarray(rows, np.float64)
    if len(found) != 1 and "x" not in found:
        raise DataError(f"{place}: has {both(list(found))}; call the array of the rows x")
    return _shaped(found["x"] if "x" in found else next(iter(found.values())), shape, place)


def _shaped(array: NDArray[Any], shape: tuple[int, ...], place: str) -> Floats:
    """Return numbers as rows (n, *shape). Raises DataError for others."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"{place}: holds {array.dtype}, and a sample has numbers")
    if array.ndim == 0 or array.shape[1:] not in (shape, (prod(shape),)) or not len(array):
        raise DataError(f"{place}: has the shape {array.shape}, and rows have {('n', *shape)}")
    rows: Floats = array.reshape(len(array), -1).astype(np.float64)
    return rows


def _not_used(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    shown = both([printable(name) for name in names[:_SHOWN]])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (f"not predicted from: {shown}{more}",)


def _refuse(place: str, problems: Sequence[str]) -> None:
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        told = "; ".join(problems[:_SHOWN])
        raise DataError(f"{place}: {told}{more}; no row was predicted: mend these or take them out")


def _plural(many: Sequence[Any], one: str, several: str) -> str:
    return one if len(many) == 1 else several
