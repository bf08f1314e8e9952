"""New job files: the commented starter, a copy of an example, or one made for a CSV file.

No file is written over another one unasked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from likewise.producer.data.csv_file import first_rows, is_missing, is_number
from likewise.producer.display import did_you_mean, printable, short
from likewise.producer.job.jobfile import SUFFIXES, example_names, example_path, gallery_names, is_example
from likewise.shared.errors import UsageError
from likewise.shared.job import Experiment

MAX_CLASSES = 20
"""Whole numbers from 0 are taken for classes up to this many; above, for measurements."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a target column asks for."""

    loss: str
    units: int
    why: str


def starter() -> str:
    """Return the commented starter."""
    return files("likewise.producer").joinpath("starter.yaml").read_text(encoding="utf-8")


def for_csv(
    *, header: Sequence[str], rows: Sequence[Sequence[str]], path: str, name: str, target: str | None
) -> str:
    """Return a job for a CSV file, by its header and first rows; raise UsageError for an unknown target."""
    if target is None or target not in header:
        given = (
            "--csv needs --target, the column to predict" if target is None else f"--target {short(target)}"
        )
        there = did_you_mean(target or "", header)
        raise UsageError(
            f"{given}: {printable(path)} has no such column ({there})" if target else f"{given}: {there}"
        )
    goal = goal_of([row[header.index(target)] for row in rows])
    columns = {column: [row[i] for row in rows] for i, column in enumerate(header) if column != target}
    features = [column for column, cells in columns.items() if all(is_number(cell) for cell in cells)]
    if not features:
        raise UsageError(f"{printable(path)}: no column besides {short(target)} holds only numbers")
    left_out = [column for column in columns if column not in features]
    held_out = len(rows) >= 20
    trained = len(rows) - 2 * round(0.15 * len(rows)) if held_out else len(rows)
    lines = [
        f"# Written by `likewise init` after a look at {printable(path)}.",
        "schema_version: 1",
        f"name: {name}",
        "",
        "data:",
        "  type: csv",
        f"  path: {_quoted(path)}",
        f"  target: {_quoted(target)}",
        *_features(features, left_out),
        *(["  split: {validation: 0.15, test: 0.15, seed: 0}"] if held_out else []),
        "  standardize: true              # each feature to mean 0 and variance 1 over the training samples",
        "",
        "model:",
        "  layers:",
        "    - {type: dense, units: 16, activation: relu}",
        f"    - {{type: dense, units: {goal.units}}}    # {goal.why}",
        "",
        f"loss: {goal.loss}",
        "optimizer: {type: adam, learning_rate: 0.01}",
        f"training: {{epochs: 100, batch_size: {max(1, min(32, trained))}, shuffle: true}}",
        "initial_weights: shared          # the same in every framework",
        f"frameworks: [{', '.join(Experiment.model_fields['frameworks'].default)}]",
        "seeds: 1",
    ]
    return "\n".join(lines) + "\n"


def goal_of(cells: Sequence[str]) -> Goal:
    """Choose a regression for numbers, a classification for labels and few whole numbers from 0."""
    values = sorted({cell.strip() for cell in cells if not is_missing(cell)})
    classes = len(values)
    if all(is_number(value) for value in values):
        numbers = sorted({float(value) for value in values})
        classes = len(numbers)
        if numbers != [float(i) for i in range(classes)] or not 2 <= classes <= MAX_CLASSES:
            return Goal(loss="mse", units=1, why="one output, for one target")
    if classes == 2:
        return Goal(loss="binary_crossentropy", units=1, why="one logit for two classes, no sigmoid")
    return Goal(
        loss="categorical_crossentropy",
        units=max(classes, 2),
        why="one logit a class, no softmax before this loss",
    )


def _features(features: Sequence[str], left_out: Sequence[str]) -> list[str]:
    if not left_out:
        return ["  # features: every column but the target; name a list to take fewer"]
    listed = ", ".join(_quoted(column) for column in features)
    skipped = ", ".join(printable(column) for column in left_out)
    return [f"  features: [{listed}]", f"  # left out, since not every value is a number: {skipped}"]


def _quoted(text: str) -> str:
    """Return text as a YAML scalar: plain where that is safe, else as JSON, which YAML reads."""
    plain = text.isascii() and text.replace("_", "a").replace("/", "a").replace(".", "a").isalpha()
    reserved = text.lower() in ("true", "false", "null") or not any(c.isalpha() for c in text)
    return text if plain and not reserved else json.dumps(text, ensure_ascii=not text.isprintable())


def write_new(
    file: Path, *, example: str | None, csv: Path | None, target: str | None, force: bool
) -> list[Path]:
    """Write the job file, and an example's data beside it; returns what was written.

    Raises UsageError, DataError for a CSV file that cannot be read.
    """
    if example is not None and csv is not None:
        raise UsageError("--from and --csv exclude each other; keep one")
    if target is not None and csv is None:
        raise UsageError("--target goes with --csv FILE")
    if file.suffix.lower() not in SUFFIXES[:2]:
        raise UsageError(f"{printable(str(file))}: a job file's name ends in .yaml or .yml")
    copies: list[tuple[Path, Path]] = []
    if example is not None:
        if not is_example(example):
            names = [*example_names(), *gallery_names()]
            raise UsageError(f"--from {printable(example)}: no such example; {did_you_mean(example, names)}")
        text = example_path(example).read_text(encoding="utf-8")
        copies = [(data, file.with_name(data.name)) for data in _data_beside(example_path(example))]
    elif csv is not None:
        header, rows = first_rows(csv)
        path = os.path.relpath(csv, file.parent)
        text = for_csv(header=header, rows=rows, path=Path(path).as_posix(), name=_name(csv), target=target)
    else:
        text = starter()
    for wanted in (file, *(to for _, to in copies)):
        if wanted.exists() and not wanted.is_file():
            raise UsageError(f"{printable(str(wanted))} is not a regular file; name another to write to")
        if wanted.exists() and not force:
            raise UsageError(f"{printable(str(wanted))} is there already; --force writes over it")
    try:
        file.write_text(text, encoding="utf-8")
        for source, to in copies:
            shutil.copyfile(source, to)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{printable(str(error.filename or file))}: cannot be written: {reason}") from None
    return [file, *(to for _, to in copies)]


def _data_beside(example: Path) -> list[Path]:
    return [path for path in [example.with_suffix(".csv")] if path.is_file()]


def _name(csv: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", csv.stem)[:100].strip("-") or "job"
