"""The page in a real browser: drawn, quiet, self-contained, in both schemes, on phones and on paper."""

from __future__ import annotations

import re

import numpy as np
import pytest

from likewise.producer.report.truth import Truth, truth_of
from likewise.producer.verdict.models import Curves

LINES = (
    "[...document.querySelectorAll('#{} svg path[fill=none]')].filter(path =>"
    " [2.5, 5].includes(Number(path.getAttribute('stroke-width'))))"
)
"""The curves of a figure, by their widths; the lines of the grid and of the axes are thinner."""
COLOUR_OF_TORCH = f"getComputedStyle({LINES.format('losses')}[1]).stroke"
WIDTH = "document.documentElement.scrollWidth"
FETCHED = "http://127.0.0.1:9/x.png"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1000, 400])
def test_the_figures_are_drawn_without_an_error_or_a_request(browser, write, samples, dark, width):
    page = write(samples.article())
    browser.open(page, dark=dark, width=width)

    assert browser.ask(LINES.format("losses") + ".length") == 2
    assert browser.ask(LINES.format("fit") + ".length") == 2
    assert (
        browser.ask(
            "echarts.getInstanceByDom(document.getElementById('fit')).getOption().series"
            ".filter(one => one.type === 'scatter').flatMap(one => one.data).length"
        )
        >= 6
    )
    assert browser.errors() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.ask(WIDTH) <= width


def test_the_pages_policy_stops_a_request_and_a_script(browser, write, samples):
    planted = f'<img src="{FETCHED}"><script>document.title = "run"</script></body>'
    browser.open(write(samples.article(), change=lambda text: at_the_end(text, planted)))

    assert sum("Content Security Policy" in error for error in browser.errors()) == 2
    assert browser.ask("document.title") != "run"


def test_a_request_would_be_seen(browser, write, samples):
    def unguarded(text):
        return at_the_end(text.replace("Content-Security-Policy", "ignored"), f'<img src="{FETCHED}"></body>')

    browser.open(write(samples.article(), change=unguarded))

    assert FETCHED in browser.requests()


def test_a_wide_element_would_be_seen(browser, write, samples):
    planted = '<div style="width: 900px">wide</div></body>'
    page = write(samples.article(), change=lambda text: at_the_end(text, planted))
    browser.open(page, width=400)

    assert browser.ask(WIDTH) > 400


def test_curves_that_coincide_are_told_apart_by_dashes_and_width(browser, write, samples):
    browser.open(write(samples.matched()))
    strokes = browser.ask(
        f"{LINES.format('losses')}.map(path => getComputedStyle(path)).map(style =>"
        " [style.stroke, style.strokeDasharray, style.strokeWidth])"
    )

    assert len(strokes) == 2
    (colour, dash, width), (other_colour, other_dash, other_width) = strokes
    assert colour != other_colour
    assert (dash, other_dash != "none") == ("none", True)
    assert float(width.removesuffix("px")) > float(other_width.removesuffix("px"))


def test_the_figures_follow_the_colour_scheme(browser, write, samples):
    browser.open(write(samples.article()))
    light = (browser.ask(COLOUR_OF_TORCH), browser.ask("getComputedStyle(document.body).backgroundColor"))
    browser.use_scheme(dark=True)
    browser.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    dark = (browser.ask(COLOUR_OF_TORCH), browser.ask("getComputedStyle(document.body).backgroundColor"))

    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_the_loss_axis_changes_between_logarithmic_and_linear(browser, write, samples):
    browser.open(write(samples.article()))
    kind = "echarts.getInstanceByDom(document.getElementById('losses')).getOption().yAxis[0].type"
    assert browser.ask(kind) == "log"

    browser.driver.find_element("css selector", ".logarithmic").click()

    assert browser.ask(kind) == "value"
    assert browser.errors() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(browser, write, samples, dark):
    """WCAG 2.1 asks 4.5 of text; every element with text of its own is looked at."""
    browser.open(write(samples.article()), dark=dark)
    pairs = browser.ask(
        "[...document.querySelectorAll('body *')].filter(element => element.closest('svg') === null &&"
        " [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) &&"
        " element.offsetParent !== null && !['SCRIPT', 'STYLE'].includes(element.tagName)).map(element => {"
        " let ground = element; while (ground && getComputedStyle(ground).backgroundColor ==="
        " 'rgba(0, 0, 0, 0)') ground = ground.parentElement;"
        " return [element.tagName + ' ' + element.textContent.slice(0, 30), getComputedStyle(element).color,"
        " getComputedStyle(ground || document.body).backgroundColor] })"
    )

    assert len(pairs) > 30
    assert {
        what: contrast(text, ground) for what, text, ground in pairs if contrast(text, ground) < 4.5
    } == {}


def test_what_users_write_never_runs(browser, write, samples):
    nasty = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    browser.open(write(samples.failed(message=nasty)))

    assert browser.ask("document.title") != "run"
    assert browser.ask("document.querySelectorAll('img').length") == 0
    assert nasty in browser.ask("document.body.textContent")
    assert browser.errors() == []


def test_classes_are_shown_as_matrices_that_fit_a_phone(browser, write, samples):
    y = np.arange(100) % 10
    guessed = {"tensorflow": (y + (y == 3)) % 10, "torch": (y + (y == 4)) % 10}
    truth = Truth(
        part="test", task="multiclass", seed=0, x=np.zeros((100, 2)), y=y, predict=None,
        outputs={name: np.eye(10)[classes] for name, classes in guessed.items()},
        predictions={}, classes=10, feature_names=(), target_names=(), standardized=False,
    )  # fmt: skip
    browser.open(write(samples.matched(), truth), width=400)

    assert browser.ask("document.querySelectorAll('table.matrix td').length") == 200
    assert browser.ask(WIDTH) <= 400
    assert browser.errors() == []


