"""The sweep's page: the grid as heat maps of whether the sides agree and of how well each trains.

Of several settings every point is also a line across parallel axes: its settings, then how well each trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from likewise.producer.display import MISSING, both, count, gap, rounded, setting
from likewise.producer.report.figures import SHADES, Axis, Figure, Series, Values, dash, symbol
from likewise.producer.report.layout import Drawing, Grid, Page, Section, Tone
from likewise.producer.sweep.table import Point, Sweep
from likewise.producer.verdict.models import Verdict

_SIGNS = {"agree": "=", "differ": "≠", "inconclusive": "?"}
_VERDICTS: tuple[Verdict, ...] = ("differ", "inconclusive", "agree")
_WORDS: dict[Verdict, str] = {"agree": "agree", "differ": "differ", "inconclusive": "open"}
_MOST_TEXTS = 12
"""The most columns whose cells have room for what they say."""


def page_of(sweep: Sweep, sentences: Sequence[str], table: Grid, foot: Sequence[str]) -> Page:
    """Return the page, from the sweep and what its document says of it."""
    verdicts = [sum(point.verdict == one for point in sweep.points) for one in _VERDICTS]
    several = len(sweep.frameworks) > 1
    told = [
        f"{what} at {count(amount, 'point')}"
        for what, amount in zip(("differ", "are open", "agree"), verdicts, strict=True)
        if amount
    ]
    tone: Tone = next((one for one, amount in zip(_VERDICTS, verdicts, strict=True) if amount), "plain")
    drawings = [*_drawings(sweep)]
    return Page(
        title=f"{both(sweep.frameworks)} {both(told) if several else 'over a grid'}",
        name=sweep.name,
        facts=(count(len(sweep.points), "point"), f"{count(sweep.seeds, 'seed')} each"),
        tone=tone if several else "plain",
        proof=drawings[0] if drawings else None,
        reasons=sentences,
        sections=[
            *([Section("How well each side trains", drawings[1:], "Losses")] if drawings[1:] else []),
            *([Section("From settings to results", [_parallel(sweep)])] if len(sweep.grid) > 1 else []),
            Section("Every point", [table]),
        ],
        foot=foot,
    )  # fmt: skip


def _drawings(sweep: Sweep) -> Iterator[Drawing]:
    if len(sweep.frameworks) > 1:
        yield Drawing(
            name="proof",
            says="Whether the sides agree at each point (= agree, ≠ differ, ? open), with the gap that "
            "decided; darker is farther apart.",
            figure=_heat(sweep, "gap", lambda point: point.gap, _verdict_text),
        )
    for place, side in enumerate(sweep.frameworks):

        def median(point: Point, side: str = side) -> float | None:
            return point.frameworks[side].median

        def text(point: Point, side: str = side) -> str:
            value = point.frameworks[side].median
            return "failed" if value is None else rounded(value, 3)

        yield Drawing(
            name=f"median-{place}",
            says=f"The median {sweep.measure} of {side} over {count(sweep.seeds, 'seed')}; darker is larger.",
            figure=_heat(sweep, f"{side}, median {sweep.measure}", median, text),
        )


def _verdict_text(point: Point) -> str:
    return f"{_SIGNS[point.verdict]} {'' if point.gap is None else gap(point.gap)}".strip()


def _heat(
    sweep: Sweep, name: str, value: Callable[[Point], float | None], text: Callable[[Point], str]
) -> Figure:
    """Return a heat map with the first setting across and the others, in their combinations, upwards."""
    across, *upwards = sweep.grid
    columns = [*dict.fromkeys(setting(one) for one in sweep.grid[across])]
    places: dict[tuple[str, str], Point] = {}
    rows: dict[str, None] = {}
    for point in sorted(sweep.points, key=lambda one: _order(sweep, one)):
        label = ", ".join(f"{path.split('.')[-1]} {setting(point.settings[path])}" for path in upwards)
        rows[label] = None
        places[label, setting(point.settings[across])] = point
    values: list[Values] = []
    texts = []
    for row in rows:
        found = [places.get((row, column)) for column in columns]
        values.append([None if point is None else value(point) for point in found])
        texts.append(["" if point is None else text(point) for point in found])
    cells = Series(
        kind="heat", name=name, label=name, side=None, values=values, log=True,
        texts=texts if len(columns) <= _MOST_TEXTS else [],
    )  # fmt: skip
    return Figure(
        x=Axis(label=across, names=columns),
        y=Axis(label="", names=[row or "" for row in rows]),
        series=[cells],
        rows=4.5 + 2.2 * len(rows),
    )


def _order(sweep: Sweep, point: Point) -> list[int]:
    settings: dict[str, Any] = point.settings
    return [[*map(setting, values)].index(setting(settings[path])) for path, values in sweep.grid.items()]


def _parallel(sweep: Sweep) -> Drawing:
    """Return every point as a line from its settings to what each side gave, by its verdict."""
    across = [_settings_axis(sweep, path) for path in sweep.grid]
    across += [_result_axis(sweep, side) for side in sweep.frameworks]
    several = len(sweep.frameworks) > 1
    series = []
    for point in sorted(sweep.points, key=lambda one: _order(sweep, one)):
        drawn = [
            (float(place), height, text)
            for place, axis in enumerate(across)
            for height, text in [axis.of(point)]
            if height is not None
        ]
        word = _WORDS[point.verdict] if several else "point"
        place = _VERDICTS[::-1].index(point.verdict) if several else 0
        shade = SHADES[point.verdict] if several else 0
        told = ", ".join(f"{path.split('.')[-1]} {setting(value)}" for path, value in point.settings.items())
        series.append(
            Series(
                kind="line", name=word, label=told, side=shade, x=[x for x, _, _ in drawn],
                y=[y for _, y, _ in drawn], texts=[[text for _, _, text in drawn]], dash=dash(place),
                symbol=symbol(place), size=4, opacity=0.75,
            )
        )  # fmt: skip
    return Drawing(
        name="parallel",
        says="Each point of the grid as a line: from its settings on the left to the median "
        f"{sweep.measure} of each side on the right. Upwards "
        f"{both([f'{axis.name} goes from {axis.lowest} to {axis.highest}' for axis in across])}.",
        figure=Figure(
            x=Axis(label="", names=[axis.name for axis in across]),
            y=Axis(label="from the lowest to the highest", ends=(0, 1)),
            series=sorted(series, key=lambda one: one.name != "agree"),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _ParallelAxis:
    """It is one of the parallel axes: its name, and how high a point stands on it, with its value."""

    name: str
    lowest: str
    highest: str
    of: Callable[[Point], tuple[float | None, str]]


def _settings_axis(sweep: Sweep, path: str) -> _ParallelAxis:
    """Return the axis of a setting, whose values stand at equal distances in the order of the grid."""
    values = [*dict.fromkeys(map(setting, sweep.grid[path]))]

    def height(point: Point) -> tuple[float | None, str]:
        text = setting(point.settings[path])
        return (values.index(text) / max(1, len(values) - 1), text)

    return _ParallelAxis(
        name=path.rsplit(".", maxsplit=1)[-1], lowest=values[0], highest=values[-1], of=height
    )


def _result_axis(sweep: Sweep, side: str) -> _ParallelAxis:
    """Return the axis of a side's medians, by their logarithms where all are above 0."""
    known = [value for one in sweep.points if (value := one.frameworks[side].median) is not None]
    log = bool(known) and min(known) > 0
    scaled = [math.log(value) if log else value for value in known]
    low, high = min(scaled, default=0.0), max(scaled, default=0.0)

    def height(point: Point) -> tuple[float | None, str]:
        value = point.frameworks[side].median
        if value is None:
            return (None, "failed")
        at = math.log(value) if log else value
        return ((at - low) / (high - low) if high > low else 0.5, rounded(value, 3))

    ends = [rounded(end, 3) for end in (min(known), max(known))] if known else [MISSING, MISSING]
    return _ParallelAxis(name=side, lowest=ends[0], highest=ends[1], of=height)
