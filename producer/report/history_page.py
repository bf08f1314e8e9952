"""The history's page: how losses, metrics and times went on from one experiment to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from likewise.producer.display import count
from likewise.producer.report.figures import Axis, Figure, Series, dash, symbol, width
from likewise.producer.report.layout import Drawing, Grid, Page, Section

if TYPE_CHECKING:
    from likewise.producer.report.document import Table

Course = Mapping[str, Mapping[str, Sequence[float | None]]]
"""Each number of each side in every experiment: by the number's name, then by the side's."""
_MOST_DRAWN = 6
_LOGARITHMIC_FROM = 100
"""Largest over smallest value from which an axis is logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """It is what a history's document says, which its page says, too."""

    name: str
    keys: Sequence[str]
    """What names each experiment, the oldest first."""
    sentences: Sequence[str]
    tables: Sequence[Table]
    notes: Sequence[str]


def page_of(told: Told, course: Course) -> Page:
    """Return the page, with the course of each number that several experiments have."""
    drawings = [*_drawings(told.keys, course)]
    grids = [
        Section(table.title, [Grid(caption="", columns=table.columns, rows=table.rows)])
        for table in told.tables
        if table.rows
    ]
    return Page(
        title=f"{told.name}: {count(len(told.keys), 'experiment')}",
        name=told.name,
        facts=("the oldest first",),
        proof=drawings[0] if drawings else None,
        reasons=told.sentences,
        sections=[*([Section("How it went on", drawings[1:], "Course")] if drawings[1:] else []), *grids],
        foot=told.notes,
    )


def _drawings(keys: Sequence[str], course: Course) -> Iterator[Drawing]:
    """Yield a drawing for each number that at least two experiments have, the final loss first."""
    several = {
        name: sides
        for name, sides in course.items()
        if any(sum(value is not None for value in values) > 1 for values in sides.values())
    }
    order = sorted(several, key=lambda name: (name != "final loss", name.startswith("train,")))
    for place, name in enumerate(order[:_MOST_DRAWN]):
        yield Drawing(
            name="proof" if place == 0 else f"course-{place}",
            says=f"The {name} of each side, experiment by experiment, the oldest on the left.",
            figure=_figure(keys, name, several[name]),
            switches_scale=_is_wide(several[name]),
        )


def _figure(keys: Sequence[str], name: str, sides: Mapping[str, Sequence[float | None]]) -> Figure:
    series = []
    for place, (side, values) in enumerate(sides.items()):
        drawn = [(float(at), value) for at, value in enumerate(values) if value is not None]
        series.append(
            Series(
                kind="line", name=side, label=side, side=place, x=[at for at, _ in drawn],
                y=[value for _, value in drawn], width=width(place), dash=dash(place), symbol=symbol(place),
            )
        )  # fmt: skip
    return Figure(
        x=Axis(label="experiment", names=keys), y=Axis(label=name, log=_is_wide(sides)), series=series
    )


def _is_wide(sides: Mapping[str, Sequence[float | None]]) -> bool:
    """Return whether a number is positive throughout and spans orders of magnitude."""
    known = [value for values in sides.values() for value in values if value is not None]
    return bool(known) and min(known) > 0 and max(known) / min(known) >= _LOGARITHMIC_FROM
