"""The sweep's page: the grid as heat maps of whether the sides agree and of how well each trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from likewise.producer.display import both, count, gap, rounded, setting
from likewise.producer.report.figures import Axis, Figure, Series, Values
from likewise.producer.report.layout import Drawing, Grid, Page, Section, Tone
from likewise.producer.sweep.table import Point, Sweep
from likewise.producer.verdict.models import Verdict

_SIGNS = {"agree": "=", "differ": "≠", "inconclusive": "?"}
_VERDICTS: tuple[Verdict, ...] = ("differ", "inconclusive", "agree")
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
