"""A document whose page has the other experiments of its subject, too: one page of all that was asked.

The page is assembled from the pages that each document has by itself. The comparison stands first, with its
verdict on top; every other experiment begins a part of its own, in the order of `ORDER`. In every other
format the document is what it is alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType

from likewise.producer.display import count
from likewise.producer.report.document import Check, Document, Table, Value
from likewise.producer.report.layout import (
    Block,
    Drawing,
    Entry,
    Fold,
    Index,
    Listing,
    Page,
    Prose,
    Section,
)
from likewise.shared.ledger.records import Kind

LABELS: dict[Kind, str] = {
    "comparison": "Comparison",
    "port-comparison": "Port training",
    "explanation": "Explanation",
    "port-explanation": "Port explanation",
    "bench": "Bench",
    "port-bench": "Port bench",
    "sweep": "Sweep",
    "port-check": "Port check",
    "bisection": "Bisection",
}
"""What a part of the page is called, by the kind of its experiment, in the order of the page."""
ORDER: tuple[Kind, ...] = tuple(LABELS)


@dataclass(frozen=True, kw_only=True)
class PartOfPage:
    """It is an experiment that is on the page: its document, and why it is this one."""

    kind: Kind
    experiment_id: str
    submitted_s: float
    document: Document
    named: bool = False
    """Whether it is the one that was asked for; else it is the newest of its kind."""
    older: int = 0
    """How many older ones of its kind the same subject has."""
    by_name: bool = False
    """Whether it is known to be of the subject by its name alone, since it has no declared job."""

    @property
    def source(self) -> str:
        """Return which experiment it is, of when, and why this one."""
        said = [f"{self.experiment_id[:8]} of {when(self.submitted_s)}"]
        if self.named:
            said.append("the one that was asked for")
        elif self.older:
            said.append(f"the newest of {self.older + 1}")
        if self.by_name:
            said.append("found by its name")
        return ", ".join(said)


@dataclass(frozen=True, kw_only=True)
class SubjectDocument(Document):
    """The document is the one that was asked for; its page has the whole subject."""

    own: Document
    parts_of_page: Sequence[PartOfPage]
    """Every experiment that is on the page, in the order of `ORDER`, its own among them."""
    left_out: Sequence[str] = ()
    """A sentence for each experiment of the same name that is not on the page."""

    @property
    def title(self) -> str:
        """Return what the document itself is called."""
        return self.own.title

    @property
    def sentences(self) -> Sequence[str]:
        """Return what the document itself says."""
        return self.own.sentences

    @property
    def notes(self) -> Sequence[str]:
        """Return the notes of the document itself."""
        return self.own.notes

    def tables(self) -> Iterable[Table]:
        """Return the tables of the document itself."""
        return self.own.tables()

    def values(self) -> Iterable[Value]:
        """Return the values of the document itself."""
        return self.own.values()

    def checks(self) -> Iterable[Check]:
        """Return the checks of the document itself."""
        return self.own.checks()

    def to_json(self) -> Any:
        """Return the public JSON document of the document itself."""
        return self.own.to_json()

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows of the document itself."""
        return self.own.parts(console)

    def own_page(self) -> Page:
        """Return the page that the document has alone."""
        return self.own.page()

    def page(self) -> Page:
        """Return the page of the whole subject; the document's own where there is nothing else to show."""
        if len(self.parts_of_page) == 1 and not self.left_out:
            return self.own.page()
        first, *others = self.parts_of_page
        pages = [one.document.page() for one in self.parts_of_page]
        entries = [
            Entry(
                anchor="top" if one is first else one.kind,
                label=LABELS[one.kind],
                says=page.lead if one.kind == "explanation" else page.title,
                source=one.source,
            )
            for one, page in zip(self.parts_of_page, pages, strict=True)
        ]
        index: list[Block] = [Index(entries)]
        index += [Prose(one, quiet=True) for one in self.left_out]
        top = pages[0]
        return replace(
            top,
            sections=[
                Section("On this page", index),
                *top.sections,
                *(section for one, page in zip(others, pages[1:], strict=True) for section in _of(one, page)),
            ],
        )


def _of(part: PartOfPage, page: Page) -> Iterator[Section]:
    """Yield the sections of an experiment that is not the first on the page: its head, then its own."""
    head: list[Block] = []
    if page.lead:
        head.append(Prose(page.lead))
    if page.notes:
        head.append(Listing(page.notes))
    if page.proof is not None:
        head.append(page.proof)
    if page.reasons:
        head.append(Listing(page.reasons))
    label = LABELS[part.kind]
    begin = Section(
        page.title,
        [*_renamed(head, part.kind)],
        label,
        part=part.kind,
        over=" · ".join([label, *(one for one in page.facts if one != label.lower()), part.source]),
        tone=page.tone,
    )
    inner = [replace(one, blocks=[*_renamed(one.blocks, part.kind)], part=part.kind) for one in page.sections]
    *before, last = begin, *inner
    yield from before
    yield replace(last, blocks=[*last.blocks, *(Prose(line, quiet=True) for line in page.foot)])


def _renamed(blocks: Sequence[Block], part: str) -> Iterator[Block]:
    """Yield blocks whose figures have names that no other part of the page has."""
    for block in blocks:
        if isinstance(block, Drawing):
            yield replace(block, name=f"{part}-{block.name}")
        elif isinstance(block, Fold):
            yield replace(block, blocks=[*_renamed(block.blocks, part)])
        else:
            yield block


def when(submitted_s: float) -> str:
    """Return the minute of a submission, for readers."""
    return datetime.fromtimestamp(submitted_s, tz=UTC).strftime("%-d %B %Y, %H:%M UTC")


def told_left_out(kind: Kind, experiment_id: str, submitted_s: float, why: str) -> str:
    """Return the sentence on a newer experiment of the same name that is not on the page."""
    return (
        f"Not on this page: {LABELS[kind].lower()} {experiment_id[:8]} of {when(submitted_s)}, since {why}."
    )


def more_differ(paths: Sequence[str], shown: int) -> str:
    """Return how many settings differ beside those that are shown."""
    return f" and {count(len(paths) - shown, 'more setting')}" if len(paths) > shown else ""
