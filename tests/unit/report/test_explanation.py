"""The explanation as text at two widths and in a pipe, and as a page.

After a change that is meant, APPROVE=1 writes the golden texts anew; read the diff.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from likewise.producer.console import make_console
from likewise.producer.report.document import print_parts
from likewise.producer.report.explanation import ExplanationDocument
from likewise.producer.report.page import html_of

GOLDEN = Path(__file__).with_name("golden")
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def explanations(bench):
    """By name."""

    def explained(overrides, **changes):
        return lambda: bench.explain(bench.plan(overrides, training={"epochs": 60}, **changes))

    return {
        "article": explained({"loss.reduction": "sum"}, initial_weights="framework"),
        "three": explained({"loss.reduction": "sum", "optimizer.momentum": 0.3, "training.epochs": 50}),
        "diverging": explained({"optimizer.learning_rate": 0.5}),
        "alike": explained({"training.shuffle": True}),
    }


def terminal(explanation, width):
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=True, highlight=False, markup=False, legacy_windows=False,
        color_system=None,
    )  # fmt: skip
    print_parts(ExplanationDocument([explanation]), console)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", ["article", "three", "diverging", "alike"])
def test_the_text_is_as_it_was_approved(explanations, name, width):
    text = terminal(explanations[name](), width)
    golden = GOLDEN / f"explanation-{name}-{width}.txt"
    if os.environ.get("APPROVE"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")

    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(explanations, width):
    assert all(len(line) <= width for line in terminal(explanations["three"](), width).splitlines())


def test_a_pipe_gets_whole_lines_and_no_escape_codes(explanations):
    stream = io.StringIO()
    explanation = explanations["article"]()
    print_parts(ExplanationDocument([explanation]), make_console(stream))

    lines = stream.getvalue().splitlines()
    assert explanation.sentence in lines
    for fix in explanation.contributions[0].fixes.values():
        assert {f"   {line}" for line in fix.splitlines()} <= set(lines), "each line is indented"
    assert "\x1b" not in stream.getvalue()


def test_the_page_has_the_sentence_every_setting_and_its_code(explanations):
    explanation = explanations["three"]()
    page = html_of(ExplanationDocument([explanation]).page())

    assert explanation.sentence in page
    assert "loss.<wbr>reduction" in page
    assert "default-src &#39;none&#39;" in page
    assert "nn.MSELoss(reduction=&#34;mean&#34;)" in page


def test_what_users_write_is_escaped_on_the_page(explanations):
    explanation = explanations["article"]()
    (one,) = explanation.contributions
    nasty = one.model_copy(update={"path": NASTY, "values": {"tensorflow": NASTY, "torch": NASTY}})
    page = ExplanationDocument(
        [explanation.model_copy(update={"name": NASTY, "contributions": (nasty,)})]
    ).page()
    text = html_of(page)

    assert NASTY not in text
    assert text.count("<script>") == 3, "ours alone"


def test_several_others_are_told_one_after_another_and_the_first_keeps_its_paths(explanations):
    first = explanations["article"]()
    second = explanations["three"]().model_copy(update={"other": "torch-eager"})
    document = ExplanationDocument([first, second])
    stream = io.StringIO()
    print_parts(document, make_console(stream))
    said, page, told = stream.getvalue(), document.page(), document.to_json()
    titles = [section.title for section in page.sections]

    assert document.title == "line: why torch and torch-eager differ from tensorflow"
    for one in (first, second):
        assert f"why {one.other} differs from tensorflow" in said
        assert f"Shares of the difference, {one.other}" in titles
        assert one.sentence in (page.lead, *page.reasons)
        assert f"{one.other} against tensorflow: {one.sentence}" in document.sentences
    alone = [ExplanationDocument([one]).to_json() for one in (first, second)]
    assert told.pop("explanations") == alone
    assert told == alone[0]
    assert {value.side for value in document.values() if value.table == "share"} == {"torch", "torch-eager"}
    assert page.title == "Why torch and torch-eager differ from tensorflow"
    assert [drawing.name for drawing in page.drawings] == ["proof", "shares-1"]


def test_bars_reach_from_zero_with_whiskers_over_their_intervals(explanations):
    explanation = explanations["three"]()
    first = explanation.contributions[0].model_copy(update={"share": 1.25, "interval": (1.0, 1.5)})
    last = explanation.contributions[1].model_copy(update={"share": -0.5, "interval": None})
    changed = explanation.model_copy(update={"contributions": (first, last)})
    figure = ExplanationDocument([changed]).page().proof.figure
    bars, whiskers = figure.series

    assert (bars.x[:2], bars.y[:2]) == ([1.25, -0.5], [0.0, 1.0])
    assert (whiskers.low[0], whiskers.high[0], whiskers.y[0]) == (1.0, 1.5, 0.0)
    assert 1.0 not in whiskers.y, "without an interval there is no whisker"
    assert [guide.value for guide in figure.guides] == [0.0]
