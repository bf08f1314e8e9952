"""What a page shows, as data: a head with the verdict, and sections of blocks under headings.

A document makes its `Page`; `page.py` lays it out as HTML, `picture.py` draws its head. Text is of users
and is escaped by whoever lays it out; nothing here is markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from likewise.producer.report.figures import Figure
    from likewise.producer.report.truth import Confusion

Tone = Literal["agree", "differ", "inconclusive", "plain"]


@dataclass(frozen=True)
class Prose:
    """It is a paragraph; a quiet one says how to read what is above it."""

    kind: ClassVar = "prose"
    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Listing:
    """It is several sentences, one below the other."""

    kind: ClassVar = "listing"
    sentences: Sequence[str]


@dataclass(frozen=True)
class Heading:
    """It is a heading within a section."""

    kind: ClassVar = "heading"
    text: str


@dataclass(frozen=True, kw_only=True)
class Grid:
    """It is a table whose first column names the rows."""

    kind: ClassVar = "grid"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    sides: Mapping[int, int] = field(default_factory=dict)
    """The columns that are of one side, by their places, with the place of the side."""
    differing: frozenset[int] = frozenset()
    """The rows whose cells are not alike and are marked so."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Cells that have a look of their own, such as `above`, with the look's name."""
    folds: bool = False
    """Whether cells are sentences, which fold, or numbers and words, which do not."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """It is a figure with what it shows in a sentence, which stands for it where it cannot be seen."""

    kind: ClassVar = "drawing"
    name: str
    """It is the figure's id on the page."""
    says: str
    figure: Figure
    switches_scale: bool = False
    """Whether a reader may choose between a logarithmic axis and a linear one."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """It is lines to be copied, with what they are for, and the name of the file where they make one."""

    kind: ClassVar = "code"
    says: str
    text: str
    file: str = ""


@dataclass(frozen=True)
class Stages:
    """It is the stages of an update, each with whether the sides are equal there, part, or it comes later."""

    kind: ClassVar = "stages"
    label: str
    marks: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Matrices:
    """It is a confusion matrix for each side."""

    kind: ClassVar = "matrices"
    matrices: Sequence[Confusion]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """It is one sample: its picture as a PNG where the data are pictures, and what is said of it."""

    png: bytes | None
    says: str
    sides: Sequence[tuple[int, str]]
    """The place of each side, and what it takes the sample for."""


@dataclass(frozen=True)
class Specimens:
    """It is samples beside each other."""

    kind: ClassVar = "specimens"
    specimens: Sequence[Specimen]


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """It is a module of a program beside its counterpart, with what is known of the two."""

    kind: ClassVar = "leaf"
    names: tuple[str, str]
    """What each side calls it, its parents before a dot; empty where a side has none."""
    mark: Literal["same", "differs", "unproved", "alone", "weightless"]
    says: str
    """The mark in words."""
    facts: Sequence[str] = ()
    place: int = 0
    """It is its number among those that a reader should look at, from 1; 0 of the others."""
    following: int = 0
    """The number of the next of those; 0 where there is none."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """It is what a part of a program holds."""

    kind: ClassVar = "branch"
    name: str
    says: str
    marked: bool
    """Whether it holds a module that a reader should look at."""
    inner: Sequence[Leaf | Branch]


@dataclass(frozen=True, kw_only=True)
class Trees:
    """It is two trees of modules side by side, paired."""

    kind: ClassVar = "trees"
    sides: tuple[str, str]
    inner: Sequence[Leaf | Branch]


@dataclass(frozen=True)
class Fold:
    """It is what only some readers want, behind a line that opens it."""

    kind: ClassVar = "fold"
    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """It is an experiment that is on the page: where on it, what it is, what it says, and whence it is."""

    anchor: str
    label: str
    says: str
    source: str


@dataclass(frozen=True)
class Index:
    """It is the experiments that are on the page, each with a link to its part."""

    kind: ClassVar = "index"
    entries: Sequence[Entry]


Block: TypeAlias = (
    "Prose | Listing | Heading | Grid | Drawing | Code | Stages | Matrices | Specimens | Trees | Index | Fold"
)


@dataclass(frozen=True)
class Section:
    """It is a part of the page under a heading that one can link to."""

    title: str
    blocks: Sequence[Block]
    short: str = ""
    """The title in the table of contents, where it is another."""
    part: str = ""
    """The part of the page that it belongs to, whose name stands before its own; empty on a page of one."""
    over: str = ""
    """The line above the title of a section that begins a part; empty of any other."""
    tone: Tone = "plain"
    """The verdict of what begins with it."""

    @property
    def begins(self) -> bool:
        """Return whether a part of the page begins with it."""
        return bool(self.over)

    @property
    def level(self) -> int:
        """Return the level of its heading: within a part, one below that of the part."""
        return 3 if self.part and not self.begins else 2

    @property
    def name(self) -> str:
        """Return the section's id on the page: its title in small letters and hyphens."""
        if self.begins:
            return self.part
        own = re.sub(r"[^a-z0-9]+", "-", (self.short or self.title).lower()).strip("-") or "part"
        return f"{self.part}-{own}" if self.part else own


@dataclass(frozen=True, kw_only=True)
class Page:
    """It is all that a page shows."""

    title: str
    """The verdict or the answer, in a few words."""
    name: str = ""
    """It is the name of the experiment."""
    facts: Sequence[str] = ()
    """What the first line tells beside the name: how many seeds, when."""
    tone: Tone = "plain"
    notes: Sequence[str] = ()
    """What has to be known beside the verdict."""
    lead: str = ""
    reasons: Sequence[str] = ()
    proof: Drawing | None = None
    """The one picture that shows why the verdict is what it is."""
    sections: Sequence[Section] = ()
    foot: Sequence[str] = ()

    @property
    def anchored(self) -> Sequence[tuple[str, Section]]:
        """Return the sections with their ids, which are unlike each other."""
        taken: dict[str, int] = {}
        named = []
        for section in self.sections:
            taken[section.name] = taken.get(section.name, 0) + 1
            again = taken[section.name]
            named.append((section.name if again == 1 else f"{section.name}-{again}", section))
        return named

    @property
    def drawings(self) -> Sequence[Drawing]:
        """Return every figure of the page, the proof first."""
        blocks = [block for section in self.sections for block in _unfolded(section.blocks)]
        own = [block for block in blocks if isinstance(block, Drawing)]
        return [*([self.proof] if self.proof else []), *own]


def _unfolded(blocks: Sequence[Block]) -> Sequence[Block]:
    return [
        inner
        for block in blocks
        for inner in (_unfolded(block.blocks) if isinstance(block, Fold) else [block])
    ]
