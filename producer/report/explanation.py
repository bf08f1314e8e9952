"""The explanation as a document: what makes the sides differ, how much each setting does, and the mending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table as TextTable
from rich.text import Text

from likewise.producer import display
from likewise.producer.blame.explanation import Explanation, Interval, percent
from likewise.producer.console import TEXT_WIDTH, plain_table
from likewise.producer.display import both, count, gap, printable
from likewise.producer.report.document import Document, Table, Value, fitting
from likewise.producer.report.explanation_tables import (
    in_every_measure,
    interval_text,
    lines,
    percent_text,
)
from likewise.producer.verdict.layer_lists import in_words

if TYPE_CHECKING:
    from likewise.producer.report.layout import Page

_BAR = 20
_NARROW = 72
"""A terminal of fewer columns has no room for a setting, both values and its share in a line."""
_ROOM_FOR_BARS = 110
_MOST_SETTINGS = 4
_MOST_MEASURES = 8


@dataclass(frozen=True)
class ExplanationDocument(Document):
    """The document says why each of the other sides differs from the first: an explanation for each."""

    explanations: Sequence[Explanation]
    of_programs: bool = False
    """Whether it is of two programs, whose explanation an id does not begin anew."""

    @property
    def title(self) -> str:
        """Return who differs from whom."""
        first, *more = self.explanations
        others = both([one.other for one in self.explanations])
        return f"{first.name}: why {others} {'differ' if more else 'differs'} from {first.reference}"

    @property
    def sentences(self) -> Sequence[str]:
        """Return the answer in one sentence, for each other side."""
        return [f"{self._about(one)}{one.sentence}" for one in self.explanations]

    @property
    def notes(self) -> Sequence[str]:
        """Return how the shares were found, and the experiment's id."""
        told = dict.fromkeys(note for one in self.explanations for note in one.notes)
        kept = self.explanations[0].experiment_id
        return (*told, *([] if kept is None else [f"Experiment {kept}."]))

    def tables(self) -> Iterator[Table]:
        """Yield the shares, what each setting does, and the shares in every measure."""
        for one in self.explanations:
            yield from _tables(one, about=self._about(one))

    def values(self) -> Iterator[Value]:
        """Yield each setting's values by side, its share, and the shares in every measure."""
        for one in self.explanations:
            yield from _values(one, side=one.other if len(self.explanations) > 1 else "")

    def to_json(self) -> dict[str, Any]:
        """Return the public document, of several sides the first's with all of them in `explanations`."""
        first, *more = map(_document, self.explanations)
        return first | ({"explanations": [first, *more]} if more else {})

    def page(self) -> Page:
        """Return the page with bars."""
        from likewise.producer.report.explanation_page import page_of

        return page_of(self.explanations)

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows, part by part."""
        for place, one in enumerate(self.explanations):
            if place:
                yield ""
            yield from _parts(one, console, of_programs=self.of_programs)

    def _about(self, one: Explanation) -> str:
        """Return whom a sentence or a table is about, where there are several others."""
        return f"{one.other} against {one.reference}: " if len(self.explanations) > 1 else ""


def _document(explanation: Explanation) -> dict[str, Any]:
    """Return one explanation's document: each contribution has the sides' values under their names."""
    dumped = explanation.model_dump(mode="json")
    contributions = [one | one.pop("values") for one in dumped["contributions"]]
    return dumped | {"contributions": contributions}


def _tables(one: Explanation, *, about: str) -> Iterator[Table]:
    shown = lines(one)
    yield Table(
        title=f"{about}Shares of the gap in the {one.measure}"
        if one.measure
        else f"{about}Settings that differ",
        columns=("setting", one.reference, one.other, "share", "95 % interval"),
        rows=[(line.label, *line.values, line.share, line.interval) for line in shown],
    )
    yield Table(
        title=f"{about}What each setting does",
        columns=("setting", "what it does"),
        rows=[(line.label, line.cause) for line in shown if line.cause],
    )
    if len(one.measures) > 1:
        yield Table(
            title=f"{about}In every measure",
            columns=("gap in", "gap", *(line.path for line in one.contributions), "unexplained"),
            rows=[(name, apart, *shares, left) for name, apart, shares, left in in_every_measure(one)],
        )


def _values(one: Explanation, *, side: str) -> Iterator[Value]:
    """Yield an explanation's values; `side` is the other side where there are several."""
    for line in one.contributions:
        for name, value in line.values.items():
            yield Value(table="settings", row=line.path, side=name, value=value)
        yield from _shares(line.path, line.share, line.interval, side=side)
    yield from _shares("unexplained", one.unexplained_share, one.unexplained_interval, side=side)
    for measure in one.measures:
        yield Value(table="gap", row=measure.measure, side=side, value=measure.gap)
        left = {"unexplained": measure.unexplained_share}
        for path, share in (measure.shares | left).items():
            yield Value(table=f"share of {measure.measure}", row=path, side=side, value=share)


def _shares(path: str, share: float | None, interval: Interval | None, *, side: str) -> Iterator[Value]:
    low, high = interval or (None, None)
    for table, value in (("share", share), ("share.interval_low", low), ("share.interval_high", high)):
        yield Value(table=table, row=path, side=side, value=value)


