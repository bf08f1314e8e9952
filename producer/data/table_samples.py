"""Samples of a table: what each column is for, which rows are kept, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.features import fit, problems_of, rule_for, use_of
from likewise.producer.data.file_lists import place_of
from likewise.producer.data.loaded import Floats, Loaded, NamedTargets
from likewise.producer.data.splits import SplitBy, split
from likewise.producer.data.table import (
    Column,
    DataTable,
    NumberFormat,
    is_number,
    mixed_numbers,
    number_format_of,
)
from likewise.producer.data.table_file import column_names, read_table
from likewise.producer.display import both, did_you_mean, printable, short
from likewise.shared.errors import DataError
from likewise.shared.job.data import EVERY_COLUMN, TableData
from likewise.shared.job.loss import Task

ROWS_SHOWN = 5
"""How many training rows are kept as the file has them, to be shown."""
_SHOWN = 5
_HOLDS = {"empty": "no value", "date": "dates", "time": "times", "boolean": "true and false"}


@dataclass(frozen=True, kw_only=True)
class Roles:
    """They are the columns of a table by what they are for."""

    features: tuple[str, ...]
    targets: tuple[str, ...]
    weights: str | None
    split: str | None
    left_out: tuple[str, ...]
    """Columns that `features` does not name, besides those of `drop`."""

    @property
    def used(self) -> frozenset[str]:
        """Return every column that is read."""
        others = (name for name in (self.weights, self.split) if name is not None)
        return frozenset([*self.features, *self.targets, *others])


def load_table(data: TableData, base: Path, *, tasks: Mapping[str, Task]) -> Loaded:
    """Return the samples of a file of columns, for outputs of these tasks.

    Raises DataError with row and column of what does not fit.
    """
    place = place_of(data.path)
    roles = roles_of(column_names(data, base), data, place)
    table = read_table(data, base, roles.used, together=tuple(dict.fromkeys(roles.features)))
    declared = targets_declared(data, tasks)
    _check_columns(table, roles, data, place)
    for name, columns in declared.items():
        _check_targets(table, columns, place, tasks[name])
    table = _without_gaps(table, roles, data, place)
    if roles.weights is not None and table.columns[roles.weights].kind == "text":
        raise DataError(_several(place, [_not_a_number(table, roles.weights)], ""))
    y_place = f"{place}, column {printable(', '.join(roles.targets))}"
    every = {
        name: _targets(
            table,
            columns,
            _class_names(data, name),
            tasks[name],
            f"{place}, column {printable(', '.join(columns))}",
        )
        for name, columns in declared.items()
    }
    y = np.concatenate([numbers for numbers, _ in every.values()], axis=1)
    class_names = next(iter(every.values()))[1] if len(every) == 1 else ()
    classified = len(tasks) == 1 and "regression" not in tasks.values() and y.shape[1] == 1
    by = SplitBy(
        classes=y[:, 0].astype(np.int64) if classified else None,
        column=None if roles.split is None else table.columns[roles.split],
    )
    parts = split(table.rows, data.split, by)
    features = fit(table, roles.features, data, parts[0])
    first_rows = tuple(
        {name: column.cell(row) for name, column in table.columns.items()}
        for row in parts[0][:ROWS_SHOWN].tolist()
    )
    x, unknown = features.of_table(table)
    weights = None if roles.weights is None else table.columns[roles.weights].numbers
    return Loaded(
        x=x,
        y=y,
        weights=weights,
        weights_place=f"{place}, column {printable(str(roles.weights))}",
        x_place=place,
        y_place=y_place,
        inputs={
            name: (sum(len(features.by_column[column]) for column in columns),)
            for name, columns in (data.features.items() if isinstance(data.features, Mapping) else ())
        },
        outputs=_named_targets(declared, every, place) if len(declared) > 1 else {},
        feature_names=features.names,
        target_names=roles.targets,
        class_names=class_names,
        row=table.row_name,
        features=features,
        parts=parts,
        first_rows=first_rows,
        notes=tuple(_unknown_notes(unknown, table)),
    )


def _unknown_notes(unknown: Mapping[str, NDArray[np.bool_]], table: DataTable) -> Iterator[str]:
    for name, rows in unknown.items():
        word = table.columns[name].cell(int(np.flatnonzero(rows)[0]))
        yield (
            f"column {printable(name)}: {int(rows.sum())} held-out samples have categories, such as "
            f"{short(word)}, that no training sample has; they count as none of the categories"
        )


def targets_declared(data: TableData, outputs: Iterable[str]) -> dict[str, list[str]]:
    """Return the columns that each output is compared with, by its name; those of an only one as well."""
    given = data.target if isinstance(data.target, Mapping) else dict.fromkeys(outputs, data.target)
    return {name: [one] if isinstance(one, str) else list(one) for name, one in given.items()}


def _class_names(data: TableData, output: str) -> Sequence[str] | None:
    return data.class_names.get(output) if isinstance(data.class_names, Mapping) else data.class_names


def _named_targets(
    declared: Mapping[str, Sequence[str]], every: Mapping[str, tuple[Floats, tuple[str, ...]]], place: str
) -> dict[str, NamedTargets]:
    found, begin = {}, 0
    for name, columns in declared.items():
        found[name] = NamedTargets(
            columns=(begin, begin + len(columns)),
            place=f"{place}, column {printable(', '.join(columns))}",
            names=tuple(columns),
            class_names=every[name][1],
        )
        begin += len(columns)
    return found


def roles_of(columns: Sequence[str], data: TableData, place: str) -> Roles:
    """Return what each column is for. Raises DataError for names that are not there or for two things."""
    targets = [name for names in targets_declared(data, ("",)).values() for name in names]
    if not targets:
        raise DataError("data.target: names no column")
    weights = data.sample_weights
    splits = data.split.columns
    declared = None if data.features is None else features_declared(data)
    named: dict[str, Sequence[str]] = {
        "data.target": targets,
        **_features_by_field(data),
        "data.drop": list(data.drop),
        "data.sample_weights": [] if weights is None else [weights],
        **{f"data.split.{field}": [name] for field, name in splits.items()},
        **{f"data.{field}": _by_column(data, field) for field in ("missing", "categories", "dates")},
    }
    known = set(columns)
    for field, names in named.items():
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise DataError(f"{field}: names {short(name)} twice")
            if name not in known:
                hint = did_you_mean(name, columns)
                raise DataError(f"{field} {short(name)}: {place} has no such column ({hint})")
            seen.add(name)
    taken = {*targets, *data.drop, *named["data.sample_weights"], *splits.values()}
    chosen = [name for name in columns if name not in taken] if declared is None else declared
    _refuse_two_uses({**named, "data.features": declared or []})
    if not chosen:
        raise DataError(f"data.features: {place} has no column besides the target")
    used = taken | set(chosen)
    left_out = [name for name in columns if name not in used]
    return Roles(
        features=tuple(chosen),
        targets=tuple(targets),
        weights=weights,
        split=next(iter(splits.values()), None),
        left_out=tuple(left_out),
    )


def features_declared(data: TableData) -> list[str]:
    """Return the columns that `features` names, of one input after the other."""
    declared = data.features or ()
    every = declared.values() if isinstance(declared, Mapping) else [declared]
    return [name for names in every for name in names]


def _features_by_field(data: TableData) -> dict[str, Sequence[str]]:
    """Return the columns that `features` names, of each input by itself: two inputs may share a column."""
    if isinstance(data.features, Mapping):
        return {f"data.features.{name}": columns for name, columns in data.features.items()}
    return {"data.features": data.features or ()}


def _by_column(data: TableData, field: str) -> list[str]:
    setting = getattr(data, field)
    return [name for name in setting if name != EVERY_COLUMN] if isinstance(setting, Mapping) else []


def _refuse_two_uses(fields: Mapping[str, Sequence[str]]) -> None:
    named = {field: dict.fromkeys(names) for field, names in fields.items()}
    for name in named["data.features"]:
        if name in named["data.target"]:
            raise DataError(f"data.features {short(name)}: is a target too; the model would see the answer")
    for name in named["data.sample_weights"]:
        for field in ("data.target", "data.features"):
            if name in named[field]:
                raise DataError(
                    f"data.sample_weights {short(name)}: is one of {field} too; "
                    "weights are neither feature nor target"
                )
    for name in named["data.drop"]:
        for field in ("data.target", "data.features", "data.sample_weights"):
            if name in named[field]:
                raise DataError(f"data.drop {short(name)}: is one of {field} too; keep one")


def _check_columns(table: DataTable, roles: Roles, data: TableData, place: str) -> None:
    """Refuse columns that cannot become numbers as the job stands; each is told, up to five."""
    wrong = []
    for name in dict.fromkeys(roles.features):
        column = table.columns[name]
        if column.kind == "text" and use_of(column, data) is None:
            wrong.append(_not_a_number(table, name))
        else:
            wrong += problems_of(column, data)
    if wrong:
        texts = [name for name in dict.fromkeys(roles.features) if table.columns[name].kind == "text"]
        formats = [number_format_of(table.columns[name].words) for name in texts]
        raise DataError(_several(place, wrong, _hint(formats, texts)))


def _check_targets(table: DataTable, names: Sequence[str], place: str, task: Task) -> None:
    """Refuse targets that are no numbers, where the loss asks for numbers."""
    if task == "regression" or len(names) > 1:
        wrong = [
            _not_a_number(table, name)
            for name in names
            if table.columns[name].kind not in ("number", "boolean")
        ]
        if wrong:
            formats = [number_format_of(table.columns[name].words) for name in names]
            hint = _hint(formats, ()) or "; for classes use a cross-entropy loss"
            raise DataError(_several(place, wrong, hint))


def _hint(formats: Sequence[NumberFormat | None], names: Sequence[str]) -> str:
    known = next((one for one in formats if one is not None), None)
    if known is not None:
        return f"; {format_words(known)} reads such values as numbers"
    if not names:
        return ""
    return "; categories: one_hot takes text in, and drop leaves a column out"


def format_words(one: NumberFormat) -> str:
    """Return the settings of a job file that declare how numbers are written."""
    words = [f'decimal: "{one.decimal}"'] if one.decimal != "." else []
    words += [f'thousands: "{one.thousands}"'] if one.thousands is not None else []
    signs = ", ".join(f'"{sign}"' for sign in one.unit_signs)
    return both([*words, *([f"unit_signs: [{signs}]"] if signs else [])])


def _not_a_number(table: DataTable, name: str) -> str:
    """Return the first value of a column that is no number, with where it stands."""
    column = table.columns[name]
    if column.codes is None:
        return f"column {printable(name)}: holds {_HOLDS.get(column.kind, column.kind)}, not numbers"
    if (mixed := mixed_numbers(column.words)) is not None:
        return f"column {printable(name)}: {mixed}"
    wrong = np.array([not is_number(word) for word in column.words])
    rows = np.flatnonzero((column.codes >= 0) & wrong[column.codes])
    if not len(rows):  # words that are numbers, among the missing ones
        return f"column {printable(name)}: holds text"
    row = int(rows[0])
    return f"{table.row_name(row)}, column {printable(name)}: {short(column.cell(row))} is not a number"


def _without_gaps(table: DataTable, roles: Roles, data: TableData, place: str) -> DataTable:
    """Leave out the rows whose gaps `missing: drop` names; refuse gaps of others that nothing is said of."""
    dropped = np.zeros(table.rows, dtype=np.bool_)
    unsaid: dict[str, NDArray[np.bool_]] = {}
    features = frozenset(roles.features)
    for name, column in table.columns.items():
        rule = rule_for(data.missing, name) or "error"
        gap = column.missing
        if not gap.any():
            continue
        if rule == "drop":
            dropped |= gap
        elif rule == "error" or name not in features:
            unsaid[name] = gap
    refused = [
        (int(row), name) for name, gap in unsaid.items() for row in np.flatnonzero(gap & ~dropped)[:_SHOWN]
    ]
    if refused:
        wrong = [
            f"{table.row_name(row)}, column {printable(name)}: a value is missing"
            for row, name in sorted(refused)[:_SHOWN]
        ]
        name = printable(sorted(refused)[0][1])
        of_feature = sorted(refused)[0][1] in roles.features
        fills = f"missing: {{{name}: {'median' if of_feature else 'drop'}}}"
        does = "fills it, drop leaves the row out" if of_feature else "leaves the row out"
        raise DataError(_several(place, wrong, f"; {fills} {does}"))
    if not dropped.any():
        return table
    kept = np.flatnonzero(~dropped)
    if not len(kept):
        raise DataError(f"{place}: data.missing: drop leaves no row, since each has a gap")
    return table.take(kept)


def _several(place: str, wrong: Sequence[str], hint: str) -> str:
    if len(wrong) == 1:
        return f"{place}: {wrong[0]}{hint}"
    more = f"\n  and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"{place}: values that cannot be trained on{hint}\n  " + "\n  ".join(wrong[:_SHOWN]) + more


def _targets(
    table: DataTable, names: Sequence[str], class_names: Sequence[str] | None, task: Task, place: str
) -> tuple[Floats, tuple[str, ...]]:
    """Return the targets (n, targets), and what class numbers stand for."""
    column = table.columns[names[0]]
    labelled = task != "regression" and len(names) == 1
    if class_names is not None:
        if not labelled:
            raise DataError("data.class_names: is for a classification of one target")
        return _named_classes(column, class_names, table, place), tuple(class_names)
    if labelled and column.kind not in ("number", "empty"):
        codes, words = column.labels()
        there = np.unique(codes)
        if len(there) < 2:
            raise DataError(
                f"{place}: every sample has the label {short(words[there[0]])}; there is nothing to learn"
            )
        return np.searchsorted(there, codes).astype(np.float64).reshape(-1, 1), tuple(words[i] for i in there)
    numbers = [table.columns[name].numbers for name in names]
    return np.stack([one for one in numbers if one is not None], axis=1), ()


def _named_classes(column: Column, names: Sequence[str], table: DataTable, place: str) -> Floats:
    """Return the class numbers that the declared order of labels gives, (n, 1)."""
    codes, words = column.labels()
    if len(set(names)) != len(names):
        raise DataError(
            f"data.class_names: names {short(next(n for n in names if names.count(n) > 1))} twice"
        )
    place_of = {name: i for i, name in enumerate(names)}
    unknown = next((code for code in range(len(words)) if words[code] not in place_of), None)
    if unknown is not None:
        row = table.row_name(int(np.flatnonzero(codes == unknown)[0])) if (codes == unknown).any() else ""
        if row:
            raise DataError(
                f"{place}: {row} is {short(words[unknown])}, which is none of data.class_names "
                f"({did_you_mean(words[unknown], names)})"
            )
    of_word = np.array([place_of.get(word, -1) for word in words], dtype=np.float64)
    return of_word[codes].reshape(-1, 1)
