"""What has changed since a result was pinned, as a document: a verdict for each side, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from rich.console import Console, RenderableType

from likewise.producer.display import both, printable
from likewise.producer.golden import NOW, PINNED, SideSince, Since
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.document import Check, Document, Table, Value, titled_parts
from likewise.producer.report.figures import symbol
from likewise.producer.report.figures_of_verdict import proof
from likewise.producer.report.layout import Drawing, Page

SCHEMA_VERSION = 1
_LEFT_OUT = ("What ran", "How the code is mended")
"""Tables of a comparison that say nothing of what has changed."""


@dataclass(frozen=True, kw_only=True)
class GoldenDocument(Document):
    """The document says what has changed since a result was pinned."""

    since: Since

    @property
    def title(self) -> str:
        """Return whether anything has changed."""
        since, when = self.since, datetime.fromtimestamp(self.since.pinned_s, tz=UTC).date()
        changed = [one.side for one in since.sides if one.verdict == "differ"] + list(since.missing)
        if changed:
            return f"{since.name}: {both(changed)} changed since {when}"
        unsure = [one.side for one in since.sides if one.verdict == "inconclusive"]
        if unsure:
            return f"{since.name}: it is open whether {both(unsure)} changed since {when}"
        return f"{since.name}: nothing changed since {when}, beyond rounding"

    @property
    def sentences(self) -> Sequence[str]:
        """Return the answer, then what is known of each side."""
        since = self.since
        told = [f"{side} was pinned and is not there now." for side in since.missing]
        told += [f"{side} is there now and was not pinned." for side in since.added]
        for one in since.sides:
            told += [printable(f"{one.side}: {sentence}") for sentence in _sentences(one)]
        if since.verdict_then != since.verdict_now:
            told.append(
                f"The comparison of the sides said {since.verdict_then}; now it says {since.verdict_now}."
            )
        return told

    @property
    def notes(self) -> Sequence[str]:
        """Return the id of what was trained now."""
        return (f"Experiment {self.since.experiment_id}.",)

    def tables(self) -> Iterator[Table]:
        """Yield what ran otherwise, and of each side that changed what the comparison shows."""
        yield Table(
            title="What ran otherwise",
            columns=("side", "", PINNED, NOW),
            rows=[(one.side, *row) for one in self.since.sides for row in one.ran],
        )
        for one in self.since.sides:
            if one.comparison is not None and one.verdict != "agree":
                for table in ComparisonDocument(comparison=one.comparison).tables():
                    if table.rows and table.title not in _LEFT_OUT:
                        yield replace(table, title=f"{one.side}: {table.title}")

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows, part by part."""
        return titled_parts(self, console)

    def values(self) -> Iterator[Value]:
        """Yield the verdict of each side, what ran otherwise, and every number of then and now."""
        yield Value(table="verdict", row="verdict", value=self.since.verdict)
        for one in self.since.sides:
            yield Value(table="verdict", row="verdict", side=one.side, value=one.verdict)
            for name, then, now in one.ran:
                yield Value(table=f"ran.{PINNED}", row=name, side=one.side, value=then)
                yield Value(table=f"ran.{NOW}", row=name, side=one.side, value=now)
            if one.comparison is not None:
                for value in ComparisonDocument(comparison=one.comparison).values():
                    yield replace(value, table=f"{one.side}.{value.table}")

    def page(self) -> Page:
        """Return the page: the answer, the gaps of every side on one axis, and what a document's page has."""
        since, plain = self.since, super().page()
        return replace(
            plain,
            title=self.title.removeprefix(f"{since.name}: "),
            name=since.name,
            tone=since.verdict,
            proof=_proof(since),
        )

    def checks(self) -> Iterator[Check]:
        """Yield for each side that was pinned whether it gives the same, beyond rounding."""
        for one in self.since.sides:
            state: Literal["failed", "passed"] = "passed" if one.verdict == "agree" else "failed"
            yield Check(name=f"{one.side} as pinned", state=state, text="\n".join(_sentences(one)))
        for side in self.since.missing:
            yield Check(name=f"{side} as pinned", state="failed", text="It is not there now.")

    def to_json(self) -> dict[str, Any]:
        """Return the public document; each side has the document of a comparison."""
        since = self.since
        return {
            "schema_version": SCHEMA_VERSION,
            "experiment_id": since.experiment_id,
            "name": since.name,
            "pinned_s": since.pinned_s,
            "verdict": since.verdict,
            "verdict_then": since.verdict_then,
            "verdict_now": since.verdict_now,
            "missing": list(since.missing),
            "added": list(since.added),
            "sentences": list(self.sentences),
            "sides": {one.side: _side(one) for one in since.sides},
        }


def _sentences(one: SideSince) -> list[str]:
    """Return what is known of a side; what was and what is are no sides that something is in."""
    reasons = one.comparison.reasons if one.comparison is not None else ()
    in_time = [text.replace(f" in {PINNED}", " as pinned").replace(f" in {NOW}", " now") for text in reasons]
    return [*one.changed, *in_time]


def _proof(since: Since) -> Drawing | None:
    """Return every side's gaps from what was pinned, in one picture; None where nothing was compared."""
    found = [(one.side, proof(one.comparison)) for one in since.sides if one.comparison is not None]
    figures = [(side, one[1]) for side, one in found if one is not None]
    if not figures:
        return None
    first = figures[0][1]
    drawn = [
        replace(series, name=side, label=side, side=place, symbol=symbol(place))
        for place, (side, figure) in enumerate(figures)
        if figure.y.names == first.y.names
        for series in figure.series
    ]
    said = "How far each side is now from what was pinned, in each measure, beside what rounding may carry."
    return Drawing(name="proof", says=said, figure=replace(first, series=drawn))


def _side(one: SideSince) -> dict[str, Any]:
    document = None
    if one.comparison is not None:
        document = ComparisonDocument(comparison=one.comparison).to_json()
    ran = {name: {PINNED: then, NOW: now} for name, then, now in one.ran}
    return {"verdict": one.verdict, "changed": list(one.changed), "ran": ran, "comparison": document}
