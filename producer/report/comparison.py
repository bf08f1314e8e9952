"""The comparison as a document: the verdict, why, and the numbers side by side.

In a terminal it looks right at any width from 40 columns, without colour, and in a pipe, where lines are
never folded. The paths of its JSON are public and stay; further ones may be added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console, RenderableType
from rich.text import Text

from likewise.producer.console import marked, plain_table
from likewise.producer.display import both, count, gap, number, printable, sparkline
from likewise.producer.report import comparison_tables as rows
from likewise.producer.report.comparison_gaps import divergence, gaps, stages, tests
from likewise.producer.report.comparison_json import to_document
from likewise.producer.report.document import Check, Document, Table, Value, bullets
from likewise.producer.verdict.models import Comparison, FirstDivergence, Note, SideRuns, Verdict
from likewise.shared.results.seed_table import SeedRow

if TYPE_CHECKING:
    from likewise.producer.report.layout import Page
    from likewise.producer.report.truth import Truth
    from likewise.producer.verdict.divergence_map import DivergenceMap

_LOOK: dict[Verdict, tuple[str, str]] = {
    "agree": ("✔", "green"),
    "differ": ("✘", "red"),
    "inconclusive": ("?", "yellow"),
}
_TESTED: dict[Verdict, str] = {"agree": "equivalent", "differ": "different", "inconclusive": "open"}
_SPARKS = 16
_WIDE = 100
"""Columns from which the tests over seeds have room for the effect sizes."""
_NARROW = 60
"""Columns below which the gaps have no room for where they are largest."""


@dataclass(frozen=True, kw_only=True)
class ComparisonDocument(Document):
    """The document shows a comparison.

    `full` lists every curve and array in its JSON; `truth` gives its page pictures of predictions, and `maps`
    of how a difference spreads.
    """

    comparison: Comparison
    full: bool = False
    truth: Truth | None = None
    maps: Sequence[DivergenceMap] = ()

    @property
    def title(self) -> str:
        """Return the name and the verdict."""
        return f"{self.comparison.name}: {rows.title(self.comparison)}"

    @property
    def sentences(self) -> Sequence[str]:
        """Return what is to be known beside the verdict, and its reasons."""
        return (*(note.text for note in self.comparison.notes), *self.comparison.reasons)

    @property
    def notes(self) -> Sequence[str]:
        """Return what the workers said, and the experiment's id."""
        seeds = count(len(self.comparison.experiment.seed_list), "seed")
        return (*rows.notes(self.comparison), f"Experiment {self.comparison.experiment_id}, {seeds}.")

    def tables(self) -> Iterator[Table]:
        """Yield what the terminal shows, in its order."""
        comparison = self.comparison
        for found in comparison.first_divergences:
            title = f"Where {found.other} parts from {found.reference} first"
            yield _beside(title, comparison, divergence(comparison, found))
        yield _beside("What each side ended with", comparison, rows.results(comparison))
        yield _gaps_table(comparison)
        yield _tests_table(comparison)
        yield _beside("Settings that differ", comparison, rows.differing_settings(comparison))
        ran = [*rows.times(comparison), *rows.environment(comparison)]
        yield _beside("What ran", comparison, ran)

    def values(self) -> Iterator[Value]:
        """Yield the verdict, every setting that differs, every seed's numbers and the gaps."""
        return _values(self.comparison)

    def checks(self) -> Iterator[Check]:
        """Yield whether each side was trained, and whether the sides agree."""
        for run in self.comparison.runs:
            why = [f"seed {seed.seed}: {seed.failure.message}" for seed in run.seeds if seed.failure]
            missing = any(seed.status != "succeeded" for seed in run.seeds)
            state: Literal["error", "passed"] = "error" if missing else "passed"
            yield Check(name=f"{run.side} is trained", state=state, text="\n".join(why))
        agrees = self.comparison.verdict == "agree"
        sides = both(list(self.comparison.sides))
        yield Check(
            name=f"{sides} agree",
            state="passed" if agrees else "failed",
            text="\n".join([f"verdict: {self.comparison.verdict}", *self.sentences]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the public document."""
        return to_document(self.comparison, full=self.full)

    def page(self) -> Page:
        """Return the page with pictures."""
        from likewise.producer.report.comparison_page import page_of

        return page_of(self.comparison, self.truth, self.maps)

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows, part by part."""
        return _parts(self.comparison, console)


def _parts(comparison: Comparison, console: Console) -> Iterator[RenderableType]:
    yield _headline(comparison)
    yield from (_note(note, console) for note in comparison.notes)
    yield ""
    yield from bullets(comparison.reasons, console)
    for found in comparison.first_divergences:
        yield from _divergence(comparison, found)
        yield ""
    narrow = console.width < _NARROW
    sparks = (_SPARKS // 2 if narrow else _SPARKS) if console.is_terminal else 0
    yield _side_by_side(comparison, "results", rows.results(comparison), sparks=sparks)
    yield ""
    if any(pair.largest for pair in comparison.gaps):
        yield _gaps(comparison, narrow=narrow)
        yield ""
    if comparison.growth and console.is_terminal:
        yield _growth(comparison, narrow=narrow)
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
    yield from bullets(rows.notes(comparison), console)
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


def _note(note: Note, console: Console) -> RenderableType:
    """Return a note as a line right under the headline; a warning stands out."""
    mild = note.code in ("written_differently", "reported_differently")
    mark = Text("i", style="bold cyan") if mild else Text("!", style="bold yellow")
    return marked(mark, Text(printable(note.text)), console)


def _side_by_side(
    comparison: Comparison, title: str, lines: list[rows.Row], *, sparks: int = 0
) -> RenderableType:
    table = plain_table()
    table.add_column(title, style="dim", overflow="fold")
    for name in comparison.sides:
        table.add_column(name, overflow="fold")
    for line in lines:
        marked = "bold" if line.differs and title.startswith("settings") else ""
        table.add_row(printable(line.label), *(Text(printable(cell), style=marked) for cell in line.cells))
        if sparks and line.label == "final loss":
            table.add_row("loss curve", *_curves(comparison, sparks))
    return table


def _curves(comparison: Comparison, sparks: int) -> list[str]:
    """Return the median of each side's loss curves over seeds, drawn small."""
    return [sparkline(run.curves.median if run.curves else (), sparks) for run in comparison.runs]


_MARKS = {"equal": ("=", "green"), "parts": ("≠", "bold red"), "later": ("·", "dim")}


def _divergence(comparison: Comparison, found: FirstDivergence) -> Iterator[RenderableType]:
    """Yield the stages of the step where they part, and both values."""
    whose = f"{found.other}, " if len(comparison.first_divergences) > 1 else ""
    strip = Text(f"{whose}update {found.step:,} of seed {found.seed}:", style="dim")
    for mark in stages(found):
        sign, style = _MARKS[mark.state]
        strip.append(f"  {mark.stage} {sign}", style=style)
    yield strip
    if values := divergence(comparison, found):
        yield _side_by_side(comparison, "where they part", values)


def _growth(comparison: Comparison, *, narrow: bool) -> RenderableType:
    """Return the gap in the loss over epochs, declared and in the twin; drawn small unless `narrow`."""
    table = plain_table()
    table.add_column("gap in the loss by epoch", style="dim", overflow="fold")
    for name in ("first", "last", *([] if narrow else [""])):
        table.add_column(name, no_wrap=True)
    for one in comparison.growth:
        whose = f"{one.other}, " if len(comparison.growth) > 1 else ""
        declared = comparison.jobs[one.other].precision
        for name, values in ((declared, one.declared), ("float64 twin", one.twin)):
            drawn = [] if narrow else [sparkline(values, _SPARKS)]
            table.add_row(f"{whose}{name}", gap(values[0]), gap(values[-1]), *drawn)
    return table


def _tests(comparison: Comparison, *, wide: bool) -> RenderableType:
    """Return the tests over seeds: differences of means against their margins, effect sizes if `wide`."""
    table = plain_table()
    table.add_column(f"over {comparison.equivalence[0].seeds:,} seeds", style="dim", no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    if wide:
        table.add_column("effect size", justify="right", no_wrap=True)
    table.add_column("90 % interval", no_wrap=True)
    table.add_column("margin", no_wrap=True)
    table.add_column("")
    for line in tests(comparison):
        said = Text(_TESTED[line.verdict], style=_LOOK[line.verdict][1])
        said.append(f", needs {line.needs}" if line.needs else "", style="dim")
        effect = [line.effect] if wide else []
        table.add_row(line.label, line.difference, *effect, line.interval, line.margin, said)
    return table


def _gaps(comparison: Comparison, *, narrow: bool) -> RenderableType:
    """Return the gaps, and where they are largest: beside them, or below if `narrow`."""
    table = plain_table()
    table.add_column(f"gap from {comparison.sides[0]}", style="dim", overflow="fold")
    table.add_column("relative", justify="right", no_wrap=True)
    break_or_blank = "\n" if narrow else " "
    table.add_column(f"tolerance{break_or_blank}{number(comparison.tolerance.relative)}", no_wrap=True)
    if not narrow:
        table.add_column("largest at", style="dim", overflow="fold")
    several = len(comparison.gaps) > 1
    for line in gaps(comparison):
        verdict = Text(line.word, style="green" if line.within else "red")
        where = printable(line.where)
        label = f"{line.label}\nat {where}" if narrow and where else line.label
        table.add_row(label, line.text, verdict, *([] if narrow else [where]))
    for pair in comparison.gaps:
        if pair.seeds > 1:
            alike = f"{pair.seeds_within_tolerance:,} of {pair.seeds:,}"
            table.add_row(f"{pair.other} seeds within" if several else "seeds within", alike)
    return table


def _beside(title: str, comparison: Comparison, lines: Sequence[rows.Row]) -> Table:
    """Return rows with a cell for each side as a table."""
    return Table(
        title=title, columns=("", *comparison.sides), rows=[(line.label, *line.cells) for line in lines]
    )


def _gaps_table(comparison: Comparison) -> Table:
    return Table(
        title=f"Gaps from {comparison.sides[0]}",
        columns=("", "relative", f"tolerance {number(comparison.tolerance.relative)}", "largest at"),
        rows=[(line.label, line.text, line.word, line.where) for line in gaps(comparison)],
    )


def _tests_table(comparison: Comparison) -> Table:
    seeds = comparison.equivalence[0].seeds if comparison.equivalence else 0
    return Table(
        title=f"Over {seeds:,} seeds",
        columns=("", "difference of means", "90 % interval", "margin", "effect size", "verdict"),
        rows=[
            (
                line.label, line.difference, line.interval, line.margin, line.effect,
                _TESTED[line.verdict] + (f", needs {line.needs}" if line.needs else ""),
            )
            for line in tests(comparison)
        ],
    )  # fmt: skip


def _values(comparison: Comparison) -> Iterator[Value]:
    yield from _said(comparison)
    for setting in comparison.setting_differences:
        for side in comparison.sides:
            yield Value(table="settings", row=setting.path, side=side, value=setting.values.get(side))
    for run in comparison.runs:
        yield from _values_of_run(run)
        for seed in run.seeds:
            yield from _values_of_seed(run.side, seed)
    for apart in comparison.seed_gaps:
        for one in apart.gaps:
            for table, value in (("relative_gap", one.relative), ("absolute_gap", one.absolute)):
                yield Value(table=table, row=one.measure, side=apart.other, seed=apart.seed, value=value)
    for parting in comparison.first_divergences:
        for name in ("step", "stage", "tensor", "relative_difference"):
            value = getattr(parting, name)
            table = "first_divergence"
            yield Value(table=table, row=name, side=parting.other, seed=parting.seed, value=value)
    for test in comparison.equivalence:
        low, high = test.interval
        told: dict[str, Any] = {
            "difference": test.difference, "interval_low": low, "interval_high": high, "margin": test.margin,
            "effect_size": test.effect_size, "verdict": test.verdict, "seeds_to_decide": test.seeds_to_decide,
        }  # fmt: skip
        for name, value in told.items():
            yield Value(table=f"equivalence.{name}", row=test.measure, side=test.other, value=value)


def _said(comparison: Comparison) -> Iterator[Value]:
    """Yield the verdict, and what is said of it."""
    yield Value(table="verdict", row="verdict", value=comparison.verdict)
    yield Value(table="verdict", row="tolerance", value=comparison.tolerance.relative)
    for note in comparison.notes:
        yield Value(table="notes", row=note.code, value=note.text)
    for place, reason in enumerate(comparison.reasons):
        yield Value(table="reasons", row=str(place), value=reason)


def _values_of_run(run: SideRuns) -> Iterator[Value]:
    """Yield what ran a side, and its loss curves as quantiles over seeds."""
    if run.environment is not None:
        recorded = run.environment.model_dump(
            mode="json", include={"framework", "framework_version", "device", "threads", "execution", "host"}
        )
        for name, value in recorded.items():
            yield Value(table="environment", row=name, side=run.side, value=value)
    if run.curves is not None and run.curves.seeds > 1:
        for share, losses in zip(run.curves.quantiles, run.curves.losses, strict=True):
            for epoch, loss in zip(run.curves.epochs, losses, strict=True):
                yield Value(table=f"losses.quantile_{share:g}", row=str(epoch), side=run.side, value=loss)


def _values_of_seed(side: str, one: SeedRow) -> Iterator[Value]:
    """Yield one seed's numbers, and its losses by epoch."""
    timings = one.timings.model_dump(mode="json") if one.timings else {}
    memory = one.memory.model_dump(mode="json", include={"peak_bytes", "device_peak_bytes"})
    metrics = {
        f"{part}.{name}": value for part, named in one.metrics.items() for name, value in named.items()
    }
    predicted = dict(_places(one.predictions.tolist())) if one.predictions is not None else {}
    tables: dict[str, dict[str, Any]] = {
        "runs": {
            "status": one.status,
            "epochs": one.epochs,
            "final_loss": one.final_loss,
            **memory,
            **timings,
        },
        "metrics": metrics,
        "predictions": predicted,
        "losses": {str(epoch): loss for epoch, loss in enumerate(one.losses, start=1)},
        "validation_losses": {str(epoch): loss for epoch, loss in enumerate(one.validation_losses, start=1)},
    }
    for table, named in tables.items():
        for name, value in named.items():
            yield Value(table=table, row=name, side=side, seed=one.seed, value=value)


def _places(values: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of nested lists by their places: `0.1` is the second of the first row."""
    if not isinstance(values, list):
        yield place, values
        return
    for index, value in enumerate(values):
        yield from _places(value, f"{place}.{index}" if place else str(index))
