"""A bench in a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from producer.bench.conclude import PHASES
from producer.bench.models import Bench, Phase, Place, Row
from producer.console import PIPE_WIDTH, bullet, plain_table, write
from producer.display import both, count, number, plus_minus, printable
from producer.verdict import numbers
from shared.job.experiment import Execution
from shared.job.side import Framework

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
    ("of it, first run", "grown_bytes"),
    ("peak on the device", "device_bytes"),
)


def to_json(bench: Bench) -> str:
    """The document as text."""
    return json.dumps(bench.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)


def render(bench: Bench, console: Console) -> None:
    """Print the bench."""
    write(console, *_parts(bench, console))


def _parts(bench: Bench, console: Console) -> Iterator[RenderableType]:
    yield _headline(bench)
    for place in _where(bench):
        yield Text(place, style="dim")
    yield ""
    for sentence in sentences(bench):
        yield bullet(sentence, console)
    yield ""
    if bench.ranking:
        yield _ranking(bench.ranking)
        yield ""
    if bench.rows:
        yield from _phases(bench, console)
    if bench.warnings:
        yield ""
        yield Text("warnings", style="bold yellow")
        for warning in bench.warnings:
            yield bullet(warning, console)


def _headline(bench: Bench) -> Text:
    frameworks = tuple(dict.fromkeys(row.framework for row in bench.rows))
    headline = Text("bench", style="bold")
    headline.append(f"  {printable(bench.name)}", style="bold")
    timed = f"{both(frameworks)}, {count(2 * bench.rounds, 'timed run')} a variant"
    headline.append(f"  {timed if frameworks else 'nothing could be timed'}", style="dim")
    return headline


def _where(bench: Bench) -> Iterator[str]:
    """`on atlas: tensorflow 2.21.0 (cpu, 1 thread), torch 2.13.0 (cpu, 1 thread)`, a line a host."""
    hosts: dict[str, dict[str, None]] = {}
    for one in bench.environments.values():
        threads = count(one.threads, "thread")
        told = f"{one.framework} {one.framework_version} ({one.device}, {threads})"
        hosts.setdefault(one.host, {})[told] = None
    for host, there in hosts.items():
        yield f"on {printable(host)}: {printable(', '.join(there))}"


def sentences(bench: Bench) -> tuple[str, ...]:
    """What the bench says, in words."""
    if bench.ranking_withheld_because is not None or not bench.ranking:
        why = bench.ranking_withheld_because or "nothing could be timed"
        return (f"No winner is named: {why.removesuffix('.')}.",)
    fastest, *others = bench.ranking
    tied = [_name(one) for one in others if not one.slower]
    told = [f"{_name(fastest)} takes {numbers.seconds(fastest.median_s)} for a whole warm run"]
    if tied:
        told[0] += f", and cannot be told from {both(tied)}"
    told[0] += "."
    best = {one.framework: one for one in reversed(bench.ranking)}
    told += [
        f"{_name(one)}, the fastest of {one.framework}, takes {number(one.ratio)} times as long"
        f"{_interval_words(one)}."
        for one in best.values()
        if one.framework != fastest.framework and one.slower
    ]
    told.append("The values agree, so this is the same work.")
    return tuple(told)


def _interval_words(place: Place) -> str:
    if place.ratio_interval is None:
        return ""
    low, high = place.ratio_interval
    return f" ({number(low)} to {number(high)} with 95 % confidence)"


def _name(place: Place) -> str:
    return f"{place.framework} {place.variant}"


def _ranking(ranking: tuple[Place, ...]) -> RenderableType:
    table = plain_table("whole warm run")
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("times the fastest, turn by turn", no_wrap=True)
    for place in ranking:
        interval = place.ratio_interval
        between = "" if interval is None else f"  ({number(interval[0])} to {number(interval[1])})"
        ratio = "1" if place is ranking[0] else f"{number(place.ratio)}{between}"
        table.add_row(_name(place), numbers.seconds(place.median_s), ratio)
    return table


def _phases(bench: Bench, console: Console) -> Iterator[RenderableType]:
    """One table, or one a framework where the terminal has no room for all side by side."""
    variants = list(dict.fromkeys((row.framework, row.variant) for row in bench.rows))
    table = _phases_of(bench, variants)
    if Measurement.get(console, console.options.update(width=PIPE_WIDTH), table).maximum <= console.width:
        yield table
        return
    for place, framework in enumerate(dict.fromkeys(framework for framework, _ in variants)):
        if place:
            yield ""
        yield _phases_of(bench, [variant for variant in variants if variant[0] == framework])


def _phases_of(bench: Bench, variants: Sequence[tuple[Framework, Execution]]) -> Table:
    cells = {(row.framework, row.variant, row.phase): _cell(row) for row in bench.rows}
    table = plain_table()
    table.add_column("median of", style="dim", no_wrap=True)
    for framework, variant in variants:
        table.add_column(f"{framework}\n{variant}", overflow="fold")
    for phase in PHASES:
        line = [cells.get((*variant, phase), numbers.MISSING) for variant in variants]
        if set(line) != {numbers.MISSING}:
            table.add_row(_SAID[phase], *line)
    rates = {(one.framework, one.variant): f"{one.samples_per_s:,.0f}" for one in bench.throughput}
    table.add_row("samples a second", *(rates.get(variant, numbers.MISSING) for variant in variants))
    peaks = {(one.framework, one.variant): one for one in bench.peak_bytes}
    for label, field in _MEMORY:
        line = [numbers.size(getattr(peaks.get(variant), field, None)) for variant in variants]
        if set(line) != {numbers.MISSING}:
            table.add_row(label, *line)
    return table


def _cell(row: Row) -> str:
    """`12 ms ±3 %`: the median, and half its interval."""
    told = numbers.seconds(row.median_s)
    if row.interval_s is None or not row.median_s:
        return told
    low, high = row.interval_s
    return f"{told} {plus_minus((high - low) / 2 / row.median_s)}"
