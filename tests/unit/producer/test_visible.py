"""What could steer a terminal, turn the reading or run as code is shown and does nothing, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import pytest

from likewise.producer.console import make_console
from likewise.producer.display import json_text, visible
from likewise.producer.report import BINARY, FORMATS, write
from likewise.producer.report.document import Document, Table, Value

HOSTILE = {
    "escape": "a\x1b[2J\x1b]0;owned\x07b",
    "C1 escape": "a\x9b31mb",
    "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b\u2069",
    "nothing": "a\u200bb\ufeff",
    "HTML": "<script>alert(1)</script>",
    "formula": "=HYPERLINK(1)",
    "backspaces": "a\b\b\bevil\r",
}


class Hostile(Document):
    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def title(self) -> str:
        return self._text

    @property
    def sentences(self) -> list[str]:
        return [self._text]

    def tables(self) -> Iterable[Table]:
        return [Table(title=self._text, columns=["name", self._text], rows=[[self._text, self._text]])]

    def values(self) -> Iterable[Value]:
        return [Value(table="runs", row=self._text, value=self._text)]

    def to_json(self) -> Any:
        return {"name": self._text}


def written(text: str, form: str) -> str:
    stream = io.StringIO()
    write(Hostile(text), form, stream)
    return stream.getvalue()


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in BINARY])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_unseen_is_left(name: str, form: str) -> None:
    found = written(HOSTILE[name], form)
    unseen = {c for c in found if not c.isprintable() and c not in "\n"}
    assert unseen <= ({"\r"} if form == "csv" else set())
    assert "\r" not in found.replace("\r\n", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_program_reads_the_very_text_from_json(name: str) -> None:
    assert json.loads(json_text({"name": HOSTILE[name]})) == {"name": HOSTILE[name]}
    assert json.loads(written(HOSTILE[name], "json")) == {"name": HOSTILE[name]}


def test_markup_is_text_on_a_page_and_in_markdown() -> None:
    assert "<script>alert" not in written(HOSTILE["HTML"], "html")
    assert written(HOSTILE["HTML"], "md").count("<script>") == written(HOSTILE["HTML"], "md").count(
        "\\<script>"
    )


def test_a_formula_is_text_in_a_spreadsheet() -> None:
    rows = list(csv.reader(io.StringIO(written(HOSTILE["formula"], "csv"))))
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_a_line_of_a_command_has_nothing_unseen_either() -> None:
    """Such as the note that `likewise label` prints, and which another may have written."""
    stream = io.StringIO()
    make_console(stream).print("a\x1b[31mb\u202ec\nd")
    assert stream.getvalue() == "a\\x1b[31mb\\u202ec\nd\n"


def test_lines_stay_lines() -> None:
    assert visible("one\ntwo\x1b[0m") == "one\ntwo\\x1b[0m"
