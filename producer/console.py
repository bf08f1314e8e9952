"""The terminal that text goes to: what it can show decides how text is dressed, never what is said."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from likewise.producer.display import printable, visible
from likewise.producer.output import loudness

TEXT_WIDTH = 96
"""Sentences are not folded wider than this: long lines are hard to read."""
PIPE_WIDTH = 10_000
"""Where nobody looks, nothing is folded: a sentence is a line and a number is whole."""


class _Console(Console):
    """Prints text with what could steer a terminal, or turn the reading, escaped."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does; what is not plain text has escaped its own words."""
        super().print(*(visible(one) if isinstance(one, str) else one for one in objects), **options)


def make_console(stream: TextIO | None = None, *, width: int | None = None) -> Console:
    """Return a console on a stream or on standard output; Rich honours `NO_COLOR`, `COLUMNS` and `TERM`."""
    stream = sys.stdout if stream is None else stream
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    asked: dict[str, Any] = {"file": stream, "width": width, "highlight": False, "emoji": False}
    console = _Console(**asked, markup=False, force_jupyter=False)
    if console.no_color:  # by NO_COLOR, which asks for bold and dim to go, too
        console = _Console(**asked, markup=False, force_jupyter=False, color_system=None)
    if width is None and not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def write(console: Console, *parts: RenderableType) -> None:
    """Print parts one under another; what is not a terminal gets no blanks at the ends of lines."""
    if console.is_terminal:
        console.print(*parts, sep="\n")
        return
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def plain_table(*columns: str) -> Table:
    """Return a table without lines, which looks the same everywhere."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def bullet(sentence: str, console: Console) -> RenderableType:
    """Return a sentence of a list, folded where it stays easy to read; one line off a terminal."""
    dot = Text("•", style="dim") if console.is_terminal else Text("-")
    return marked(dot, Text(printable(sentence)), console)


def marked(mark: Text, text: Text, console: Console) -> RenderableType:
    """Return a text behind a mark of one character, folded as `bullet` does it."""
    if not console.is_terminal:
        return Text.assemble(mark, " ", text)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(max_width=min(console.width - 3, TEXT_WIDTH))
    grid.add_row(mark, text)
    return grid


def progress_console() -> Console:
    """Return the console of everything that is not the result: standard error."""
    console = make_console(sys.stderr)
    console.quiet = loudness.get() == "quiet"
    return console
