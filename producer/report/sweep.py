"""A sweep as one table in the terminal, or as JSON."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

from producer.display import printable
from producer.report.console import plain_table, write
from producer.sweep.table import Seeds, Sweep
from producer.verdict import numbers
from producer.verdict.words import both, count, gap, setting

_COLOURS = {"agree": "green", "differ": "red", "inconclusive": "yellow"}


def to_json(sweep: Sweep) -> str:
    """The document as text."""
    return json.dumps(to_document(sweep), indent=2, ensure_ascii=False, allow_nan=False)


def to_document(sweep: Sweep) -> dict[str, Any]:
    """Plain dicts, lists, strings and finite numbers."""
    return sweep.model_dump(mode="json")


def render(sweep: Sweep, console: Console) -> None:
    """Print the table: a line a point, the best first."""
    points = count(len(sweep.points), "point")
    headline = Text()
    headline.append(printable(sweep.name), style="bold")
    headline.append(f"  {points}, {both(sweep.frameworks)}, {count(sweep.seeds, 'seed')} each", style="dim")
    table = plain_table(*(printable(path) for path in sweep.grid))
    for framework in sweep.frameworks:
        for column in ("best", "median", "5-95 %"):
            table.add_column(f"{framework} {column}", justify="right", overflow="fold")
    table.add_column("verdict")
    table.add_column("gap", justify="right")
    for point in sweep.points:
        cells = [printable(setting(value)) for value in point.settings.values()]
        for framework in sweep.frameworks:
            cells += _cells(point.frameworks[framework])
        verdict = Text(point.verdict, style=_COLOURS[point.verdict])
        table.add_row(*cells, verdict, gap(point.gap))
    order = f"by {sweep.frameworks[0]}'s median" if sweep.ordered else "in the grid's order"
    foot = f"{sweep.experiment_id}  ·  {sweep.measure} of the last epoch, over seeds, {order}"
    write(console, headline, "", table, "", Text(foot, style="dim", overflow="fold"))


def _cells(seeds: Seeds) -> list[str]:
    """Best, median and spread; how many failed stands with the spread."""
    if seeds.median is None or seeds.best is None or seeds.low is None or seeds.high is None:
        failed = seeds.failure.reason.replace("_", " ") if seeds.failure else "missing"
        return [failed, numbers.MISSING, numbers.MISSING]
    spread = f"{numbers.short(seeds.low)} to {numbers.short(seeds.high)}"
    if seeds.succeeded < seeds.seeds:
        spread += f" ({seeds.seeds - seeds.succeeded} failed)"
    return [numbers.short(seeds.best), numbers.short(seeds.median), spread]
