"""How the stack's commands speak: answers on stdout, words on the way on stderr."""

from __future__ import annotations

import json
from typing import Any

import typer


def say(line: str) -> None:
    """One line on the way to the answer."""
    typer.echo(line, err=True)


def print_json(document: Any) -> None:
    """The answer, as one JSON document."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