def test_an_entry_of_the_legend_hides_and_shows_its_curve(browser, write, samples):
    browser.open(write(samples.article()))
    entry = browser.driver.find_elements("css selector", "#losses-legend button")[1]
    count = LINES.format("losses") + ".length"

    entry.click()
    assert (browser.ask(count), entry.get_attribute("aria-pressed")) == (1, "false")
    entry.click()
    assert (browser.ask(count), entry.get_attribute("aria-pressed")) == (2, "true")


def test_the_curves_of_many_seeds_are_a_median_over_bands(browser, write, samples):
    comparison = samples.matched(seeds=12)
    curves = Curves(
        seeds=100, quantiles=(0.05, 0.25, 0.5, 0.75, 0.95), epochs=(1, 2, 3),
        losses=tuple((level, level / 2, level / 4) for level in (1.0, 2.0, 3.0, 4.0, 5.0)),
    )  # fmt: skip
    runs = tuple(run.model_copy(update={"curves": curves}) for run in comparison.runs)
    browser.open(write(comparison.model_copy(update={"runs": runs})))
    bands = "document.querySelectorAll(\"#losses svg path[fill-opacity='0.19']\").length"

    assert browser.ask(LINES.format("losses") + ".length") == 2
    assert browser.ask(bands) == 4
    assert browser.errors() == []


def test_the_names_of_a_users_columns_stay_text_in_what_is_pointed_at(browser, write, samples):
    nasty = "<img src=x onerror=\"document.title='run'\">"
    comparison = samples.article()
    runs = tuple(
        run.model_copy(update={"dataset": run.dataset.model_copy(update={"feature_names": (nasty,)})})
        for run in samples.runs(comparison)
    )
    browser.open(write(comparison, truth_of(runs, samples.tables(comparison), samples.STORE.get)))
    browser.driver.execute_script(
        "echarts.getInstanceByDom(document.getElementById('fit'))"
        ".dispatchAction({type: 'showTip', seriesIndex: 1, dataIndex: 2})"
    )

    assert nasty in browser.ask("document.getElementById('fit').textContent")
    assert browser.ask("document.querySelectorAll('img').length") == 0
    assert browser.ask("document.title") != "run"


SHOWN = (
    "(() => {{ const scale = echarts.getInstanceByDom(document.getElementById('{}'))"
    ".getModel().getComponent('xAxis').axis.scale; return scale.getExtent() }})()"
)
"""The first and the last value that a figure shows on its x axis."""


def drag(browser, name, start, end):
    """Drag over a figure, from one place to another, each in hundredths of its width and height."""
    from selenium.webdriver.common.action_chains import ActionChains

    figure = browser.driver.find_element("id", name)
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    size = figure.size
    (x, y), (to_x, to_y) = (
        (round(size["width"] * (across / 100 - 0.5)), round(size["height"] * (down / 100 - 0.5)))
        for across, down in (start, end)
    )
    mouse = ActionChains(browser.driver, duration=50)
    mouse.move_to_element_with_offset(figure, x, y).click_and_hold()
    mouse.move_by_offset((to_x - x) // 2, (to_y - y) // 2).move_by_offset((to_x - x) // 2, (to_y - y) // 2)
    mouse.release().perform()


def test_a_drag_zooms_into_a_figure_and_a_double_click_shows_all_again(browser, write, samples):
    from selenium.webdriver.common.action_chains import ActionChains

    browser.open(write(samples.article()))
    whole = browser.ask(SHOWN.format("losses"))
    drag(browser, "losses", (40, 20), (60, 80))
    first, last = browser.ask(SHOWN.format("losses"))

    assert whole == [1, 500]
    assert 100 < first < 250 < last < 400, "the part that was dragged over"
    assert browser.ask(SHOWN.format("fit")) != [first, last], "the other figure stays"

    ActionChains(browser.driver).double_click(browser.driver.find_element("id", "losses")).perform()

    assert browser.ask(SHOWN.format("losses")) == whole
    assert browser.errors() == []


def test_on_a_phone_a_drag_does_not_zoom(browser, write, samples):
    browser.open(write(samples.article()), width=400)
    drag(browser, "losses", (40, 20), (60, 80))

    assert browser.ask(SHOWN.format("losses")) == [1, 500]


def test_a_logarithmic_axis_reaches_to_the_powers_of_ten_around_what_is_drawn(browser, write, samples):
    browser.open(write(samples.article()))
    axis = browser.ask("echarts.getInstanceByDom(document.getElementById('losses')).getOption().yAxis[0]")
    drawn = [loss for run in samples.article().runs for loss in run.seeds[0].losses if loss > 0]

    assert axis["min"] <= min(drawn) < max(drawn) <= axis["max"]
    assert {axis["min"], axis["max"]} <= {10.0**power for power in range(-20, 9)}


def test_the_page_can_be_printed(browser, write, samples):
    browser.open(write(samples.article()), dark=True)

    assert browser.print_to_pdf() > 20_000
    assert browser.ask("document.documentElement.classList.contains('printing')") is False
    assert browser.errors() == []


def at_the_end(text: str, planted: str) -> str:
    """The page with another end of its body; a script may have the same letters."""
    before, _, after = text.rpartition("</body>")
    return before + planted + after


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances, as WCAG 2.1 defines it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
