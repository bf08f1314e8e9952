"""What the commands share: their options, and how they answer, in which format and with which status."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.producer.cli import completing
from likewise.producer.output import loudness
from likewise.producer.report import FILE_FORMATS, FORMATS, TERMINAL, check_free, format_of, write, write_file
from likewise.shared.errors import UsageError

if TYPE_CHECKING:
    from likewise.producer.report.document import Document


LONGEST_TAG, LONGEST_NOTE = 50, 2_000
"""A tag and a note are no longer than this, in letters."""


def _known(form: str | None) -> str | None:
    """Refuse a format that there is not."""
    if form is not None and form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(map(repr, FORMATS))}.")
    return form


Spec = Annotated[
    str,
    typer.Argument(
        help="A job file, - for standard input, or a shipped example.", autocompletion=completing.specs
    ),
]
SpecOrId = Annotated[
    str,
    typer.Argument(
        help="A job file, - for standard input, a shipped example, or an experiment's id.",
        autocompletion=completing.specs_and_ids,
    ),
]
ExperimentId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="An experiment's id, its beginning, or last.", autocompletion=completing.ids
    ),
]
SetValues = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a setting, such as training.epochs=100.",
        autocompletion=completing.settings,
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="How many seeds, or which: 5, or 0,1,7; 7, with its comma is seed 7 alone."
    ),
]
Sides = Annotated[
    str | None,
    typer.Option(
        "--sides",
        metavar="A,B",
        help="Who trains it, such as torch:eager,torch:compiled or torch/float64,torch/float32; each is "
        "[LABEL=]FRAMEWORK[==VERSION][@DEVICE][:EXECUTION][/PRECISION].",
        autocompletion=completing.frameworks,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Form = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="|".join(FORMATS),
        callback=_known,
        autocompletion=completing.formats,
        help="How to print it; --json is --format json.",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Also write it to a file, in the format of its ending: "
        f"{', '.join(f'.{form}' for form in FILE_FORMATS)}.",
    ),
]
Only = Annotated[
    bool,
    typer.Option("--only", help="On a page, this alone, without the other experiments of its subject."),
]
Full = Annotated[
    bool,
    typer.Option("--full", help="In JSON: every curve and array of every seed, however many."),
]
NoTwin = Annotated[
    bool,
    typer.Option("--no-twin", help="Do not train again, in float64 and as it was, to know the rounding."),
]
NoTrace = Annotated[
    bool,
    typer.Option(
        "--no-trace", help="Do not replay step by step, nor switch settings, to find where they part and why."
    ),
]
QueueAnyway = Annotated[bool, typer.Option("--queue-anyway", help="Wait where no worker serves a side.")]


class Urgency(StrEnum):
    """The priorities are named as on the ledger."""

    high = "high"
    normal = "normal"
    low = "low"


class KindName(StrEnum):
    """The kinds of experiments are named as on the ledger."""

    comparison = "comparison"
    explanation = "explanation"
    bench = "bench"
    sweep = "sweep"
    port_check = "port-check"
    port_comparison = "port-comparison"
    port_explanation = "port-explanation"
    port_bench = "port-bench"
    bisection = "bisection"


KindOf = Annotated[
    KindName | None,
    typer.Option("--kind", help="What of it: what it was submitted as, if none."),
]
Priority = Annotated[
    Urgency,
    typer.Option("--priority", help="Runs of a higher one are taken first, on every worker."),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A name for this submission; the same name is not run twice."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="WORD",
        help="Tag it, to find it again; several --tag give several.",
        autocompletion=completing.tags,
    ),
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="A line on what it is for.")]
Resolved = Annotated[
    bool,
    typer.Option("--resolved", help="Show every setting in each side, and where its value came from."),
]


def say(line: str) -> None:
    """Say one line on the way to the answer, unless the command is to be quiet."""
    if loudness.get() != "quiet":
        typer.echo(line, err=True)


def put_lines(lines: Iterable[str], *, hang: int) -> None:
    """Print lines; a terminal has them folded between words.

    What follows of an indented line stands behind `hang` spaces.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines:
        folded = [line]
        if width is not None and len(line) > width:
            indent = " " * (min(hang, width // 3) if line[:1] == " " else 2)
            folded = textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)
        typer.echo("\n".join(folded))


def print_json(document: Any) -> None:
    """Print the answer as one JSON document."""
    from likewise.producer.display import json_text

    typer.echo(json_text(document))


def tags_of(given: list[str] | None) -> tuple[str, ...]:
    """Return the tags, each once. Raises UsageError for one that is no word."""
    for tag in given or ():
        if not tag or len(tag) > LONGEST_TAG or any(letter.isspace() or letter == "," for letter in tag):
            raise UsageError(
                f"--tag is {tag[:80]!r}; a tag is one word without commas, of {LONGEST_TAG} letters at most"
            )
    return tuple(dict.fromkeys(given or ()))


_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0}


def age_in_s(given: str, option: str) -> float:
    """Return an age such as `30d` in seconds. Raises UsageError."""
    number, unit = (given[:-1], given[-1]) if given[-1:] in _UNITS_S else (given, "d")
    try:
        age_s = float(number) * _UNITS_S[unit]
    except ValueError:
        age_s = -1.0
    if not 0 <= age_s < float("inf"):
        raise UsageError(f"{option} is {given!r}: give an age, such as 30d, 12h or 90m")
    return age_s


def note_of(given: str) -> str:
    """Return the note without spaces around it. Raises UsageError for one that is too long."""
    if len(given) > LONGEST_NOTE:
        raise UsageError(f"--note has {len(given):,} letters; at most {LONGEST_NOTE:,} are kept")
    return given.strip()


@dataclass(frozen=True, kw_only=True)
class Output:
    """This is the format in which a command prints its document, and the file that it writes besides."""

    form: str
    file: Path | None = None

    @classmethod
    def of(cls, form: str | None, *, as_json: bool, file: Path | None = None) -> Output:
        """Return what was asked for. Raises UsageError, before anything is trained."""
        if as_json and form not in (None, "json"):
            raise UsageError(
                f"--json is short for --format json, and --format is {form}; give one of the two"
            )
        if file is not None:
            check_file(file)
        return cls(form="json" if as_json else form or TERMINAL, file=file)

    @property
    def quiet(self) -> bool:
        """Return whether a program reads the answer, so that progress shows on a terminal alone."""
        return self.form != TERMINAL

    def wants(self, form: str) -> bool:
        """Return whether a format is printed or written."""
        return form in (self.form, self.file and format_of(self.file))

    def put(self, document: Document) -> None:
        """Write the file, if one is wanted, and print.

        Raises UsageError where the file cannot be written; what was trained for is printed all the same.
        """
        from likewise.producer.console import make_console

        unwritten: UsageError | None = None
        if self.file is not None:
            try:
                write_file(document, self.file)
                say(f"wrote {self.file}")
            except UsageError as error:
                unwritten = error
        make_console()  # which makes standard output write what it can where it cannot write all
        write(document, self.form, sys.stdout)
        if unwritten is not None:
            raise unwritten


def check_file(path: Path) -> None:
    """Refuse a file that could not be written. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as {path / 'report.html'}")
    format_of(path)
    check_free(path)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"{path} cannot be written: permission denied")
