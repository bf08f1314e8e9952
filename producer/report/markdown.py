"""Any document as Markdown, with the tables of GitHub: for an issue, a pull request or a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from likewise.producer.display import printable
from likewise.producer.report.document import Document, Table

_MARKUP = re.compile(r"[\\`*\[\]<|~$&]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that Markdown would read as more than text; an underscore within a word is none."""


def write_markdown(document: Document, stream: TextIO) -> None:
    """Write the document as Markdown."""
    stream.writelines(f"{line}\n" for line in _lines(document))


def _lines(document: Document) -> Iterator[str]:
    yield f"# {_line(document.title)}"
    yield from _sentences(document.sentences)
    for table in document.tables():
        if table.rows:
            yield from ("", f"## {_line(table.title)}", "")
            yield from _table(table)
    yield from _sentences(document.notes)


def _sentences(sentences: Sequence[str]) -> Iterator[str]:
    """Yield one sentence as a paragraph, several as a list."""
    if not sentences:
        return
    yield ""
    mark = "- " if len(sentences) > 1 else ""
    yield from (f"{mark}{_line(sentence)}" for sentence in sentences)


def _table(table: Table) -> Iterator[str]:
    yield _row(table.columns)
    yield f"|{' --- |' * len(table.columns)}"
    yield from map(_row, table.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _line(text: str) -> str:
    """Return the text so that it is read as nothing but text where a line begins, too."""
    plain = _text(text)
    begin = re.match(r"\d{1,9}(?=[.)](\s|$))|(?=[-+#>])", plain)
    return plain if begin is None else f"{begin[0]}\\{plain[begin.end() :]}"


def _text(text: str) -> str:
    """Return the text so that it is read as nothing but text within a line."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", printable(text))
