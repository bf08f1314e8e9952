"""What Likewise prints: every document in every format.

A document (`document`) is what a command has to say: a comparison, an explanation, a bench, a sweep, a list.
A format lays any document out. A new format is one module and one line in `FORMATS`; a new document is one
module with a `Document`.

page, layout             the page, which has figures: figures_* make them
picture, chart, canvas   figures as files, and `plot` in a terminal
markdown, spreadsheet, junit
                         the other formats
comparison, comparison_*, truth, specimens
                         a comparison, whose tables have a cell for each side
bench, explanation, explanation_tables, history, port, port_training, sweep, *_page
                         the other large documents, with what their pages have besides
bisection, data, examples, golden, predictions, resolved, status, verification
                         the smaller ones
subject                  several experiments on one page

Importing this package imports nothing else, since `--help` names the formats.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from likewise.shared.errors import UsageError

if TYPE_CHECKING:
    from likewise.producer.report.document import Document

TERMINAL = "terminal"
FORMATS = {
    TERMINAL: "likewise.producer.report.document:write_terminal",
    "json": "likewise.producer.report.document:write_json",
    "html": "likewise.producer.report.page:write_html",
    "md": "likewise.producer.report.markdown:write_markdown",
    "comment": "likewise.producer.report.markdown:write_comment",
    "csv": "likewise.producer.report.spreadsheet:write_csv",
    "parquet": "likewise.producer.report.spreadsheet:write_parquet",
    "xml": "likewise.producer.report.junit:write_junit",
    "svg": "likewise.producer.report.picture:write_svg",
    "png": "likewise.producer.report.picture:write_png",
}
"""Each format and the function that writes a document to a stream in it."""
MARK = "Written by Likewise"
"""What files say of where they come from, in a place that no reader sees."""
_MARKS = (MARK.encode(), b"table,row,side,seed,value,text", b'"schema_version"', b'"experiment_id"')
BINARY = ("png", "parquet")
"""The formats that are no text."""
FILE_FORMATS = tuple(name for name in FORMATS if name not in (TERMINAL, "comment"))
"""The formats of files, which are chosen by their endings."""


def write(document: Document, form: str, stream: TextIO) -> None:
    """Write a document to a stream in a format of `FORMATS`."""
    module, _, function = FORMATS[form].partition(":")
    writer: Callable[[Document, Any], None] = getattr(import_module(module), function)
    writer(document, stream.buffer if form in BINARY else stream)


def write_file(document: Document, path: Path) -> None:
    """Write a document to a file, in the format of its ending: the whole of it, or nothing.

    Raises UsageError where that is impossible.
    """
    form = format_of(path)
    check_free(path)
    place = path.resolve()
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            write(document, form, file)
        part.replace(place)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}").about(path) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def check_free(path: Path) -> None:
    """Refuse to write over a file that Likewise has not written. Raises UsageError."""
    if path.is_file() and not _ours(path):
        raise UsageError(f"{path} is there already, and Likewise has not written it; name another").about(
            path
        )


def _ours(path: Path) -> bool:
    """Return whether a file is a report, which may be written anew; an empty one may, too."""
    with suppress(OSError), path.open("rb") as file:
        begin = file.read(4_000)
        file.seek(max(0, path.stat().st_size - 4_000))
        return not begin or any(mark in begin + file.read() for mark in _MARKS)
    return True  # whoever writes it says why it cannot


def format_of(path: Path) -> str:
    """Return the format that a file's ending names. Raises UsageError for another ending, or a device."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a regular file; name another to write to")
    form = path.suffix.lower().removeprefix(".")
    if form not in FILE_FORMATS:
        endings = [f".{name}" for name in FILE_FORMATS]
        raise UsageError(
            f"{path} has no ending that names a format; end it in {', '.join(endings[:-1])} or {endings[-1]}"
        )
    return form
