"""The explanation as one self-contained HTML page without a script: its bars are boxes of CSS.

`explanation.html.j2` has the structure, `page.css` the looks of all pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from producer.blame.explanation import Explanation, Interval, percent
from producer.display import count, gap, setting
from producer.report.templates import file_text, template
from producer.verdict import numbers

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A share as boxes on a scale that all rows have in common, in per cent of its width."""

    left: float
    width: float
    zero: float
    whisker: tuple[float, float] | None
    """Where the interval begins, and its width."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the chart: a setting, or what stays unexplained."""

    label: str
    values: tuple[str, ...]
    share: str
    interval: str
    bar: Bar | None
    cause: str | None = None
    fixes: tuple[tuple[str, str, str], ...] = ()
    """Framework, like which one, and the code."""


def to_html(explanation: Explanation) -> str:
    """The page."""
    return template("explanation.html.j2", breakable=_breakable).render(
        explanation=explanation,
        lines=lines(explanation),
        seeds=count(len(explanation.seeds), "seed"),
        mixtures=count(explanation.mixtures, "mixture"),
        gap="" if explanation.gap is None else gap(explanation.gap),
        measures=[
            (one.measure, gap(one.gap), [_percent(one.shares.get(c.path)) for c in explanation.contributions],
             _percent(one.unexplained_share))
            for one in explanation.measures
        ],
        policy=POLICY,
        css=Markup(file_text("page.css")),  # noqa: S704  # our own file
    )  # fmt: skip


def lines(explanation: Explanation) -> list[Line]:
    """The settings in order, and what stays unexplained."""
    low, high = _scale(explanation)
    names = {explanation.other: explanation.reference, explanation.reference: explanation.other}
    told = [
        Line(
            label=one.path,
            values=tuple(setting(value) for value in one.values.values()),
            share=_percent(one.share),
            interval=_interval(one.interval),
            bar=_bar(one.share, one.interval, low, high),
            cause=one.cause,
            fixes=tuple((name, like, one.fixes[name]) for name, like in names.items() if name in one.fixes),
        )
        for one in explanation.contributions
    ]
    if explanation.unexplained_share is not None:
        interval = explanation.unexplained_interval
        told.append(
            Line(
                label="unexplained",
                values=("", ""),
                share=_percent(explanation.unexplained_share),
                interval=_interval(interval),
                bar=_bar(explanation.unexplained_share, interval, low, high),
            )
        )
    return told


def _scale(explanation: Explanation) -> tuple[float, float]:
    """From the smallest to the largest number drawn, 0 and 1 always in it."""
    drawn = [0.0, 1.0]
    shares = [(one.share, one.interval) for one in explanation.contributions]
    for share, interval in [*shares, (explanation.unexplained_share, explanation.unexplained_interval)]:
        drawn += [share] if share is not None else []
        drawn += interval or ()
    return min(drawn), max(drawn)


def _bar(share: float | None, interval: Interval | None, low: float, high: float) -> Bar | None:
    if share is None:
        return None
    left, width = _box((min(share, 0.0), max(share, 0.0)), low, high)
    whisker = _box(interval, low, high) if interval is not None and interval[0] < interval[1] else None
    return Bar(left=left, width=width, zero=_box((0.0, 0.0), low, high)[0], whisker=whisker)


def _box(ends: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Where it begins and how wide it is, in per cent of the scale."""
    begin, end = ((value - low) / (high - low) * 100 for value in ends)
    return round(begin, 2), round(end - begin, 2)


def _percent(share: float | None) -> str:
    return numbers.MISSING if share is None else percent(share)


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return numbers.MISSING
    low, high = map(percent, interval)
    return low if low == high else f"{low} to {high}"


def _breakable(path: str) -> Markup:
    """The path, escaped, that a narrow column may fold at its dots and underscores."""
    text = str(escape(path))
    return Markup(text.replace(".", ".<wbr>").replace("_", "_<wbr>"))  # noqa: S704  # escaped above
