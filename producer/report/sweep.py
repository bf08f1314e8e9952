"""A sweep as one table in the terminal, or as JSON."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

from producer.display import printable
from producer.report.console import plain_table, write
from producer.sweep.table import Point, Seeds, Sweep
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
    """Print the table: a line a point with its verdict, the best first; below it a line a framework."""
    points = count(len(sweep.points), "point")
    headline = Text()
    headline.append(printable(sweep.name), style="bold")
    headline.append(f"  {points}, {both(sweep.frameworks)}, {count(sweep.seeds, 'seed')} each", style="dim")
    table = plain_table("")
    for column in ("best", "median"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("5 to 95 %", no_wrap=True)
    for point in sweep.points:
        verdict = Text(point.verdict, style=_COLOURS[point.verdict])
        if point.gap is not None:
            verdict.append(f", gap {gap(point.gap)}", style="dim")
        table.add_row(Text(_settings(point), style="bold"), "", "", verdict)
        for framework in sweep.frameworks:
            table.add_row(Text(f"  {framework}", style="dim"), *_cells(point.frameworks[framework]))
    order = f"by {sweep.frameworks[0]}'s median" if sweep.ordered else "in the grid's order"
    foot = f"{sweep.experiment_id}  ·  {sweep.measure} of the last epoch, over seeds, {order}"
    write(console, headline, "", table, "", Text(foot, style="dim", overflow="fold"))


def _settings(point: Point) -> str:
    """`learning_rate 0.1, momentum 0.9`."""
    told = [f"{path.removeprefix('optimizer.')} {setting(value)}" for path, value in point.settings.items()]
    return printable(", ".join(told))


def _cells(seeds: Seeds) -> list[str]:
    """Best, median and spread; how many failed stands with the spread."""
    if seeds.median is None or seeds.best is None or seeds.low is None or seeds.high is None:
        failed = seeds.failure.reason.replace("_", " ") if seeds.failure else "missing"
        return [failed, numbers.MISSING, numbers.MISSING]
    spread = f"{seeds.low:.3g} to {seeds.high:.3g}"
    if seeds.succeeded < seeds.seeds:
        spread += f" ({seeds.seeds - seeds.succeeded} failed)"
    return [f"{seeds.best:.3g}", f"{seeds.median:.3g}", spread]
