"""On a terminal of 40 columns nothing is lost: no name, no number, no line that is cut."""

from __future__ import annotations

import io
import sys
from types import ModuleType

import pytest
from rich.console import Console

from likewise.producer.bench.models import Rank
from likewise.producer.cli.options import put_lines
from likewise.producer.doctor import Finding
from likewise.producer.report.bench import BenchDocument
from likewise.producer.report.document import Document, print_parts
from likewise.producer.report.explanation import ExplanationDocument
from likewise.producer.report.status import HealthDocument
from tests.unit.report.test_formats import bench, explanation


def printed(document: Document, width: int = 40) -> str:
    stream = io.StringIO()
    print_parts(
        document, Console(file=stream, width=width, force_terminal=True, no_color=True, color_system=None)
    )
    return stream.getvalue()


def test_a_ranking_keeps_the_names_of_what_was_timed(samples: ModuleType) -> None:
    one = bench(samples)
    first = Rank(
        side="torch-auto",
        framework="torch",
        variant="auto",
        median_s=0.1,
        ratio=1.0,
        ratio_interval=None,
        slower=False,
    )
    ranked = first.model_copy(update={"ratio": 44.2, "ratio_interval": (38.2, 56.1)})
    ranking = {"ranking": (first, ranked), "ranking_withheld_because": None}
    text = printed(BenchDocument(one.model_copy(update=ranking)))

    assert "…" not in text
    assert any(line.startswith("torch auto") and "44.2" in line for line in text.splitlines())
    assert {"44.2", "38.2", "56.1)"} <= set(text.replace("(", " ").split())
    assert max(map(len, text.splitlines())) <= 40


def test_an_explanation_keeps_both_values_the_share_and_its_interval() -> None:
    text = printed(ExplanationDocument([explanation()]))

    for word in (
        "1  loss.reduction",
        "tensorflow  mean",
        "torch  sum",
        "share  75 %",
        "interval  50 to 100 %",
    ):
        assert word in text
    assert max(map(len, text.splitlines())) <= 40


def test_a_comment_that_folds_stays_a_comment() -> None:
    part = explanation().contributions[0]
    long = "# layers.0 and layers.1: kernel_initializer to glorot_uniform, as in tensorflow\nx = 1"
    changed = explanation().model_copy(
        update={"contributions": (part.model_copy(update={"fixes": {"torch": long}}),)}
    )
    lines = [line.strip() for line in printed(ExplanationDocument([changed])).splitlines()]
    begin = lines.index("torch like tensorflow:") + 1

    code = lines[begin : lines.index("x = 1")]
    assert len(code) > 1
    assert all(line.startswith("# ") for line in code)


def test_what_the_doctor_finds_is_below_its_name() -> None:
    path = "/home/somebody/.local/state/likewise/environments/tensorflow"
    text = printed(
        HealthDocument(findings=[Finding(link="tensorflow", state="wrong", found=path, mend="likewise up")])
    )

    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "wrong  tensorflow"
    assert "".join(lines[1:-1]) == path
    assert lines[-1] == "→ likewise up"


def test_lines_of_a_command_are_folded_between_words_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "  data        csv: 84 training samples, 18 validation, 18 test; regression"
    monkeypatch.setenv("COLUMNS", "40")

    put_lines([line], hang=14)
    assert capsys.readouterr().out == f"{line}\n"

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    put_lines([line], hang=14)
    folded = capsys.readouterr().out.splitlines()
    assert max(map(len, folded)) <= 40
    assert [one[:2] for one in folded] == ["  "] * len(folded)
    assert " ".join(" ".join(folded).split()) == " ".join(line.split())
