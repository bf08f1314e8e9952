"""New job files: the commented starter, a copy of an example, or one made for a CSV file.

No file is written over another one unasked.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from likewise.producer.display import did_you_mean, printable
from likewise.producer.job import jobtext
from likewise.producer.job.examples import example_names, example_path, gallery_names, is_example
from likewise.producer.job.jobfile import SUFFIXES, LoadedExperiment, validate
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.job.table_job import TableJob, for_table
from likewise.shared.errors import UsageError


def starter() -> str:
    """Return the commented starter."""
    return files("likewise.producer").joinpath("starter.yaml").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class NewFiles:
    """They are the files that were written, and for a table what becomes of its columns."""

    written: tuple[Path, ...]
    table: TableJob | None = None


def write_new(
    file: Path, *, example: str | None, csv: Path | None, targets: Sequence[str], force: bool
) -> NewFiles:
    """Write the job file, and an example's data beside it; a job for a table is one that `validate` takes.

    Raises UsageError, DataError for a table that cannot be read.
    """
    if example is not None and csv is not None:
        raise UsageError("--from and --csv exclude each other; keep one")
    if targets and csv is None:
        raise UsageError("--target goes with --csv FILE")
    if file.suffix.lower() not in SUFFIXES[:2]:
        raise UsageError(f"{printable(str(file))}: a job file's name ends in .yaml or .yml")
    if not file.absolute().parent.is_dir():
        raise UsageError(
            f"{printable(str(file))}: there is no folder {printable(str(file.parent))}; make it first"
        )
    check_free(file, force=force)
    copies: list[tuple[Path, Path]] = []
    made: TableJob | None = None
    if example is not None:
        if not is_example(example):
            raise UsageError(f"--from {printable(example)}: {_no_example(example)}")
        text = example_path(example).read_text(encoding="utf-8")
        copies = [(data, file.with_name(data.name)) for data in _data_beside(example_path(example))]
    elif csv is not None:
        path = Path(os.path.relpath(csv, file.parent)).as_posix()
        made = for_table(csv, path=path, name=_name(csv), targets=targets)
        text = made.text
    else:
        text = starter()
    for _, wanted in copies:
        check_free(wanted, force=force)
    if made is not None:
        declared = validate(jobtext.read_yaml(text), str(file))
        prepare_experiment(LoadedExperiment(experiment=declared, source=str(file), base=file.parent))
    try:
        file.write_text(text, encoding="utf-8")
        for source, to in copies:
            shutil.copyfile(source, to)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{printable(str(error.filename or file))}: cannot be written: {reason}") from None
    return NewFiles(written=(file, *(to for _, to in copies)), table=made)


def check_free(file: Path, *, force: bool) -> None:
    """Refuse to write over what is no regular file, or over one unasked. Raises UsageError."""
    if file.exists() and not file.is_file():
        raise UsageError(f"{printable(str(file))} is not a regular file; name another to write to")
    if file.exists() and not force:
        raise UsageError(f"{printable(str(file))} is there already; --force writes over it")


def _data_beside(example: Path) -> list[Path]:
    return [path for path in [example.with_suffix(".csv")] if path.is_file()]


def _name(csv: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", csv.stem)[:100].strip("-") or "job"


def _no_example(given: str) -> str:
    """Say what is wrong with what is given for an example's name."""
    if Path(given).is_file():
        return f"is a file and no example's name; a job for a table: --csv {printable(given)}"
    return f"no such example; {did_you_mean(given, [*example_names(), *gallery_names()])}"
