"""One page for all that was asked of a subject: what is on it, in which order, under which names."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.page import html_of
from likewise.producer.report.subject import SubjectDocument
from tests.unit.report import subjects
from tests.unit.report.test_formats import text


@pytest.fixture
def whole(samples: ModuleType) -> SubjectDocument:
    return subjects.whole(samples)


def test_the_comparison_stands_first_and_every_other_has_a_part_of_its_own(whole: SubjectDocument) -> None:
    page = whole.page()
    begins = [(section.name, section.short) for section in page.sections if section.begins]

    assert page.title == whole.parts_of_page[0].document.page().title
    assert begins == [
        ("explanation", "Explanation"), ("bench", "Bench"), ("sweep", "Sweep"), ("port-check", "Port check"),
    ]  # fmt: skip
    assert page.sections[0].title == "On this page"


def test_the_index_says_which_experiment_of_when_and_why_it(whole: SubjectDocument) -> None:
    (index, left_out) = whole.page().sections[0].blocks

    assert [(one.anchor, one.source) for one in index.entries] == [
        ("top", "aaaaaaaa of 9 September 2001, 01:46 UTC, the one that was asked for"),
        ("explanation", "bbbbbbbb of 9 September 2001, 01:47 UTC, the newest of 3"),
        ("bench", "cccccccc of 9 September 2001, 01:48 UTC"),
        ("sweep", "dddddddd of 9 September 2001, 01:49 UTC"),
        ("port-check", "eeeeeeee of 9 September 2001, 01:50 UTC, found by its name"),
    ]
    assert left_out.text.startswith("Not on this page: bench ffffffff of 9 September 2001, 01:51 UTC, since ")


def test_every_link_leads_to_one_place_and_every_figure_has_a_name_of_its_own(
    whole: SubjectDocument,
) -> None:
    page = whole.page()
    html = html_of(page)
    markup = html[html.index("<body>") : html.index('<script type="application/json"')]
    ids = re.findall(r' id="([^"]+)"', markup)
    linked = set(re.findall(r'href="#([^"]+)"', markup))

    assert len(ids) == len(set(ids))
    assert linked <= set(ids)
    names = [one.name for one in page.drawings]
    assert len(names) == len(set(names))
    assert {"proof", "explanation-proof", "bench-proof", "sweep-proof"} <= set(names)


def test_other_formats_and_the_picture_are_of_the_document_itself(whole: SubjectDocument) -> None:
    for form in ("json", "md", "csv", "terminal", "svg"):
        assert text(whole, form) == text(whole.own, form)


def test_what_stands_alone_has_the_page_that_it_always_had(samples: ModuleType) -> None:
    one = subjects.whole(samples).parts_of_page[0]
    alone = SubjectDocument(own=one.document, parts_of_page=[one])

    assert alone.page() == one.document.page()


def test_a_page_of_many_seeds_with_all_of_it_stays_far_below_its_limit(samples: ModuleType) -> None:
    whole = subjects.whole(samples, first=ComparisonDocument(comparison=samples.matched(200)))
    assert len(html_of(whole.page()).encode()) < 1_350_000
