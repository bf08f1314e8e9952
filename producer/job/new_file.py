"""New job files: the commented starter, a copy of an example, or one made for a table or for images.

No file is written over another one unasked.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from likewise.producer.display import both, did_you_mean, printable
from likewise.producer.job import jobtext
from likewise.producer.job.examples import example_names, example_path, gallery_names, is_example
from likewise.producer.job.image_job import for_images
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


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """It is what a new job file is for; nothing of it means the starter."""

    example: str | None = None
    csv: Sequence[Path] = ()
    """The files of a table, or patterns of their names."""
    targets: Sequence[str] = ()
    images: Path | None = None
    """A folder with a folder of images a class."""


def write_new(file: Path, wanted: NewJob, *, force: bool) -> NewFiles:
    """Write the job file, and an example's data beside it; a job for data is one that `validate` takes.

    Raises UsageError, DataError for data that cannot be read.
    """
    _check(file, wanted)
    check_free(file, force=force)
    copies: list[tuple[Path, Path]] = []
    made: TableJob | None = None
    if wanted.example is not None:
        example = example_path(wanted.example)
        text = example.read_text(encoding="utf-8")
        copies = [(data, file.with_name(data.name)) for data in _data_beside(example)]
    elif wanted.csv:
        tables = _matching(wanted.csv)
        paths = [_from(file, table) for table in tables]
        made = for_table(tables, paths=paths, name=_name(tables[0].stem), targets=wanted.targets)
        text = made.text
    elif wanted.images is not None:
        path = _from(file, wanted.images)
        text = for_images(wanted.images, path=path, name=_name(wanted.images.resolve().name))
    else:
        text = starter()
    for _, copy in copies:
        check_free(copy, force=force)
    if wanted.csv or wanted.images is not None:
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


def _check(file: Path, wanted: NewJob) -> None:
    """Raise UsageError for options that do not go together, and for what cannot be a job file."""
    given = {"--from": wanted.example, "--csv": wanted.csv or None, "--images": wanted.images}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise UsageError(f"{both(named)} exclude each other; keep one")
    if wanted.targets and not wanted.csv:
        raise UsageError("--target goes with --csv FILE")
    if wanted.example is not None and not is_example(wanted.example):
        raise UsageError(f"--from {printable(wanted.example)}: {_no_example(wanted.example)}")
    folder = next((one for one in wanted.csv if one.is_dir()), None)
    if folder is not None:
        shown = printable(str(folder))
        raise UsageError(
            f"--csv {shown}: is a folder; for a table name its files, such as '{shown}/*.csv', and for a "
            f"folder of images a class: --images {shown}"
        )
    if wanted.images is not None and not wanted.images.is_dir():
        raise UsageError(f"--images {printable(str(wanted.images))}: there is no such folder")
    if file.suffix.lower() not in SUFFIXES[:2]:
        told = "a job file's name ends in .yaml or .yml"
        if wanted.csv and file.exists():
            told += "; for more files of a table say --csv before each, or give a pattern in quotes: '*.csv'"
        raise UsageError(f"{printable(str(file))}: {told}")
    if not file.absolute().parent.is_dir():
        raise UsageError(
            f"{printable(str(file))}: there is no folder {printable(str(file.parent))}; make it first"
        )


def _from(file: Path, data: Path) -> str:
    """Return the path of data as a job file names it."""
    return Path(os.path.relpath(data, file.parent)).as_posix()


def _matching(given: Sequence[Path]) -> list[Path]:
    """Return the files that are given, each pattern's in the order of their names. Raises UsageError."""
    found: list[Path] = []
    for one in given:
        names = (
            [one] if one.exists() or not glob.has_magic(str(one)) else sorted(map(Path, glob.glob(str(one))))
        )
        if not names:
            raise UsageError(f"--csv {printable(str(one))}: no file has such a name")
        found += names
    if len(set(found)) < len(found):
        twice = next(one for one in found if found.count(one) > 1)
        raise UsageError(f"--csv {printable(str(twice))}: is given twice, and its rows would count twice")
    return found


def check_free(file: Path, *, force: bool) -> None:
    """Refuse to write over what is no regular file, or over one unasked. Raises UsageError."""
    if file.exists() and not file.is_file():
        raise UsageError(f"{printable(str(file))} is not a regular file; name another to write to")
    if file.exists() and not force:
        raise UsageError(f"{printable(str(file))} is there already; --force writes over it")


def _data_beside(example: Path) -> list[Path]:
    return [path for path in [example.with_suffix(".csv")] if path.is_file()]


def _name(data: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", data)[:100].strip("-") or "job"


def _no_example(given: str) -> str:
    """Say what is wrong with what is given for an example's name."""
    if Path(given).is_file():
        return f"is a file and no example's name; a job for a table: --csv {printable(given)}"
    return f"no such example; {did_you_mean(given, [*example_names(), *gallery_names()])}"
