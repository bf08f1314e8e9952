"""The tables of an Explanation as rows of text, which every format only lays out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from likewise.producer import display
from likewise.producer.blame.explanation import Explanation, Interval, percent
from likewise.producer.display import gap
from likewise.producer.verdict.layer_lists import in_words


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line is a row of the table: a setting, or what stays unexplained."""

    label: str
    values: tuple[str, ...]
    share: str
    interval: str
    cause: str | None = None
    fixes: tuple[tuple[str, str, str], ...] = ()
    """Each is a side, like which one, and the code."""


def in_every_measure(explanation: Explanation) -> Iterator[tuple[str, str, list[str], str]]:
    """Yield each measure, its gap, the share of each setting, and what stays unexplained."""
    for one in explanation.measures:
        shares = [percent_text(one.shares.get(part.path)) for part in explanation.contributions]
        yield one.measure, gap(one.gap), shares, percent_text(one.unexplained_share)


def lines(explanation: Explanation) -> list[Line]:
    """Return the settings in order, and what stays unexplained."""
    names = {explanation.other: explanation.reference, explanation.reference: explanation.other}
    listed = [
        Line(
            label=one.path,
            values=tuple(in_words(one.path, one.values).values()),
            share=percent_text(one.share),
            interval=interval_text(one.interval),
            cause=one.cause,
            fixes=tuple((name, like, one.fixes[name]) for name, like in names.items() if name in one.fixes),
        )
        for one in explanation.contributions
    ]
    if explanation.unexplained_share is not None:
        interval = explanation.unexplained_interval
        listed.append(
            Line(
                label="unexplained",
                values=("", ""),
                share=percent_text(explanation.unexplained_share),
                interval=interval_text(interval),
            )
        )
    return listed


def percent_text(share: float | None) -> str:
    """Return such as `97 %`."""
    return display.MISSING if share is None else percent(share)


def interval_text(interval: Interval | None) -> str:
    """Return such as `85 to 97 %`."""
    if interval is None:
        return display.MISSING
    low, high = map(percent, interval)
    return low if low == high else f"{low.removesuffix(' %')} to {high}"
