"""A job for a file of columns, made by looking at all of its values.

What becomes of each column is decided by its values, and said: in the job file as a comment, and to the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor
from pathlib import Path

import numpy as np

from likewise.producer.data.file_lists import place_of
from likewise.producer.data.sniffing import looked_at
from likewise.producer.data.table import DataTable
from likewise.producer.display import both, count, did_you_mean, printable, short
from likewise.producer.job.table_notes import is_copy, notes_of
from likewise.producer.job.table_plan import ColumnPlan, Goal, goal_of, plan_of
from likewise.shared.errors import UsageError
from likewise.shared.job import Experiment
from likewise.shared.job.data import CsvData, TableData

_LEAST_TO_SPLIT = 20
_HELD_OUT = 0.15
_TRUNK = "trunk"
_WIDTH = 40
"""Where comments begin in the job file."""


@dataclass(frozen=True, kw_only=True)
class TableJob:
    """It is the text of a job file with what becomes of each column."""

    text: str
    columns: tuple[ColumnPlan, ...]
    features: int
    """How many columns are trained on."""
    notes: tuple[tuple[str, str], ...]
    """Columns that want a second look, and why."""
    reading: Mapping[str, object]
    """How the file is written where that is not as usual: settings of `data`, by name."""


_FAR = float(np.finfo(np.float64).max) ** 0.5
"""The square of a larger number is none, so that a column of them has no variance."""


def for_table(files: Sequence[Path], *, paths: Sequence[str], name: str, targets: Sequence[str]) -> TableJob:
    """Return a job for files of columns that are one table, with an output for each target.

    `paths` are the files as the job names them. Raises UsageError for no target to predict, DataError.
    """
    data, table = looked_at(files, targets[0] if targets else None)
    path = paths[0] if len(paths) == 1 else place_of(paths)
    unknown = next((target for target in targets if target not in table.columns), None)
    if not targets or unknown is not None:
        raise UsageError(_no_target(data, table, path, unknown))
    if len(set(targets)) < len(targets):
        raise UsageError(f"--target {short(targets[0])}: a column is named twice; keep one")
    _refuse_far(table, path)
    goals = {target: goal_of(table.columns[target], path) for target in targets}
    known = _rows_with_targets(table, targets)
    features = [(place, one) for place, one in enumerate(known.columns.values()) if one.name not in goals]
    planned = [plan_of(column, known, place, every=table.columns[column.name]) for place, column in features]
    plans = _without_copies(planned, table, targets)
    if all(plan.left_out for plan in plans):
        listed = "".join(f"\n  {printable(plan.name)}: {plan.why}" for plan in plans)
        named = both([short(target) for target in targets])
        raise UsageError(f"{printable(path)}: no column besides {named} can be trained on{listed}")
    trained = [plan.name for plan in plans if not plan.left_out]
    for target in targets:
        gaps = int(table.columns[target].missing.sum())
        if gaps:
            why = f"{gaps} of {table.rows} values are missing, and a target cannot be filled"
            plans.append(ColumnPlan(name=target, left_out=False, why=why, settings=(("missing", "drop"),)))
    words_are_gaps = bool(data.missing_values)
    notes = tuple(notes_of(table, targets=targets, features=trained, words_are_gaps=words_are_gaps))
    lines = _Lines(data=data, table=table, goals=goals, plans=plans, notes=notes)
    text = "\n".join(lines.all(paths=paths, name=name)) + "\n"
    return TableJob(
        text=text, columns=tuple(plans), features=len(trained), notes=notes, reading=_reading(data)
    )


def _rows_with_targets(table: DataTable, targets: Sequence[str]) -> DataTable:
    """Return the rows that are trained on: those that have every target."""
    there = ~np.any([table.columns[target].missing for target in targets], axis=0)
    return table if there.all() else table.take(np.flatnonzero(there))


def _without_copies(plans: list[ColumnPlan], table: DataTable, targets: Sequence[str]) -> list[ColumnPlan]:
    """Leave out columns that are a target, as long as others remain."""
    of = {
        plan.name: target
        for plan in plans
        for target in targets
        if not plan.left_out and is_copy(table.columns[plan.name], table.columns[target])
    }
    if all(plan.left_out or plan.name in of for plan in plans):
        return plans
    return [
        ColumnPlan(
            name=plan.name,
            left_out=True,
            why=f"copy: it is {of[plan.name]} in every row; take it off this list to train on it",
        )
        if plan.name in of
        else plan
        for plan in plans
    ]


def _refuse_far(table: DataTable, path: str) -> None:
    """Raise UsageError for numbers of which no mean square can be formed, with the line and the column."""
    for column in table.columns.values():
        if column.kind != "number":
            continue
        far = np.flatnonzero(np.abs(column.values) > _FAR)
        if far.size:
            row = int(far[0])
            value = column.values[row]
            place = f"{printable(path)}: {table.row_name(row)}, column {printable(column.name)}"
            raise UsageError(
                f"{place}: {value:g} is too large: its square is beyond float64; "
                "give the column in a larger unit"
            )


def _no_target(data: TableData, table: DataTable, path: str, target: str | None) -> str:
    hint = did_you_mean(target or "", list(table.columns))
    if isinstance(data, CsvData) and not data.header:
        hint += "; its first line holds values, so the columns have numbers"
    if len(table.columns) == 1 and " " in next(iter(table.columns)):
        hint += "; are its values separated by spaces? Put one comma, semicolon or tab between them"
    if target is None:
        return f"--csv needs --target, the column to predict: {hint}"
    return f"--target {short(target)}: {printable(path)} has no such column ({hint})"


_READING = {
    "skip_lines": "a title comes before the line that names the columns",
    "header": "the first line holds values, and names no columns",
    "comment": "lines that begin with it are no rows",
    "encoding": "it is not UTF-8",
    "delimiter": "blanks, one or several, stand between the values",
    "decimal": "the sign before a number's fraction",
    "thousands": "the sign between groups of three digits",
    "unit_signs": "signs and units beside numbers that are no part of them",
    "missing_values": "words or infinities among numbers, or nines far from all others, which stand for a "
    "missing value",
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
    goals: Mapping[str, Goal]
    """What each target asks for, by its column."""
    plans: Sequence[ColumnPlan]
    notes: Sequence[tuple[str, str]]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Return a name for each target's output, by column; none where there is one target alone."""
        names: dict[str, str] = {}
        for column in self.goals if len(self.goals) > 1 else ():
            plain = re.sub(r"[^A-Za-z0-9]+", "_", column).strip("_")
            plain = plain if plain[:1].isalpha() else f"output_{plain}".rstrip("_")
            taken = {_TRUNK, "input", "outputs", *names.values()}
            numbered = (f"{plain}_{number}" for number in range(2, len(self.goals) + 2))
            names[column] = next(one for one in (plain, *numbered) if one not in taken)
        return names

    def all(self, *, paths: Sequence[str], name: str) -> Iterator[str]:
        """Yield the lines of the job file."""
        looked = printable(paths[0]) if len(paths) == 1 else place_of(paths)
        yield f"# Written by `likewise init` after a look at {looked}."
        yield "schema_version: 1"
        yield f"name: {name}"
        yield ""
        yield "data:"
        yield f"  type: {self.data.type}"
        yield f"  path:{'' if len(paths) > 1 else f' {quoted(paths[0])}'}"
        yield from (f"    - {quoted(path)}" for path in paths if len(paths) > 1)
        yield f"  target: {_by_output({column: quoted(column) for column in self.goals}, self.outputs)}"
        yield from self._reading()
        yield from self._columns()
        rows, split = self._split()
        yield from split
        yield commented(
            "  standardize: true", "each feature to mean 0 and variance 1 over the training samples"
        )
        target, goal = next(iter(self.goals.items()))
        if not self.outputs and goal.loss == "mse" and self._scale(target) != 1.0:
            yield commented(
                "  standardize_target: true", f"predictions and metrics are told in {target}'s own units"
            )
        yield ""
        yield "model:"
        yield "  layers:"
        yield from self._several_heads() if self.outputs else self._one_head(goal)
        yield "optimizer: {type: adam, learning_rate: 0.01}"
        yield f"training: {{epochs: 100, batch_size: {max(1, min(32, rows))}, shuffle: true}}"
        yield commented("initial_weights: shared", "the same in every framework")
        yield f"frameworks: [{', '.join(Experiment.model_fields['frameworks'].default)}]"
        yield "seeds: 1"

    def _one_head(self, goal: Goal) -> Iterator[str]:
        yield "    - {type: dense, units: 16, activation: relu}"
        yield commented(f"    - {{type: dense, units: {goal.units}}}", goal.why)
        yield ""
        yield f"loss: {goal.loss}"

    def _several_heads(self) -> Iterator[str]:
        yield f"    - {{type: dense, units: 16, activation: relu, name: {_TRUNK}}}"
        for column, goal in self.goals.items():
            name = self.outputs[column]
            yield commented(
                f"    - {{type: dense, units: {goal.units}, name: {name}, inputs: [{_TRUNK}]}}", goal.why
            )
        yield f"  outputs: [{', '.join(self.outputs.values())}]"
        yield ""
        yield "loss:"
        for column, goal in self.goals.items():
            scale = self._scale(column) if goal.loss == "mse" else 1.0
            weight = float(f"{1 / scale**2:.1g}")
            why = "" if scale == 1.0 else f"one over {column}'s variance, so that the losses are of one size"
            yield commented(f"  {self.outputs[column]}: {{type: {goal.loss}, weight: {weight:g}}}", why)

    def _reading(self) -> Iterator[str]:
        """Yield how the file is written, where that is not as usual."""
        for field, value in _reading(self.data).items():
            yield commented(f"  {field}: {json.dumps(value, ensure_ascii=False)}", _READING[field])
        named = {
            column: json.dumps(goal.class_names, ensure_ascii=False)
            for column, goal in self.goals.items()
            if goal.class_names
        }
        if named:
            yield commented(
                f"  class_names: {_by_output(named, self.outputs)}", "in the order of the class numbers"
            )

    def _columns(self) -> Iterator[str]:
        """Yield what becomes of the columns: those left out, then the settings by column."""
        left_out = [plan for plan in self.plans if plan.left_out]
        if left_out:
            yield commented("  drop:", "left out, each for the reason beside it")
            yield from (commented(f"    - {quoted(plan.name)}", plan.why) for plan in left_out)
        else:
            yield "  # every column but the target is a feature; drop: [NAME] leaves one out"
        yield from (f"  # {printable(name)}: {printable(note)}" for name, note in self.notes)
        for setting in ("categories", "dates", "missing"):
            named = [(plan, value) for plan in self.plans for key, value in plan.settings if key == setting]
            if named:
                yield f"  {setting}:"
                yield from (
                    commented(f"    {quoted(plan.name)}: {value}", printable(plan.why))
                    for plan, value in named
                )

    def _split(self) -> tuple[int, list[str]]:
        """Return how many rows are trained on, and the split."""
        gaps = [self.table.columns[target].missing for target in self.goals]
        kept = self.table.rows - int(np.logical_or.reduce(gaps).sum())
        if kept < _LEAST_TO_SPLIT:
            return kept, ["  # no split: with so few rows all are trained on"]
        held = floor(_HELD_OUT * kept + 0.5)
        trained = kept - 2 * held
        target, goal = next(iter(self.goals.items()))
        stratify = ", stratify: true" if goal.loss != "mse" and not self.outputs else ""
        told = f"{trained} rows to train on, {held} and {held} held out"
        lines = [
            commented(f"  split: {{validation: {_HELD_OUT}, test: {_HELD_OUT}, seed: 0{stratify}}}", told)
        ]
        if stratify:
            codes, words = self.table.columns[target].labels()
            counts = np.bincount(codes[codes >= 0], minlength=len(words))
            rarest = int(np.where(counts > 0, counts, counts.max()).argmin())
            lines.append(
                f"  # stratify holds out the same share of each class; the rarest is "
                f"{printable(words[rarest])}, with {count(int(counts[rarest]), 'row')}"
            )
        in_order = [
            plan.name
            for plan in self.plans
            if ("dates", "elapsed") in plan.settings and self.table.columns[plan.name].kind == "date"
        ]
        if in_order:
            lines.append(f"  # for the last rows as the test: split: {{..., time: {quoted(in_order[0])}}}")
        return trained, lines

    def _scale(self, target: str) -> float:
        """Return the deviation of numbers far from the scale on which a fresh model's outputs lie; else 1."""
        values = self.table.columns[target].values
        known = values[~np.isnan(values)]
        spread = float(known.std())
        far = abs(float(known.mean())) > 3.0 or spread > 3.0 or spread < 0.3
        return spread if far and spread > 0 else 1.0


