"""What every format lays out: a document's title, sentences, tables and values, and its JSON form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table as TextTable
from rich.text import Text

from likewise.producer.console import bullet, make_console, plain_table, write
from likewise.producer.display import json_text, printable

if TYPE_CHECKING:
    from likewise.producer.report.layout import Page

_WIDEST = 1_000


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table is text for readers; its first column names the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Value:
    """A value is one number or word for programs, in full precision."""

    table: str
    """What it is a value of, such as `runs` or `losses`."""
    row: str
    """Which one of that, such as `final_loss` or the epoch."""
    value: Any
    """A number, a word, None where it is missing, or a list or dict as a setting may have it."""
    side: str = ""
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check is one thing that a document says to hold or not, as continuous integration shows tests."""

    name: str
    state: Literal["passed", "failed", "error", "skipped"]
    """`error` where there is nothing to judge, since a training failed."""
    text: str = ""


class Document(ABC):
    """A document is what a command has to say, whatever the format."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Return the document in a few words."""

    @property
    def sentences(self) -> Sequence[str]:
        """Return what it says in words, the most important first."""
        return ()

    @property
    def notes(self) -> Sequence[str]:
        """Return what a reader should know besides, said after the tables."""
        return ()

    @abstractmethod
    def tables(self) -> Iterable[Table]:
        """Return the tables that readers see, in order."""

    @abstractmethod
    def values(self) -> Iterable[Value]:
        """Return every value by itself, as a spreadsheet or a data frame wants them."""

    def checks(self) -> Iterable[Check]:
        """Return what the document says to hold or not; nothing where it judges nothing."""
        return ()

    @abstractmethod
    def to_json(self) -> Any:
        """Return the public JSON document: plain dicts, lists, strings and finite numbers."""

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows, part by part."""
        yield from (Text(printable(sentence)) for sentence in self.sentences)
        for table in self.tables():
            if table.rows:
                yield fitting(table, console)

    def page(self) -> Page:
        """Return what its page shows: the sentences and tables, where a document has no page of its own."""
        from likewise.producer.report.layout import Grid, Page, Section

        first, *more = [*self.sentences, ""]
        return Page(
            title=self.title,
            lead=first,
            reasons=[sentence for sentence in more if sentence],
            sections=[
                Section(table.title, [Grid(caption="", columns=table.columns, rows=table.rows, folds=True)])
                for table in self.tables()
                if table.rows
            ],
            foot=self.notes,
        )

    def own_page(self) -> Page:
        """Return the page of the document alone, of which other formats take code and the head's picture."""
        return self.page()


def print_parts(document: Document, console: Console) -> None:
    """Print a document on a console."""
    if parts := list(document.parts(console)):
        write(console, *parts)


def titled_parts(document: Document, console: Console) -> Iterator[RenderableType]:
    """Yield the title, the sentences as a list, every table under its title, and the notes."""
    yield Text(printable(document.title), style="bold")
    yield ""
    yield from bullets(document.sentences, console)
    for table in document.tables():
        if table.rows:
            yield Text(printable(table.title), style="bold")
            yield fitting(table, console)
            yield ""
    yield from (Text(printable(note), style="dim", overflow="fold") for note in document.notes)


def fitting(table: Table, console: Console, colours: Mapping[str, str] | None = None) -> RenderableType:
    """Return a table, or a block a row where its words would not fit beside each other."""
    shown = text_table(table, colours)
    needed = Measurement.get(console, console.options.update(width=_WIDEST), shown).minimum
    if not console.is_terminal or needed <= console.width:
        return shown
    lines: list[RenderableType] = []
    for first, *rest in table.rows:
        lines.append(Text(printable(first), style="bold", overflow="fold"))
        for name, cell in zip(table.columns[1:], rest, strict=True):
            if cell:
                line = Text(f"  {printable(name)}  ", style="dim", overflow="fold")
                lines.append(line.append(printable(cell), style=(colours or {}).get(cell, "not dim")))
    return Group(*lines)


def text_table(table: Table, colours: Mapping[str, str] | None = None) -> TextTable:
    """Return a table for a terminal; `colours` are those of words in it."""
    shown = plain_table(*map(printable, table.columns))
    for row in table.rows:
        shown.add_row(*(Text(printable(cell), style=(colours or {}).get(cell, "")) for cell in row))
    return shown


def write_terminal(document: Document, stream: TextIO) -> None:
    """Write for a reader at a terminal, or in a pipe."""
    print_parts(document, make_console(stream))


def write_json(document: Document, stream: TextIO) -> None:
    """Write the JSON document on several lines."""
    stream.write(f"{json_text(document.to_json())}\n")


def bullets(sentences: Iterable[str], console: Console) -> Iterator[RenderableType]:
    """Yield sentences as a list, and an empty line after it where there is any."""
    several = [bullet(sentence, console) for sentence in sentences]
    yield from several
    if several:
        yield ""
