"""A job for a file of columns, made by looking at all of its values.

What becomes of each column is decided by its values, and said: in the job file as a comment, and to the user.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path

import numpy as np

from likewise.producer.data.sniffing import looked_at
from likewise.producer.data.table import Column, DataTable, date_text
from likewise.producer.display import count, did_you_mean, printable, short
from likewise.producer.job.left_out import reason_to_leave
from likewise.shared.errors import UsageError
from likewise.shared.job import Experiment
from likewise.shared.job.data import CsvData, TableData

MAX_CLASSES = 20
"""Whole numbers from 0 are taken for classes up to this many; above, for measurements."""
_MOST_LABELS = 100
_TOY_ROWS = 8
"""Of a table of so few rows classes are taken as they are."""
_LEAST_TO_SPLIT = 20
_HELD_OUT = 0.15
_WIDTH = 40
"""Where comments begin in the job file."""


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


@dataclass(frozen=True, kw_only=True)
class TableJob:
    """It is the text of a job file with what becomes of each column."""

    text: str
    columns: tuple[ColumnPlan, ...]
    reading: Mapping[str, object]
    """How the file is written where that is not as usual: settings of `data`, by name."""


_FAR = float(np.finfo(np.float64).max) ** 0.5
"""The square of a larger number is none, so that a column of them has no variance."""


def for_table(file: Path, *, path: str, name: str, target: str | None) -> TableJob:
    """Return a job for a file of columns. Raises UsageError for no target to predict, DataError."""
    data, table = looked_at(file, target)
    if target is None or target not in table.columns:
        raise UsageError(_no_target(data, table, path, target))
    _refuse_far(table, path)
    goal = _goal(table.columns[target], path)
    plans = [
        _plan(column, table, i) for i, column in enumerate(table.columns.values()) if column.name != target
    ]
    if all(plan.left_out for plan in plans):
        listed = "".join(f"\n  {printable(plan.name)}: {plan.why}" for plan in plans)
        raise UsageError(f"{printable(path)}: no column besides {short(target)} can be trained on{listed}")
    gaps = int(table.columns[target].missing.sum())
    if gaps:
        why = f"{gaps} of {table.rows} values are missing, and a target cannot be filled"
        plans.append(ColumnPlan(name=target, left_out=False, why=why, settings=(("missing", "drop"),)))
    lines = _Lines(data=data, table=table, goal=goal, plans=plans, target=target)
    text = "\n".join(lines.all(path=path, name=name)) + "\n"
    return TableJob(text=text, columns=tuple(plans), reading=_reading(data))


def _refuse_far(table: DataTable, path: str) -> None:
    """Raise UsageError for numbers of which no mean square can be formed, with the line and the column."""
    for column in table.columns.values():
        if column.kind != "number":
            continue
        far = np.flatnonzero(np.abs(column.values) > _FAR)
        if far.size:
            row = int(far[0])
            value = column.values[row]
            wrong = "is too large: its square is beyond float64; give the column in a larger unit"
            if np.isinf(value):
                wrong = "is no number to train on; write a number there, or leave it empty"
            place = f"{printable(path)}: {table.row_name(row)}, column {printable(column.name)}"
            raise UsageError(f"{place}: {value:g} {wrong}")


def _no_target(data: TableData, table: DataTable, path: str, target: str | None) -> str:
    hint = did_you_mean(target or "", list(table.columns))
    if isinstance(data, CsvData) and not data.header:
        hint += "; its first line holds values, so the columns have numbers"
    if len(table.columns) == 1 and " " in next(iter(table.columns)):
        hint += "; are its values separated by spaces? Put one comma, semicolon or tab between them"
    if target is None:
        return f"--csv needs --target, the column to predict: {hint}"
    return f"--target {short(target)}: {printable(path)} has no such column ({hint})"


def _goal(column: Column, path: str) -> Goal:
    """Choose a regression for numbers, a classification for labels and few whole numbers from 0."""
    there = int((~column.missing).sum())
    where = f"{printable(path)}, column {printable(column.name)}"
    if column.kind in ("empty", "other", "date"):
        holds = {"empty": "no value", "date": "dates"}.get(column.kind, "".join(column.words))
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
            return Goal(loss="mse", units=1, why="one output, for one target")
        names = () if from_zero else words
    else:
        if classes > _MOST_LABELS or (there > _TOY_ROWS and classes > 2 and 1.5 * classes > there):
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


def _plan(column: Column, table: DataTable, place: int) -> ColumnPlan:
    """Decide what becomes of a column that is not the target."""
    gaps = column.missing
    missing = f"{int(gaps.sum())} of {table.rows} values are missing"
    reason = reason_to_leave(column, table, place, missing)
    if reason is not None:
        return ColumnPlan(name=column.name, left_out=True, why=reason)
    settings, why = [], []
    if column.padded:
        settings.append(("categories", "one_hot"))
        why.append("codes: its numbers have zeros before them")
    elif column.kind == "text":
        settings.append(("categories", "one_hot"))
        why.append(f"{count(len(column.words), 'category', 'categories')}: {_few(column.words)}")
    elif column.kind == "date":
        known = column.values[~gaps]
        in_order = bool((np.diff(known) > 0).all())
        settings.append(("dates", "elapsed" if in_order else "parts"))
        why.append(
            f"dates from {date_text(known.min())} to {date_text(known.max())}{', in order' * in_order}"
        )
    if gaps.any():
        measured = column.kind in ("number", "date") and not column.padded
        settings.append(("missing", "median" if measured else "most_frequent"))
        why.append(missing)
    return ColumnPlan(name=column.name, left_out=False, why="; ".join(why), settings=tuple(settings))


def _few(words: Sequence[str]) -> str:
    return ", ".join(printable(word) for word in words[:4]) + (", …" if len(words) > 4 else "")


_READING = {
    "header": "the first line holds values, and names no columns",
    "comment": "lines that begin with it are no rows",
    "encoding": "it is not UTF-8",
    "decimal": "the sign before a number's fraction",
    "thousands": "the sign between groups of three digits",
    "unit_signs": "signs and units beside numbers that are no part of them",
    "missing_values": "words among numbers, which stand for a missing value",
}


def _reading(data: TableData) -> dict[str, object]:
    fields = type(data).model_fields
    found = {field: getattr(data, field) for field in _READING if field in fields}
    return {field: value for field, value in found.items() if value != fields[field].default}


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """It writes the job file."""

    data: TableData
    table: DataTable
    goal: Goal
    plans: Sequence[ColumnPlan]
    target: str

    def all(self, *, path: str, name: str) -> Iterator[str]:
        """Yield the lines of the job file."""
        goal = self.goal
        yield f"# Written by `likewise init` after a look at {printable(path)}."
        yield "schema_version: 1"
        yield f"name: {name}"
        yield ""
        yield "data:"
        yield f"  type: {self.data.type}"
        yield f"  path: {quoted(path)}"
        yield f"  target: {quoted(self.target)}"
        yield from self._reading()
        yield from self._columns()
        rows, split = self._split()
        yield from split
        yield _commented(
            "  standardize: true", "each feature to mean 0 and variance 1 over the training samples"
        )
        if goal.loss == "mse" and self._is_large():
            yield _commented(
                "  standardize_target: true", f"predictions and metrics are told in {self.target}'s own units"
            )
        yield ""
        yield "model:"
        yield "  layers:"
        yield "    - {type: dense, units: 16, activation: relu}"
        yield _commented(f"    - {{type: dense, units: {goal.units}}}", goal.why)
        yield ""
        yield f"loss: {goal.loss}"
        yield "optimizer: {type: adam, learning_rate: 0.01}"
        yield f"training: {{epochs: 100, batch_size: {max(1, min(32, rows))}, shuffle: true}}"
        yield _commented("initial_weights: shared", "the same in every framework")
        yield f"frameworks: [{', '.join(Experiment.model_fields['frameworks'].default)}]"
        yield "seeds: 1"

    def _reading(self) -> Iterator[str]:
        """Yield how the file is written, where that is not as usual."""
        for field, value in _reading(self.data).items():
            yield _commented(f"  {field}: {json.dumps(value, ensure_ascii=False)}", _READING[field])
        if self.goal.class_names:
            names = ", ".join(json.dumps(one, ensure_ascii=False) for one in self.goal.class_names)
            yield _commented(f"  class_names: [{names}]", "in the order of the class numbers")

    def _columns(self) -> Iterator[str]:
        """Yield what becomes of the columns: those left out, then the settings by column."""
        left_out = [plan for plan in self.plans if plan.left_out]
        if left_out:
            yield _commented("  drop:", "left out, each for the reason beside it")
            yield from (_commented(f"    - {quoted(plan.name)}", plan.why) for plan in left_out)
        else:
            yield "  # every column but the target is a feature; drop: [NAME] leaves one out"
        for setting in ("categories", "dates", "missing"):
            named = [(plan, value) for plan in self.plans for key, value in plan.settings if key == setting]
            if named:
                yield f"  {setting}:"
                yield from (
                    _commented(f"    {quoted(plan.name)}: {value}", printable(plan.why))
                    for plan, value in named
                )

    def _split(self) -> tuple[int, list[str]]:
        """Return how many rows are trained on, and the split."""
        kept = self.table.rows - int(self.table.columns[self.target].missing.sum())
        if kept < _LEAST_TO_SPLIT:
            return kept, ["  # no split: with so few rows all are trained on"]
        held = floor(_HELD_OUT * kept + 0.5)
        trained = kept - 2 * held
        stratify = ", stratify: true" if self.goal.loss != "mse" else ""
        told = f"{trained} rows to train on, {held} and {held} held out"
        lines = [
            _commented(f"  split: {{validation: {_HELD_OUT}, test: {_HELD_OUT}, seed: 0{stratify}}}", told)
        ]
        if stratify:
            codes, words = self.table.columns[self.target].labels()
            counts = np.bincount(codes[codes >= 0], minlength=len(words))
            rarest = int(np.where(counts > 0, counts, counts.max()).argmin())
            lines.append(
                f"  # stratify holds out the same share of each class; the rarest is "
                f"{printable(words[rarest])}, with {count(int(counts[rarest]), 'row')}"
            )
        in_order = [plan.name for plan in self.plans if ("dates", "elapsed") in plan.settings]
        if in_order:
            lines.append(f"  # for the last rows as the test: split: {{..., time: {quoted(in_order[0])}}}")
        return trained, lines

    def _is_large(self) -> bool:
        """Return whether targets are far from the scale on which a fresh model's outputs lie."""
        values = self.table.columns[self.target].values
        known = values[~np.isnan(values)]
        spread = float(known.std())
        return abs(float(known.mean())) > 3.0 or spread > 3.0 or spread < 0.3


