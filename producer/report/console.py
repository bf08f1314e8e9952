"""The terminal that text goes to: what it can show decides how text is dressed, never what is said."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

PIPE_WIDTH = 10_000
"""Where nobody looks, nothing is folded: a sentence is a line and a number is whole."""


def make_console(stream: TextIO | None = None, *, width: int | None = None) -> Console:
    """A console on a stream (standard output); `NO_COLOR`, `COLUMNS` and `TERM` are Rich's to honour."""
    stream = sys.stdout if stream is None else stream
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    console = Console(file=stream, width=width, highlight=False, emoji=False, markup=False)
    if width is None and not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def progress_console() -> Console:
    """The console of everything that is not the result: standard error."""
    return make_console(sys.stderr)
