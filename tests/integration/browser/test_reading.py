"""A page as people read it: by links and keys, with a screen reader, on a phone, on paper."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from likewise.producer.report.layout import Code, Grid, Page, Section
from likewise.producer.report.page import html_of

AXE = resources.files("axe_core_python").joinpath("axe.min.js")
WIDTHS = (390, 820, 1400)
PAPER = (688, 1002)
"""An A4 page without its margins, in CSS pixels."""
FOUND = (
    "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(found => done("
    "found.violations.map(one => [one.id, one.help, one.nodes.map(node => node.html).slice(0, 3)])))"
)


@pytest.fixture
def pages(write: Any, samples: Any, tmp_path: Path) -> dict[str, Callable[[], Path]]:
    """Pages in unlike states, by name."""

    def plain() -> Path:
        columns = ["", *(f"a column with a long name {place}" for place in range(12))]
        rows = [[f"row {row}", *(f"{row}.{place:06d}" for place in range(12))] for row in range(60)]
        page = Page(
            title="A wide table",
            sections=[
                Section("Wide", [Grid(caption="Many columns", columns=columns, rows=rows)]),
                Section("Code", [Code(says="To be copied:", text="x = 1\n" * 200, file="x.py")]),
                Section("Wide", [Grid(caption="", columns=("", "b"), rows=[("=1+1", "-2")])]),
            ],
        )
        file = tmp_path / "plain.html"
        file.write_text(html_of(page), encoding="utf-8")
        return file

    def subject() -> Path:
        from tests.unit.report.subjects import whole

        file = tmp_path / "subject.html"
        file.write_text(html_of(whole(samples).page()), encoding="utf-8")
        return file

    return {
        "differs": lambda: write(samples.article()),
        "agrees": lambda: write(samples.matched(3)),
        "failed": lambda: write(samples.failed()),
        "seeds": lambda: write(samples.many_seeds()),
        "plain": plain,
        "subject": subject,
    }


STATES = ("differs", "agrees", "failed", "seeds", "plain", "subject")
UNLIKE = ("differs", "seeds", "plain", "subject")


@pytest.mark.parametrize("state", STATES)
def test_a_screen_reader_finds_nothing_in_its_way(browser, pages, state):
    browser.open(pages[state](), dark=state == "agrees")
    assert findings(browser) == []


def test_axe_would_find_a_table_that_no_key_reaches_and_text_that_is_too_pale(browser, pages):
    browser.open(pages["plain"](), width=390)
    browser.driver.execute_script(
        "document.querySelector('.scroll').removeAttribute('tabindex');"
        "document.querySelector('h1').style.color = '#ddd'"
    )

    assert {one for one, *_ in findings(browser)} == {"scrollable-region-focusable", "color-contrast"}


def findings(browser: Any) -> list[Any]:
    browser.driver.execute_script(AXE.read_text(encoding="utf-8"))
    found: list[Any] = browser.driver.execute_async_script(FOUND)
    return found


@pytest.mark.parametrize("state", UNLIKE)
def test_nothing_is_cut_without_a_hint_at_any_width(browser, pages, state):
    page = pages[state]()
    for width in WIDTHS:
        browser.open(page, width=width)
        assert browser.ask("document.documentElement.scrollWidth") <= width
        cut = browser.ask(
            "[...document.querySelectorAll('.scroll')].filter(one => one.checkVisibility() &&"
            " one.scrollWidth > one.clientWidth + 2 && !one.parentElement.classList.contains('more'))"
            ".map(one => one.getAttribute('aria-label'))"
        )
        assert cut == [], width
        assert browser.errors() == []


def test_a_table_that_goes_on_says_so_until_its_end_is_seen(browser, pages):
    browser.open(pages["plain"](), width=390)
    hinted = "document.querySelector('.table').classList.contains('more')"
    assert browser.ask(hinted) is True

    browser.driver.execute_script("document.querySelector('.scroll').scrollLeft = 1e6")
    settle(browser)

    assert browser.ask(hinted) is False


def test_every_heading_can_be_linked_to_and_is_in_the_contents_of_a_wide_screen(browser, pages):
    browser.open(pages["differs"](), width=1400)
    names = browser.ask("[...document.querySelectorAll('main > section')].map(one => one.id)")
    linked = browser.ask("[...document.querySelectorAll('.contents a')].map(one => one.hash.slice(1))")

    assert linked == names
    assert {"first-difference", "settings", "learned", "loss", "run-it-again"} - set(names) == {
        "first-difference"
    }, "the samples are not replayed"
    assert browser.ask("getComputedStyle(document.querySelector('.contents')).display") == "block"
    browser.open(pages["differs"](), width=820)
    assert browser.ask("getComputedStyle(document.querySelector('.contents')).display") == "none"


def test_the_contents_of_a_subject_lead_to_every_part_and_mark_where_one_is(browser, pages):
    browser.open(pages["subject"](), width=1400)
    names = browser.ask("[...document.querySelectorAll('main > section')].map(one => one.id)")
    linked = browser.ask("[...document.querySelectorAll('.contents a')].map(one => one.hash.slice(1))")
    begins = browser.ask("[...document.querySelectorAll('.contents .begins a')].map(one => one.textContent)")

    assert linked == names
    assert begins == ["Explanation", "Bench", "Sweep", "Port check"]
    browser.driver.execute_script("document.getElementById('bench').scrollIntoView()")
    settle(browser)
    current = "document.querySelector('.contents [aria-current]')?.hash"
    assert browser.ask(current) == "#bench"


def test_sections_of_one_title_have_names_of_their_own(browser, pages):
    browser.open(pages["plain"]())

    assert browser.ask("[...document.querySelectorAll('section')].map(one => one.id)") == [
        "wide", "code", "wide-2",
    ]  # fmt: skip


def test_a_table_is_saved_as_csv_and_code_as_its_file(browser, pages):
    browser.open(pages["plain"]())
    browser.driver.execute_script(
        "window.saved = []; const make = URL.createObjectURL; URL.createObjectURL = blob =>"
        " { blob.text().then(text => saved.push(text)); return make(blob) };"
        "HTMLAnchorElement.prototype.click = function () { window.file = this.download }"
    )
    browser.driver.execute_script("document.querySelector('[aria-label=\"Save as CSV: table\"]').click()")
    settle(browser)
    assert browser.ask("saved") == ['"","b"\r\n"\'=1+1","-2"\r\n']

    browser.driver.execute_script("document.querySelector('[aria-label=\"Save x.py\"]').click()")
    settle(browser)
    assert browser.ask("file") == "x.py"
    assert browser.ask("saved[1]") == "x = 1\n" * 200


def settle(browser: Any) -> None:
    """Wait for two frames, by when what was promised is there."""
    browser.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


@pytest.mark.parametrize("state", UNLIKE)
def test_no_printed_page_is_blank_and_no_column_is_lost(browser, pages, state):
    browser.open(pages[state]())
    pages_printed, lost, needed = printed(browser)

    assert lost == []
    assert pages_printed <= needed + 2


def test_a_lost_column_and_blank_pages_on_paper_would_be_seen(browser, pages):
    browser.open(pages["plain"]())
    browser.driver.execute_script(
        "const style = document.createElement('style'); style.textContent = '@media print {"
        "td { white-space: nowrap !important } tr { break-after: page } }'; document.head.append(style)"
    )
    pages_printed, lost, needed = printed(browser)

    assert lost != []
    assert pages_printed > needed + 2


def printed(browser: Any) -> tuple[int, list[str], int]:
    """Return how many pages are printed, what is wider than paper, and how many pages the text fills."""
    tell = browser.driver.execute_cdp_cmd
    pdf = base64.b64decode(tell("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})["data"])
    browser.driver.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true })")
    tell("Emulation.setEmulatedMedia", {"media": "print"})
    screen = {"width": PAPER[0], "height": PAPER[1], "deviceScaleFactor": 1, "mobile": False}
    tell("Emulation.setDeviceMetricsOverride", screen)
    settle(browser)
    lost = browser.ask(
        "[...document.querySelectorAll('table, pre')].filter(one =>"
        f" one.getBoundingClientRect().right > {PAPER[0]} + 1).map(one => one.textContent.slice(0, 40))"
    )
    height = browser.ask("document.documentElement.scrollHeight")
    tell("Emulation.setEmulatedMedia", {"media": ""})
    return len(re.findall(rb"/Type\s*/Page\b", pdf)), lost, math.ceil(height / PAPER[1])
