"""The sweep as a document: one table, a line a point and below it a line a side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from likewise.producer import display
from likewise.producer.display import both, count, gap, printable, setting
from likewise.producer.report.comparison_json import seeds
from likewise.producer.report.document import Document, Table, Value, bullets
from likewise.producer.sweep.points import side_of
from likewise.producer.sweep.table import Point, SideAtPoint, Sweep

if TYPE_CHECKING:
    from likewise.producer.report.layout import Page

_COLOURS = {"agree": "green", "differ": "red", "inconclusive": "yellow"}
_TITLES = ("best", "median", "5 to 95 %")
_GAP = "   "
"""This stands between columns."""


@dataclass(frozen=True)
class SweepDocument(Document):
    """The document shows a sweep."""

    sweep: Sweep

    @property
    def title(self) -> str:
        """Return the name and the size."""
        sweep = self.sweep
        return f"{sweep.name}: {count(len(sweep.points), 'point')}, {count(sweep.seeds, 'seed')} each"

    @property
    def sentences(self) -> Sequence[str]:
        """Return what the verdicts rest on where the numbers alone do not say it."""
        return tuple(_notes(self.sweep))

    @property
    def notes(self) -> Sequence[str]:
        """Return what the numbers are of."""
        return (_foot(self.sweep),)

    def tables(self) -> Iterator[Table]:
        """Yield one table, a row for each side of each point."""
        yield Table(
            title=f"{self.sweep.measure.capitalize()} over seeds",
            columns=("settings", "side", *_TITLES, "verdict"),
            rows=[
                (_settings(point), name, *_cells(point.frameworks[name]), _verdict(point).plain)
                for point in self.sweep.points
                for name in self.sweep.frameworks
            ],
        )

    def page(self) -> Page:
        """Return the page with the grid as heat maps."""
        from likewise.producer.report.layout import Grid
        from likewise.producer.report.sweep_page import page_of

        (table,) = self.tables()
        grid = Grid(caption=table.title, columns=table.columns, rows=table.rows, folds=True)
        return page_of(self.sweep, self.sentences, grid, self.notes)

    def values(self) -> Iterator[Value]:
        """Yield the settings of every point, its verdict, and every seed's value in each side.

        A point is named by its place in the sweep, from 0.
        """
        for place, point in enumerate(self.sweep.points):
            row = str(place)
            for path, value in point.settings.items():
                yield Value(table=f"settings.{path}", row=row, value=value)
            yield Value(table="verdict", row=row, value=point.verdict)
            yield Value(table="gap", row=row, value=point.gap)
            for side, at_point in point.frameworks.items():
                for name in ("best", "median", "low", "high"):
                    yield Value(table=name, row=row, side=side, value=getattr(at_point, name))
                for seed, value in zip(self.sweep.seed_list, at_point.listed, strict=False):
                    yield Value(table=self.sweep.measure, row=row, side=side, seed=seed, value=value)
                for part, named in at_point.metrics.items():
                    for name, value in named.items():
                        yield Value(table=f"{part}.{name}", row=row, side=side, value=value)

    def to_json(self) -> dict[str, Any]:
        """Return the public document; all that came back only where the sweep has it."""
        dumped = self.sweep.model_dump(mode="json")
        for point, said in zip(self.sweep.points, dumped["points"], strict=True):
            for side, one in point.frameworks.items():
                if one.run is None:
                    del said["frameworks"][side]["run"]
                else:
                    said["frameworks"][side]["run"]["seeds"] = seeds(one.run, full=True)
        return dumped

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield the table: a line a point with its verdict, the best first; below it a line a side."""
        sweep = self.sweep
        headline = Text(printable(sweep.name), style="bold")
        sides, points = both(sweep.frameworks), count(len(sweep.points), "point")
        headline.append(f"  {points}, {sides}, {count(sweep.seeds, 'seed')} each", style="dim")
        yield headline
        yield ""
        yield from _table(sweep, console)
        yield ""
        yield from bullets(_notes(sweep), console)
        yield Text(_foot(sweep), style="dim", overflow="fold")


def _foot(sweep: Sweep) -> str:
    order = f"by {sweep.frameworks[0]}'s median" if sweep.ordered else "in the grid's order"
    return f"{sweep.experiment_id}  ·  {sweep.measure} of the last epoch, over seeds, {order}"


def _table(sweep: Sweep, console: Console) -> Iterator[Text]:
    """Yield the lines; settings stand beside the columns where the terminal has room, else above them."""
    lines = {(place, name): _cells(point.frameworks[name]) for place, point in enumerate(sweep.points)
             for name in sweep.frameworks}  # fmt: skip
    best, median, spread = (
        max(len(title), *(len(cells[column]) for cells in lines.values()))
        for column, title in enumerate(_TITLES)
    )
    names = max(cell_len(f"  {name}") for name in sweep.frameworks)
    beside = max(names, *(cell_len(_settings(point)) for point in sweep.points))
    last = max(spread, *(len(_verdict(point)) for point in sweep.points))
    first = beside if beside + best + median + last + 3 * len(_GAP) <= console.width else names

    if console.is_terminal and names + best + median + spread + 3 * len(_GAP) > console.width:
        yield from _blocks(sweep)
        return

    def line(label: str, cells: Sequence[str], style: str) -> Text:
        text = Text(_padded(label, first), style=style)
        return text.append(f"{_GAP}{cells[0]:>{best}}{_GAP}{cells[1]:>{median}}{_GAP}{cells[2]}")

    yield line("", _TITLES, "bold")
    before = first + best + median + 2 * len(_GAP)
    for place, point in enumerate(sweep.points):
        heading, verdict = (
            Text(_padded(_settings(point), before), style="bold"),
            _verdict(point, room=console.width - before - len(_GAP)),
        )
        if heading.cell_len + len(_GAP) + len(verdict) > console.width:
            yield heading
            heading = Text(" " * before)
        yield heading.append(_GAP).append_text(verdict)
        for name in sweep.frameworks:
            yield line(f"  {name}", lines[place, name], "dim")


