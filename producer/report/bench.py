"""The bench as a document: who is fastest, how long each phase takes, and what it needs of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table as TextTable
from rich.text import Text

from likewise.producer import display
from likewise.producer.bench.conclude import PHASES
from likewise.producer.bench.models import Bench, Phase, PhaseTimes, Rank, TimedSide
from likewise.producer.console import PIPE_WIDTH, bullet, plain_table
from likewise.producer.display import both, count, number, plus_minus, printable
from likewise.producer.report.document import Document, Table, Value, bullets

if TYPE_CHECKING:
    from likewise.producer.report.layout import Page

_SAID: dict[Phase, str] = {
    "queue": "in the queue",
    "import": "import, once",
    "build": "build",
    "compile": "compile, first run",
    "step": "one step",
    "train": "train",
    "inference": "inference",
    "run": "whole warm run",
}

_MEMORY = (
    ("peak memory", "process_bytes"),
    ("grown in the first run", "grown_bytes"),
    ("peak on the device", "device_bytes"),
)


@dataclass(frozen=True)
class BenchDocument(Document):
    """The document shows a bench."""

    bench: Bench

    @property
    def title(self) -> str:
        """Return what was timed."""
        return f"bench of {self.bench.name}"

    @property
    def sentences(self) -> Sequence[str]:
        """Return who is fastest, or why no winner is named."""
        return (*sentences(self.bench), *(f"{where[0].upper()}{where[1:]}." for where in _where(self.bench)))

    @property
    def notes(self) -> Sequence[str]:
        """Return what a reader should doubt, and the experiment's id."""
        kept = self.bench.experiment_id
        return (*self.bench.warnings, *([] if kept is None else [f"Experiment {kept}."]))

    def tables(self) -> Iterator[Table]:
        """Yield the ranking and the phases."""
        names = self.bench.names
        sides = [*dict.fromkeys(row.side for row in self.bench.rows)]
        yield Table(
            title="Ranking",
            columns=("whole warm run", "median", "times the fastest, turn by turn"),
            rows=[*_ranked(self.bench.ranking or (), names)],
        )
        yield Table(
            title="Phases",
            columns=("median of", *(names[side] for side in sides)),
            rows=[*_lines(self.bench, sides)] if sides else [],
        )

    def page(self) -> Page:
        """Return the page with every timed run, and where time goes."""
        from likewise.producer.report.bench_page import page_of
        from likewise.producer.report.layout import Grid

        grids = [Grid(caption=one.title, columns=one.columns, rows=one.rows) for one in self.tables()]
        where = [f"{place[0].upper()}{place[1:]}." for place in _where(self.bench)]
        return page_of(self.bench, sentences(self.bench), grids, _SAID, where)

    def values(self) -> Iterator[Value]:
        """Yield every sample of every phase, medians, rates, memory and the ranking."""
        names = self.bench.names
        for row in self.bench.rows:
            side = names[row.side]
            low, high = row.interval_s or (None, None)
            for table, value in (
                ("median_s", row.median_s),
                ("interval_low_s", low),
                ("interval_high_s", high),
            ):
                yield Value(table=table, row=row.phase, side=side, value=value)
            for place, sample in enumerate(row.samples):
                yield Value(table=f"samples_s.{row.phase}", row=str(place), side=side, value=sample)
        for rate in self.bench.throughput:
            yield Value(
                table="throughput", row="samples_per_s", side=names[rate.side], value=rate.samples_per_s
            )
        for peak in self.bench.peak_bytes:
            for _, name in _MEMORY:
                value = getattr(peak, name)
                yield Value(table="peak_bytes", row=name, side=names[peak.side], value=value)
        for ranked in self.bench.ranking or ():
            low, high = ranked.ratio_interval or (None, None)
            for name, value in (("ratio", ranked.ratio), ("ratio_low", low), ("ratio_high", high)):
                yield Value(table="ranking", row=name, side=names[ranked.side], value=value)
        for place, warning in enumerate(self.bench.warnings):
            yield Value(table="warnings", row=str(place), value=warning)

    def to_json(self) -> dict[str, Any]:
        """Return the public document."""
        return self.bench.model_dump(mode="json")

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows, part by part."""
        return _parts(self.bench, console)


def _parts(bench: Bench, console: Console) -> Iterator[RenderableType]:
    yield _headline(bench)
    for place in _where(bench):
        yield Text(place, style="dim")
    yield ""
    yield from bullets(sentences(bench), console)
    if bench.ranking:
        yield _ranking(bench.ranking, bench.names)
        yield ""
    if bench.rows:
        yield from _phases(bench, console)
    if bench.warnings:
        yield ""
        yield Text("warnings", style="bold yellow")
        for warning in bench.warnings:
            yield bullet(warning, console)


def _headline(bench: Bench) -> Text:
    shown = tuple(dict.fromkeys(_group(bench, row) for row in bench.rows))
    headline = Text("bench", style="bold")
    headline.append(f"  {printable(bench.name)}", style="bold")
    each = "side" if shown and set(shown) <= set(bench.names) else "variant"
    timed = f"{both(shown)}, {count(2 * bench.rounds, 'timed run')} a {each}"
    headline.append(f"  {timed if shown else 'nothing could be timed'}", style="dim")
    return headline


def _where(bench: Bench) -> Iterator[str]:
    """Yield `on atlas: tensorflow 2.21.0 (cpu, 1 thread), torch 2.13.0 (cpu, 1 thread)`, a line a host."""
    hosts: dict[str, dict[str, None]] = {}
    for one in bench.environments.values():
        threads = count(one.threads, "thread")
        used = f"{one.framework} {one.framework_version} ({one.device}, {threads})"
        hosts.setdefault(one.host, {})[used] = None
    for host, there in hosts.items():
        yield f"on {printable(host)}: {printable(', '.join(there))}"


def sentences(bench: Bench) -> tuple[str, ...]:
    """Return what the bench says, in words."""
    if bench.ranking_withheld_because is not None or not bench.ranking:
        why = bench.ranking_withheld_because or "nothing could be timed"
        return (f"No winner is named: {why.removesuffix('.')}.",)
    fastest, *others = bench.ranking
    tied = [bench.names[one.side] for one in others if not one.slower]
    lines = [f"{bench.names[fastest.side]} takes {display.seconds(fastest.median_s)} for {bench.work}"]
    if tied:
        lines[0] += f", and cannot be told from {both(tied)}"
    lines[0] += "."
    best = {_group(bench, one): one for one in reversed(bench.ranking)}
    lines += [
        f"{_fastest(bench, one)} takes {number(one.ratio)} times as long{_interval_words(one)}."
        for group, one in best.items()
        if group != _group(bench, fastest) and one.slower
    ]
    lines.append("The values agree, so this is the same work.")
    return tuple(lines)


def _interval_words(place: Rank) -> str:
    if place.ratio_interval is None:
        return ""
    low, high = place.ratio_interval
    return f" ({number(low)} to {number(high)} with 95 % confidence)"


def _group(bench: Bench, one: TimedSide) -> str:
    """Return whose ways of executing are shown together: a declared side, or a framework."""
    return one.side if bench.names[one.side] == one.side else one.framework


def _fastest(bench: Bench, place: Rank) -> str:
    name, group = bench.names[place.side], _group(bench, place)
    return name if group == place.side else f"{name}, the fastest of {group},"


def _ranking(ranking: tuple[Rank, ...], names: Mapping[str, str]) -> RenderableType:
    table = plain_table()
    table.add_column("whole warm run", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("times the fastest, turn by turn", overflow="fold")
    for line in _ranked(ranking, names):
        table.add_row(*line)
    return table


def _ranked(ranking: tuple[Rank, ...], names: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for place in ranking:
        interval = place.ratio_interval
        between = "" if interval is None else f"  ({number(interval[0])} to {number(interval[1])})"
        ratio = "1" if place is ranking[0] else f"{number(place.ratio)}{between}"
        yield names[place.side], display.seconds(place.median_s), ratio


def _phases(bench: Bench, console: Console) -> Iterator[RenderableType]:
    """Yield one table, or several below each other where the terminal has no room for all sides."""
    wide = console.options.update(width=PIPE_WIDTH)

    def fits(sides: Sequence[str]) -> bool:
        return Measurement.get(console, wide, _phases_of(bench, sides)).maximum <= console.width

    for place, sides in enumerate(_tables_of(bench, fits)):
        if place:
            yield ""
        yield _phases_of(bench, sides)


def _tables_of(bench: Bench, fits: Callable[[Sequence[str]], bool]) -> list[list[str]]:
    """Return the sides of each table: as many as fit, and the ways of one framework together if they do."""
    groups: dict[str, list[str]] = {}
    for side, row in {row.side: row for row in bench.rows}.items():
        groups.setdefault(_group(bench, row), []).append(side)
    tables: list[list[str]] = []
    for group in groups.values():
        for part in [group] if fits(group) else [[side] for side in group]:
            if tables and fits([*tables[-1], *part]):
                tables[-1] += part
            else:
                tables.append([*part])
    return tables


def _phases_of(bench: Bench, sides: Sequence[str]) -> TextTable:
    table = plain_table()
    table.add_column("median of", style="dim", no_wrap=True)
    for side in sides:
        table.add_column(bench.names[side].replace(" ", "\n"), overflow="fold")
    for line in _lines(bench, sides):
        table.add_row(*line)
    return table


def _lines(bench: Bench, sides: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield what was measured of each phase, how many samples a second, and memory, by side."""
    cells = {(row.side, row.phase): _cell(row) for row in bench.rows}
    rates = {one.side: f"{one.samples_per_s:,.0f}" for one in bench.throughput}
    peaks = {one.side: one for one in bench.peak_bytes}
    found = [
        *((_SAID[phase], [cells.get((side, phase), display.MISSING) for side in sides])
          for phase in PHASES),
        ("samples a second", [rates.get(side, display.MISSING) for side in sides]),
        *((label, [display.size(getattr(peaks.get(side), field, None)) for side in sides])
          for label, field in _MEMORY),
    ]  # fmt: skip
    for label, line in found:
        if set(line) != {display.MISSING}:
            yield (label, *line)


def _cell(row: PhaseTimes) -> str:
    """Return the median, and half its interval: `12 ms ±3 %`."""
    median = display.seconds(row.median_s)
    if row.interval_s is None or not row.median_s:
        return median
    low, high = row.interval_s
    return f"{median} {plus_minus((high - low) / 2 / row.median_s)}"
