"""Writing a new job file, never over another one unasked."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from producer.data.csv_file import first_rows
from producer.display import did_you_mean, printable
from producer.job.jobfile import SUFFIXES, example_names, example_path
from producer.job.starter import for_csv, starter
from shared.errors import UsageError


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
        if example not in example_names():
            raise UsageError(
                f"--from {printable(example)}: no such example; {did_you_mean(example, example_names())}"
            )
        text = example_path(example).read_text(encoding="utf-8")
        copies = [(data, file.with_name(data.name)) for data in _data_beside(example_path(example))]
    elif csv is not None:
        header, rows = first_rows(csv)
        path = os.path.relpath(csv, file.parent)
        text = for_csv(header=header, rows=rows, path=Path(path).as_posix(), name=_name(csv), target=target)
    else:
        text = starter()
    for wanted in (file, *(to for _, to in copies)):
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
