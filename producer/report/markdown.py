"""Any document as Markdown: for an issue, a pull request or a notebook.

It has the sentences, the tables as GitHub has them, and the code that the document's page has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from likewise.producer.display import printable, visible
from likewise.producer.report import MARK
from likewise.producer.report.document import Document, Table
from likewise.producer.report.layout import Code, Heading, Page

_MARKUP = re.compile(r"[\\`*\[\]<|~$&]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that Markdown would read as more than text; an underscore within a word is none."""


_COMMENT = re.compile(r"[<>]|-{2,}")
"""What would end an HTML comment."""


def write_markdown(document: Document, stream: TextIO) -> None:
    """Write the document as Markdown."""
    stream.writelines(f"{line}\n" for line in _lines(document))


LONGEST_COMMENT = 60_000
"""GitHub takes comments of 65,536 letters; a longer document is cut to what says most."""


def write_comment(document: Document, stream: TextIO) -> None:
    """Write the document as a comment for a pull request, or a step's summary: the answer, the rest folded.

    Its first line is a mark that is not shown, by which a workflow finds the comment again to renew it.
    """
    name = document.title.partition(":")[0]
    head = [f"<!-- {MARK}: {_COMMENT.sub(' ', printable(name))} -->", f"### {_line(document.title)}"]
    head += _sentences(document.sentences)
    folded = ["", "<details><summary>Everything</summary>", *_body(document), "", "</details>"]
    if sum(len(line) + 1 for line in [*head, *folded]) > LONGEST_COMMENT:
        folded = ["", "What there is besides is too long for a comment."]
    text = "".join(f"{line}\n" for line in [*head, *folded])
    stream.write(text if len(text) <= LONGEST_COMMENT else f"{text[:LONGEST_COMMENT]} …\n")


def _lines(document: Document) -> Iterator[str]:
    yield f"# {_line(document.title)}"
    yield from _sentences(document.sentences)
    yield from _body(document)
    yield from ("", f"<!-- {MARK} -->")


def _body(document: Document) -> Iterator[str]:
    """Yield what stands below the sentences: tables, code and notes."""
    tables = [table for table in document.tables() if table.rows]
    for table in tables:
        yield from ("", f"## {_line(table.title)}", "")
        yield from _table(table)
    yield from _code(document.own_page(), titles=[table.title for table in tables])
    yield from _sentences(document.notes)


def _code(page: Page, *, titles: Sequence[str]) -> Iterator[str]:
    """Yield the sections of the page that have code, with nothing but that; no title stands twice."""
    for section in page.sections:
        blocks = [block for block in section.blocks if isinstance(block, Code | Heading)]
        if not any(isinstance(block, Code) for block in blocks):
            continue
        yield from ("", f"## {_line(section.title)}{', as code' if section.title in titles else ''}")
        for block in blocks:
            if isinstance(block, Heading):
                yield from ("", f"### {_line(block.text)}")
            else:
                yield from _fenced(block)


def _fenced(block: Code) -> Iterator[str]:
    """Yield code as it is, between fences longer than any within."""
    longest = max((len(found[0]) for found in re.finditer("`{3,}", block.text)), default=2)
    fence = "`" * (longest + 1)
    yield from ("", _line(block.says), "", fence, visible(block.text).rstrip(), fence)


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
