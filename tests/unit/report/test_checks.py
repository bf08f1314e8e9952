"""What continuous integration reads: JUnit's XML, a comment for a pull request, every number as Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pyarrow.csv
import pyarrow.parquet
import pytest

from likewise.producer.report import write, write_file
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.document import Check, Document, Table, Value
from likewise.producer.report.markdown import LONGEST_COMMENT


class Checked(Document):
    """A document with a check of each kind, and as many rows as are asked for."""

    def __init__(self, rows: int = 1) -> None:
        self.rows = rows

    @property
    def title(self) -> str:
        return "it --> <b>: \x00 & done"

    def tables(self) -> Iterable[Table]:
        yield Table(title="t", columns=["", "a"], rows=[[str(row), "x" * 50] for row in range(self.rows)])

    def values(self) -> Iterator[Value]:
        yield Value(table="t", row="r", side="s", seed=3, value=0.1 + 0.2)
        yield Value(table="t", row="w", value="=1+1")
        yield Value(table="t", row="n", value=None)

    def checks(self) -> Iterator[Check]:
        yield Check(name="a", state="passed", text="fine")
        yield Check(name="b <", state="failed", text="first\nsecond \x1b[2J")
        yield Check(name="c", state="error", text="died")
        yield Check(name="d", state="skipped", text="left out")

    def to_json(self) -> Any:
        return {}


def text(document: Document, form: str) -> str:
    stream = io.StringIO()
    write(document, form, stream)
    return stream.getvalue()


def test_junit_has_a_test_for_each_check_with_its_state() -> None:
    suite = ElementTree.fromstring(text(Checked(), "xml")).find("testsuite")
    assert suite is not None
    counted = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    cases = {case.get("name"): [one.tag for one in case] for case in suite.iter("testcase")}
    assert cases == {"a": ["system-out"], "b <": ["failure"], "c": ["error"], "d": ["skipped"]}
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("first", "first\nsecond \\x1b[2J")


@pytest.mark.parametrize(("verdict", "failures"), [("agree", "0"), ("differ", "1"), ("inconclusive", "1")])
def test_a_comparison_fails_in_junit_unless_its_sides_agree(
    samples: ModuleType, verdict: str, failures: str
) -> None:
    comparison = samples.article().model_copy(update={"verdict": verdict})
    suite = ElementTree.fromstring(text(ComparisonDocument(comparison=comparison), "xml")).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", failures, "0")


def test_a_comment_has_the_answer_and_folds_the_rest(samples: ModuleType) -> None:
    document = ComparisonDocument(comparison=samples.article())
    said = text(document, "comment")
    lines = said.splitlines()
    assert lines[0] == "<!-- Written by Likewise: article -->"
    assert lines[1].startswith("### article")
    answer, _, rest = said.partition("<details>")
    assert "What each side ended with" not in answer
    assert "What each side ended with" in rest
    assert rest.rstrip().endswith("</details>")
    assert all(said.count(sentence) == 1 for sentence in document.sentences)


def test_a_comment_has_the_code_of_the_page_with_its_comments(samples: ModuleType) -> None:
    document = ComparisonDocument(comparison=samples.article())
    whole, said = text(document, "md"), text(document, "comment")
    blocks = [block for block in whole.split("```")[1::2] if block.startswith("\n# ")]
    assert blocks
    assert all(block in said for block in blocks)
    headings = [line for line in whole.splitlines() if line.startswith("## ")]
    assert len(set(headings)) == len(headings)


def test_a_comment_is_never_longer_than_github_takes() -> None:
    assert "</details>" in text(Checked(rows=100), "comment")
    said = text(Checked(rows=5_000), "comment")
    assert len(said) <= LONGEST_COMMENT
    assert "too long for a comment" in said
    assert said.splitlines()[0].count("-->") == 1


def test_parquet_has_what_csv_has_with_types_and_without_guards(tmp_path: Any) -> None:
    for form in ("csv", "parquet"):
        write_file(Checked(), tmp_path / f"it.{form}")
    rows = pyarrow.parquet.read_table(tmp_path / "it.parquet").to_pylist()
    assert rows == [
        {"table": "t", "row": "r", "side": "s", "seed": 3, "value": 0.1 + 0.2, "text": None},
        {"table": "t", "row": "w", "side": "", "seed": None, "value": None, "text": "=1+1"},
        {"table": "t", "row": "n", "side": "", "seed": None, "value": None, "text": None},
    ]
    assert pyarrow.csv.read_csv(tmp_path / "it.csv").column_names == list(rows[0])
