"""The check of a port as a document: the rungs in one line, the first cause, all findings, the mapping."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, RenderableType
from rich.text import Text

from likewise.producer.console import TEXT_WIDTH, bullet
from likewise.producer.display import MISSING, both, count, gap, printable
from likewise.producer.port.models import PortCheck, PortFinding, WeightRow
from likewise.producer.report.document import Check, Document, Table, Value, bullets, text_table
from likewise.producer.report.layout import Page

_MARKS = {"holds": "✓", "fails": "✗", "skipped": "–"}
_NAMED = 3
"""The most modules that a sentence names besides the first."""
_COLOURS = {"holds": "green", "fails": "red", "skipped": "dim"}


@dataclass(frozen=True)
class PortDocument(Document):
    """The document says on which rungs the second program does what the first one does."""

    check: PortCheck
    experiment_id: str | None = None
    """The id under which it is kept."""
    whole_mapping: bool = False
    """Whether a terminal shows every weight, not only those that are not proved."""

    @property
    def title(self) -> str:
        """Return the answer in a few words."""
        first, second = self.check.sides
        failing = [rung.name for rung in self.check.rungs if rung.status == "fails"]
        if failing:
            return f"{self.check.name}: {second} is not {first}, from {failing[0]} on"
        holding = [rung.name for rung in self.check.rungs if rung.status == "holds"]
        return f"{self.check.name}: {second} does what {first} does" + (
            f", up to {holding[-1]}" if holding else ", as far as it was looked at"
        )

    @property
    def sentences(self) -> Sequence[str]:
        """Return the answer and each finding."""
        return [f"{self.title}.", *(_sentence(one) for one in self.check.findings)]

    @property
    def notes(self) -> Sequence[str]:
        """Return what was assumed, and what to do next."""
        return [*(f"{note}." for note in self.check.notes), f"Next: {self.check.next}."]

    def page(self) -> Page:
        """Return the page, with both trees of modules."""
        from likewise.producer.report.port_page import page_of

        return page_of(self.check, title=self.title, sentences=self.sentences, tables=[*self.tables()])

    def tables(self) -> Iterator[Table]:
        """Yield the rungs, the findings with their edits, and the mapping."""
        first, second = self.check.sides
        yield Table(
            title="Rungs",
            columns=("rung", "", "apart", "what was compared"),
            rows=[(one.name, one.status, gap(one.relative_difference), one.text) for one in self.check.rungs],
        )
        yield Table(
            title="What differs",
            columns=("rung", "where", *self.check.sides, "what", "edit"),
            rows=[
                (
                    one.rung,
                    one.path,
                    one.lines.get(first, MISSING),
                    one.lines.get(second, MISSING),
                    one.text,
                    " or ".join(f"{label}: {text}" for label, text in one.fix.items()) or MISSING,
                )
                for one in self.check.findings
            ],
        )
        yield self._mapping()

    def _mapping(self) -> Table:
        first, second = self.check.sides
        return Table(
            title="Which weight is which",
            columns=(first, second, "shape", "transform", "status"),
            rows=[
                (
                    row.names.get(first, MISSING),
                    row.names.get(second, MISSING),
                    " × ".join(map(str, next(iter(row.shapes.values())))),
                    row.transform or MISSING,
                    f"{row.status}: {row.why}" if row.why else row.status,
                )
                for row in self.check.mapping
            ],
        )

    def values(self) -> Iterator[Value]:
        """Yield each rung's status and difference, and each weight's status."""
        for rung in self.check.rungs:
            yield Value(table="rungs", row=rung.name, value=rung.status)
            yield Value(table="relative_difference", row=rung.name, value=_finite(rung.relative_difference))
        for row in self.check.mapping:
            for label, name in row.names.items():
                yield Value(table="mapping", row=name, side=label, value=row.status)

    def checks(self) -> Iterator[Check]:
        """Yield whether each rung holds."""
        states: dict[str, Literal["passed", "failed", "skipped"]] = {
            "holds": "passed",
            "fails": "failed",
            "skipped": "skipped",
        }
        for rung in self.check.rungs:
            yield Check(name=rung.name, state=states[rung.status], text=rung.text)

    def to_json(self) -> dict[str, Any]:
        """Return the public document."""
        dumped: dict[str, Any] = without_infinities(self.check.model_dump(mode="python"))
        kept = {"schema_version": 1, "experiment_id": self.experiment_id}
        return {**kept, **dumped, "agrees": self.check.agrees, "next": self.check.next}

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows: the answer, the line of rungs, the first cause, the others,
        the mapping.
        """
        yield Text(printable(self.title), style="bold green" if self.check.agrees else "bold red")
        yield Text(", ".join(f"{label} is {self._what(label)}" for label in self.check.sides), style="dim")
        yield ""
        line = Text()
        for place, rung in enumerate(self.check.rungs):
            line.append("   " if place else "")
            line.append(f"{_MARKS[rung.status]} {rung.name}", style=_COLOURS[rung.status])
        yield line
        yield ""
        first = next((rung.first_cause for rung in self.check.rungs if rung.status == "fails"), None)
        if first is not None:
            yield Text("The first cause", style="bold")
            yield from self._told(first, console)
        others = [one for one in self.check.findings if one is not first and one != first]
        if others:
            yield Text("What else differs", style="bold")
            for one in others:
                yield from self._told(one, console)
        yield from self._rungs(console)
        unproved = [row for row in self.check.mapping if self._shows(row)]
        if unproved and console.width >= TEXT_WIDTH:
            yield Text(
                "Which weight is which" if self.whole_mapping else "Weights that are not proved", style="bold"
            )
            table = self._mapping()
            yield text_table(
                Table(
                    title=table.title,
                    columns=table.columns,
                    rows=[
                        row
                        for row, told in zip(table.rows, self.check.mapping, strict=True)
                        if self._shows(told)
                    ],
                )
            )
            yield ""
        yield from bullets(self.notes, console)

    def _shows(self, row: WeightRow) -> bool:
        return self.whole_mapping or row.status != "proved"

    def _what(self, label: str) -> str:
        return f"{self.check.files.get(label, label)} on {self.check.versions[label]}"

    def _told(self, one: PortFinding, console: Console) -> Iterator[RenderableType]:
        yield bullet(_sentence(one), console)
        lines = [f"{label} {line}" for label, line in one.lines.items()]
        if lines:
            yield Text(f"    {', '.join(lines)}", style="dim")
        for label, text in one.fix.items():
            yield Text(printable(f"    in {label}: {text}"), style="cyan")
        yield ""

    def _rungs(self, console: Console) -> Iterator[RenderableType]:
        yield Text("The rungs", style="bold")
        for rung in self.check.rungs:
            apart = "" if rung.relative_difference is None else f" ({gap(rung.relative_difference)} apart)"
            yield bullet(f"{rung.name}: {rung.text}{apart if rung.status == 'holds' else ''}", console)
        proved = sum(row.status == "proved" for row in self.check.mapping)
        if proved and console.is_terminal:
            yield Text(f"  {count(proved, 'weight')} proved; --json lists every pair", style="dim")
        yield ""


def _sentence(one: PortFinding) -> str:
    if not one.also:
        return f"{one.text}."
    named = both(
        [*one.also[:_NAMED], *([f"{len(one.also) - _NAMED} more"] if len(one.also) > _NAMED else [])]
    )
    return f"{one.text}; the same of {named}."


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def without_infinities(value: Any) -> Any:
    """Return plain values with null for a number that JSON cannot write."""
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, Mapping):
        return {str(key): without_infinities(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(one) for one in value]
    return value