def _parts(explanation: Explanation, console: Console, *, of_programs: bool) -> Iterator[RenderableType]:
    yield _headline(explanation)
    yield ""
    yield _folded(Text(printable(explanation.sentence)), console)
    yield ""
    if explanation.contributions:
        yield _contributions(explanation, console)
        yield ""
    yield from _causes(explanation, console)
    if len(explanation.measures) > 1 and any(one.shares for one in explanation.measures):
        yield _measures(explanation, console)
        yield ""
    for note in explanation.notes:
        yield _folded(Text(printable(f"note: {note}"), style="dim"), console)
    if explanation.notes:
        yield ""
    if explanation.experiment_id is None:
        return
    name, file = explanation.experiment_id[:8], f"{explanation.name}.html"
    page = f"likewise report {name} -o {file}" if of_programs else f"likewise explain {name} --report {file}"
    yield Text(f"{explanation.experiment_id}  ·  as a page: {page}", style="dim", overflow="fold")


def _headline(explanation: Explanation) -> Text:
    headline = Text()
    headline.append(f"why {explanation.other} differs from {explanation.reference}", style="bold")
    headline.append(f"  {printable(explanation.name)}", style="bold cyan")
    trained = f"{count(explanation.mixtures, 'mixture')}, {count(len(explanation.seeds), 'seed')}"
    headline.append(f"  {trained}", style="dim")
    return headline


def _folded(text: Text, console: Console) -> RenderableType:
    if not console.is_terminal:
        return text
    grid = TextTable.grid()
    grid.add_column(max_width=min(console.width, TEXT_WIDTH))
    grid.add_row(text)
    return grid


def _contributions(explanation: Explanation, console: Console) -> RenderableType:
    """Return a row for each setting: both values, the share and, where there is room, a bar."""
    if console.is_terminal and console.width < _NARROW:
        settings = len(explanation.contributions)
        rows = [
            (
                f"{place}  {line.label}" if place <= settings else line.label,
                *line.values,
                line.share,
                line.interval,
            )
            for place, line in enumerate(lines(explanation), start=1)
        ]
        names = ("setting", explanation.reference, explanation.other, "share", "95 % interval")
        return fitting(Table(title="", columns=names, rows=rows), console)
    table = plain_table()
    table.add_column("", justify="right", style="dim", no_wrap=True)
    table.add_column("setting", overflow="fold", min_width=20)
    table.add_column(explanation.reference, overflow="fold", min_width=9)
    table.add_column(explanation.other, overflow="fold", min_width=9)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    bars = console.width >= _ROOM_FOR_BARS
    if bars:
        table.add_column("", no_wrap=True)
    for place, one in enumerate(explanation.contributions, start=1):
        values = [printable(text) for text in in_words(one.path, one.values).values()]
        bar = [_blocks(one.share)] if bars else []
        table.add_row(
            f"{place}",
            printable(one.path),
            *values,
            percent_text(one.share),
            interval_text(one.interval),
            *bar,
        )
    if explanation.unexplained_share is not None:
        left = explanation.unexplained_share
        bar = [_blocks(left)] if bars else []
        interval = interval_text(explanation.unexplained_interval)
        table.add_row("", "unexplained", "", "", percent(left), interval, *bar)
    return table


def _blocks(share: float | None) -> Text:
    """Return the share as a bar; nothing for shares below 0, which have no length."""
    eighths = round(max(0.0, min(share or 0.0, 1.0)) * _BAR * 8)
    full, rest = divmod(eighths, 8)
    return Text("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else ""), style="cyan")


def _causes(explanation: Explanation, console: Console) -> Iterator[RenderableType]:
    """Yield what each setting does, and how either side's code is made to do as the other's."""
    mine, theirs = explanation.reference, explanation.other
    for place, one in enumerate(explanation.contributions, start=1):
        if not (one.cause or one.fixes):
            continue
        yield Text.assemble((f"{place}  ", "dim"), (printable(one.path), "bold"))
        if one.cause:
            yield _indented(Text(printable(one.cause)), console)
        for name, like in ((theirs, mine), (mine, theirs)):
            if name in one.fixes:
                yield _indented(Text(f"{name} like {like}:", style="dim"), console)
                columns = min(console.width - 4, TEXT_WIDTH) if console.is_terminal else None
                yield _indented(code(one.fixes[name], columns), console)
        yield ""


def code(lines: str, columns: int | None = None) -> Text:
    """Return lines of code, to be copied: comments stand back, and stay comments where they fold."""
    told = Text(overflow="fold")
    every = lines.splitlines()
    if columns is not None:
        every = [
            part
            for line in every
            for part in (
                wrap(line, columns, subsequent_indent="# ", break_on_hyphens=False)
                if line.startswith("#")
                else [line]
            )
        ]
    for number, line in enumerate(every):
        told.append("\n" if number else "").append(printable(line), "dim" if line.startswith("#") else "")
    return told


def _indented(text: Text, console: Console) -> RenderableType:
    if not console.is_terminal:
        return Text("\n").join(Text.assemble("   ", line) for line in text.split("\n"))
    grid = TextTable.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(max_width=min(console.width - 4, TEXT_WIDTH))
    grid.add_row("", text)
    return grid


def _measures(explanation: Explanation, console: Console) -> RenderableType:
    """Return every measure's gap and shares, with settings by their numbers in the table above."""
    paths = [one.path for one in explanation.contributions][:_MOST_SETTINGS]
    rows = []
    for one in explanation.measures[:_MOST_MEASURES]:
        shares = [one.shares.get(path) for path in paths]
        cells = [display.MISSING if share is None else percent(share) for share in shares]
        left = display.MISSING if one.unexplained_share is None else percent(one.unexplained_share)
        rows.append((one.measure, gap(one.gap), *cells, left))
    numbers = [f"{place}" for place in range(1, len(paths) + 1)]
    if console.is_terminal and console.width < _NARROW:
        columns = ("gap in", "gap", *numbers, "unexplained")
        return fitting(Table(title="", columns=columns, rows=rows), console)
    table = plain_table()
    table.add_column("gap in", style="dim", overflow="fold")
    for name in ("", *numbers, "unexplained"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