def _by_output(values: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """Write what is so of each target, by its output where they have names."""
    if not outputs:
        return next(iter(values.values()))
    return "{" + ", ".join(f"{outputs[column]}: {value}" for column, value in values.items()) + "}"


def commented(line: str, comment: str) -> str:
    """Return a line of a job file with a comment behind it, where there is one."""
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
    yield f"{count(job.features, 'column')} to train on, {count(len(left_out), 'column')} left out"
    for field, value in job.reading.items():
        shown = json.dumps(value, ensure_ascii=False)
        yield f"  read      {field}: {printable(shown)}; {_READING[field]}"
    for what, plans in (("left out", left_out), ("changed", changed)):
        for plan in plans:
            made = "".join(f"{key} {value}; " for key, value in plan.settings)
            yield f"  {what}  {printable(plan.name)}: {made}{printable(plan.why)}"
    for name, note in job.notes:
        yield f"  look at   {printable(name)}: {printable(note)}"


def document_of(job: TableJob) -> Mapping[str, object]:
    """Return what becomes of each column, for programs."""
    return {
        "reading": dict(job.reading),
        "look_at": [{"column": name, "reason": note} for name, note in job.notes],
        "left_out": [{"column": plan.name, "reason": plan.why} for plan in job.columns if plan.left_out],
        "changed": [
            {"column": plan.name, "reason": plan.why, **dict(plan.settings)}
            for plan in job.columns
            if plan.settings and not plan.left_out
        ],
    }
