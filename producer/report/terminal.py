"""The comparison in a terminal: the verdict, why, and the numbers side by side.

Looks right at any width from 60 columns, without colour, and in a pipe, where lines are never folded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from producer.console import bullet, plain_table, write
from producer.display import both, count, gap, number, printable
from producer.report import rows
from producer.report.sparkline import sparkline
from producer.verdict.models import Comparison, FirstDivergence, SideRuns, Verdict

_LOOK: dict[Verdict, tuple[str, str]] = {
    "agree": ("✔", "green"),
    "differ": ("✘", "red"),
    "inconclusive": ("?", "yellow"),
}
_TESTED: dict[Verdict, str] = {"agree": "equivalent", "differ": "different", "inconclusive": "open"}
_SAID: dict[Verdict, str] = {
    "agree": "{names} agree",
    "differ": "{names} differ",
    "inconclusive": "inconclusive: {names} cannot be told apart or alike",
}
_SPARKS = 16
_WIDE = 100
"""Columns from which the tests over seeds have room for the effect sizes."""


def render(comparison: Comparison, console: Console) -> None:
    """Print the comparison."""
    write(console, *_parts(comparison, console))


def _parts(comparison: Comparison, console: Console) -> Iterator[RenderableType]:
    yield _headline(comparison)
    yield ""
    for reason in comparison.reasons:
        yield bullet(reason, console)
    yield ""
    if comparison.first_divergence:
        yield from _divergence(comparison, comparison.first_divergence)
        yield ""
    yield _side_by_side(comparison, "results", rows.results(comparison), curves=console.is_terminal)
    yield ""
    if any(pair.largest for pair in comparison.gaps):
        yield _gaps(comparison)
        yield ""
    if comparison.growth and console.is_terminal:
        yield _growth(comparison)
        yield ""
    if comparison.equivalence:
        yield _tests(comparison, wide=console.width >= _WIDE)
        yield ""
    if settings := rows.differing_settings(comparison):
        yield _side_by_side(comparison, "settings that differ", settings)
        yield ""
    if ran := [*rows.times(comparison), *rows.environment(comparison)]:
        yield _side_by_side(comparison, "ran", ran)
        yield ""
    if told := list(rows.notes(comparison)):
        yield from (bullet(note, console) for note in told)
        yield ""
    page = f"likewise report {comparison.experiment_id[:8]} -o {comparison.name}.html"
    yield Text(f"{comparison.experiment_id}  ·  as a page: {page}", style="dim", overflow="fold")


def _headline(comparison: Comparison) -> Text:
    mark, colour = _LOOK[comparison.verdict]
    seeds = len(comparison.experiment.seed_list)
    headline = Text()
    headline.append(f"{mark} {comparison.verdict}", style=f"bold {colour}")
    headline.append(f"  {printable(comparison.name)}", style="bold")
    headline.append(f"  {both(comparison.sides)}, {count(seeds, 'seed')}", style="dim")
    return headline


def _side_by_side(
    comparison: Comparison, title: str, lines: list[rows.Row], *, curves: bool = False
) -> RenderableType:
    table = plain_table()
    table.add_column(title, style="dim", overflow="fold")
    for name in comparison.sides:
        table.add_column(name, overflow="fold")
    for line in lines:
        marked = "bold" if line.differs and title.startswith("settings") else ""
        table.add_row(printable(line.label), *(Text(printable(cell), style=marked) for cell in line.cells))
        if curves and line.label == "final loss":
            table.add_row("loss curve", *_curves(comparison))
    return table


def _curves(comparison: Comparison) -> list[str]:
    """Of the first seed each side has, or the median of many."""
    return [sparkline(_curve(run), _SPARKS) for run in comparison.runs]


def _curve(run: SideRuns) -> Sequence[float]:
    if run.curves is not None:
        return run.curves.median
    return next((seed.losses for seed in run.seeds if seed.losses), ())


_MARKS = {"equal": ("=", "green"), "parts": ("≠", "bold red"), "later": ("·", "dim")}


def _divergence(comparison: Comparison, found: FirstDivergence) -> Iterator[RenderableType]:
    """The stages of the step where they part, and both values."""
    strip = Text(f"update {found.step:,} of seed {found.seed}:", style="dim")
    for mark in rows.stages(found):
        sign, style = _MARKS[mark.state]
        strip.append(f"  {mark.stage} {sign}", style=style)
    yield strip
    if values := rows.divergence(comparison, found):
        yield _side_by_side(comparison, "where they part", values)


def _growth(comparison: Comparison) -> RenderableType:
    """The gap in the loss over epochs, declared and in the twin."""
    table = plain_table()
    for name in ("gap in the loss by epoch", "first", "last", ""):
        table.add_column(name, style="dim" if name.startswith("gap") else "", no_wrap=True)
    for one in comparison.growth:
        whose = f"{one.other}, " if len(comparison.growth) > 1 else ""
        declared = comparison.jobs[one.other].precision
        for name, values in ((declared, one.declared), ("float64 twin", one.twin)):
            table.add_row(f"{whose}{name}", gap(values[0]), gap(values[-1]), sparkline(values, _SPARKS))
    return table


def _tests(comparison: Comparison, *, wide: bool) -> RenderableType:
    """Over seeds: differences of means with their intervals against the margins; effect sizes if `wide`."""
    table = plain_table()
    table.add_column(f"over {comparison.equivalence[0].seeds:,} seeds", style="dim", no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    if wide:
        table.add_column("effect size", justify="right", no_wrap=True)
    table.add_column("90 % interval", no_wrap=True)
    table.add_column("margin", no_wrap=True)
    table.add_column("")
    several = len(comparison.gaps) > 1
    for line in rows.tests(comparison):
        label = f"{line.other} {line.measure}" if several else line.measure
        said = Text(_TESTED[line.verdict], style=_LOOK[line.verdict][1])
        said.append(f", needs {line.needs}" if line.needs else "", style="dim")
        effect = [line.effect] if wide else []
        table.add_row(label, line.difference, *effect, line.interval, line.margin, said)
    return table


def _gaps(comparison: Comparison) -> RenderableType:
    table = plain_table()
    table.add_column(f"gap from {comparison.sides[0]}", style="dim", overflow="fold")
    table.add_column("relative", justify="right", no_wrap=True)
    table.add_column(f"tolerance {number(comparison.tolerance.relative)}", no_wrap=True)
    table.add_column("largest at", style="dim", overflow="fold")
    several = len(comparison.gaps) > 1
    for line in rows.gaps(comparison):
        label = f"{line.other} {line.measure}" if several else line.measure
        verdict = Text("within", style="green") if line.within else Text("above", style="red")
        table.add_row(label, line.text, verdict, printable(line.where))
    for pair in comparison.gaps:
        if pair.seeds > 1:
            alike = f"{pair.seeds_within_tolerance:,} of {pair.seeds:,}"
            table.add_row(f"{pair.other} seeds within" if several else "seeds within", alike, "", "")
    return table
