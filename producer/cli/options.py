"""The options that several commands have, once, and how a command answers in words and in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.errors import UsageError

Spec = Annotated[str, typer.Argument(help="A job file, - for standard input, or a shipped example.")]
SetValues = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting, such as training.epochs=100."),
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
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Full = Annotated[
    bool, typer.Option("--full", help="With --json: every curve and array of every seed, however many.")
]
QueueAnyway = Annotated[bool, typer.Option("--queue-anyway", help="Wait where no worker serves a framework.")]
Key = Annotated[str | None, typer.Option(help="A name for this submission; the same name is not run twice.")]
Resolved = Annotated[
    bool,
    typer.Option("--resolved", help="Show every setting in each side, and where its value came from."),
]


def say(line: str) -> None:
    """One line on the way to the answer."""
    typer.echo(line, err=True)


def print_json(document: Any) -> None:
    """The answer, as one JSON document."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def check_page_path(path: Path | None) -> None:
    """Refuse a page that could not be written, before anything is trained."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as {path / 'report.html'}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.absolute().parent}")