def _commented(line: str, comment: str) -> str:
    return f"{line:<{_WIDTH}} # {printable(comment)}" if comment else line


def quoted(text: str) -> str:
    """Return text as a YAML scalar: plain where that is safe, else as JSON, which YAML reads."""
    plain = text.isascii() and text.replace("_", "a").replace("/", "a").replace(".", "a").isalnum()
    plain = plain and text[:1].isalpha()
    reserved = text.lower() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    return text if plain and not reserved else json.dumps(text, ensure_ascii=not text.isprintable())


def lines_of(job: TableJob) -> Iterator[str]:
    """Tell what becomes of the columns that are not features as they are, a line each."""
    left_out = [plan for plan in job.columns if plan.left_out]
    changed = [plan for plan in job.columns if plan.settings and not plan.left_out]
    features = sum(not plan.left_out for plan in job.columns)
    yield f"{count(features, 'column')} to train on, {count(len(left_out), 'column')} left out"
    for field, value in job.reading.items():
        shown = json.dumps(value, ensure_ascii=False)
        yield f"  read      {field}: {printable(shown)}; {_READING[field]}"
    for what, plans in (("left out", left_out), ("changed", changed)):
        for plan in plans:
            made = "".join(f"{key} {value}; " for key, value in plan.settings)
            yield f"  {what}  {printable(plan.name)}: {made}{printable(plan.why)}"


def document_of(job: TableJob) -> Mapping[str, object]:
    """Return what becomes of each column, for programs."""
    return {
        "reading": dict(job.reading),
        "left_out": [{"column": plan.name, "reason": plan.why} for plan in job.columns if plan.left_out],
        "changed": [
            {"column": plan.name, "reason": plan.why, **dict(plan.settings)}
            for plan in job.columns
            if plan.settings and not plan.left_out
        ],
    }