def _blocks(sweep: Sweep) -> Iterator[Text]:
    """Yield a block a point, for a terminal without room for columns."""
    for point in sweep.points:
        yield Text(_settings(point), style="bold", overflow="fold")
        if (verdict := _verdict(point)).plain:
            yield Text("  ").append_text(verdict)
        for name in sweep.frameworks:
            yield Text(f"  {name}", style="dim")
            for title, cell in zip(_TITLES, _cells(point.frameworks[name]), strict=True):
                yield Text(f"    {title}  {cell}", overflow="fold")


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _verdict(point: Point, *, room: float = math.inf) -> Text:
    """Return `differ, gap 2.3e-05 in the losses`, the last words where there is room; nothing of one side."""
    if len(point.frameworks) < 2:
        return Text()
    verdict = Text(point.verdict, style=_COLOURS[point.verdict])
    verdict.append(" over seeds" if point.over_seeds else "")
    if point.gap is not None:
        verdict.append(f", gap {gap(point.gap)}", style="not bold dim")
        of = " in the losses" if point.gap_in == "losses" else ""
        verdict.append(of if len(verdict) + len(of) <= room else "", style="not bold dim")
    return verdict


def _notes(sweep: Sweep) -> Iterator[str]:
    """Yield what the verdicts rest on where the numbers alone do not say it, and what the workers said."""
    yield from _reasons("", [point for point in sweep.points if _failed(point)])
    yield from _reasons("differ: ", [point for point in sweep.points if point.verdict == "differ"])
    if any(point.over_seeds for point in sweep.points):
        yield (
            "agree over seeds: single seeds part by more than the tolerance, and only the tests over seeds "
            "find the results equivalent."
        )
    still_open = [point for point in sweep.points if point.open_over_seeds]
    if still_open:
        yield f"inconclusive: {_needed(sweep.seeds, [point.seeds_to_decide for point in still_open])}"
    if any(_gap_is_open(point) for point in sweep.points):
        yield (
            "inconclusive: this gap is above the tolerance, and a sweep's runs do not decide whether it is "
            "rounding. likewise compare at that point, with --set, says more."
        )
    yield from (f"{side}: {note}" for side, notes in sweep.notes.items() for note in notes)


def _reasons(before: str, points: Sequence[Point]) -> Iterator[str]:
    """Yield the first point's reason, and how many others there are."""
    why = list(dict.fromkeys(point.reason for point in points))
    if why:
        more = f" ({count(len(why) - 1, 'other reason')} elsewhere: --json has each)" if len(why) > 1 else ""
        yield f"{before}{why[0]}{more}"


def _failed(point: Point) -> bool:
    """Return whether a training ended, and not because it diverged, which the table says by itself."""
    failures = (seeds.failure for seeds in point.frameworks.values())
    return any(failure is not None and failure.reason != "diverged" for failure in failures)


def _gap_is_open(point: Point) -> bool:
    return point.verdict == "inconclusive" and point.gap is not None and not point.open_over_seeds


def _needed(seeds: int, needed: Sequence[int | None]) -> str:
    """Return what would decide points that the tests over seeds leave open."""
    known = [number for number in needed if number is not None]
    tests = f"the tests over {seeds:,} seeds are open"
    if not known:
        return f"{tests}, and no number of seeds that can be asked for would be likely to decide."
    enough = f"{min(known):,}" if len(set(known)) == 1 else f"{min(known):,} to {max(known):,}"
    each = "" if len(needed) == 1 else ", by the point: --json has each"
    return f"{tests}; about {enough} seeds would decide, should mean and spread stay as they are{each}."


def _settings(point: Point) -> str:
    """Return `learning_rate 0.1, torch's momentum 0.9`."""
    return printable(", ".join(f"{_name(path)} {setting(value)}" for path, value in point.settings.items()))


def _name(path: str) -> str:
    side, rest = side_of(path)
    rest = rest.removeprefix("optimizer.")
    return rest if side is None else f"{side}'s {rest}"


def _cells(seeds: SideAtPoint) -> list[str]:
    """Return best, median and spread; how many failed stands with the spread."""
    if seeds.median is None or seeds.best is None or seeds.low is None or seeds.high is None:
        failed = seeds.failure.reason.replace("_", " ") if seeds.failure else "missing"
        return [failed, display.MISSING, display.MISSING]
    spread = f"{display.rounded(seeds.low, 3)} to {display.rounded(seeds.high, 3)}"
    if seeds.succeeded < seeds.seeds:
        spread += f" ({seeds.seeds - seeds.succeeded} failed)"
    return [display.rounded(seeds.best, 3), display.rounded(seeds.median, 3), spread]
