"""A bisection as a document: the sentence, and a row for each version that was tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from likewise.producer import display
from likewise.producer.bisecting import Bisection, Tried, told
from likewise.producer.report.document import Document, Table, Value
from likewise.producer.report.figures import SHADES, Axis, Figure, Series, plain, symbol
from likewise.producer.report.figures_of_verdict import SMALLEST_GAP
from likewise.producer.report.layout import Drawing, Page

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class BisectionDocument(Document):
    """The document shows which version first trains otherwise."""

    bisection: Bisection
    experiment_id: str | None = None
    """The id under which it is kept."""

    @property
    def title(self) -> str:
        """Return what was searched."""
        found = self.bisection
        return f"{found.name}: {found.package} from {found.versions[0]} to {found.versions[-1]}"

    @property
    def sentences(self) -> Sequence[str]:
        """Return what was found, and why versions were left out."""
        left_out = [
            f"{self.bisection.package} {one.version} was left out: {display.printable(one.why_not)}"
            for one in self.bisection.tried
            if one.why_not is not None
        ]
        return (told(self.bisection), *left_out)

    @property
    def notes(self) -> Sequence[str]:
        """Return where to look closer."""
        first = self.bisection.first_different
        if first is None or first.experiment_id is None:
            return ()
        name = first.experiment_id[:8]
        return (f"why: likewise show {name}  ·  as a page: likewise report {name} -o {first.version}.html",)

    def tables(self) -> Iterator[Table]:
        """Yield the versions that were tried, from the oldest."""
        tried = sorted(self.bisection.tried, key=lambda one: self.bisection.versions.index(one.version))
        yield Table(
            title=f"Compared with {self.bisection.versions[0]}",
            columns=(self.bisection.package, "verdict", "largest gap", "in the", "experiment"),
            rows=[(one.version, *_cells(one)) for one in tried],
        )

    def page(self) -> Page:
        """Return the page: what was found, and how far each version is from the oldest."""
        found, first = self.bisection, self.bisection.first_different
        oldest, newest = found.versions[0], found.versions[-1]
        titles = {
            "differ": f"{found.package} {newest if first is None else first.version} trains it otherwise",
            "agree": f"{found.package} {newest} trains it as {oldest} does",
            "inconclusive": f"it is open whether {found.package} {newest} trains it as {oldest} does",
        }
        return replace(
            super().page(),
            title=titles[found.verdict],
            name=found.name,
            tone=found.verdict,
            proof=_proof(found),
        )

    def values(self) -> Iterator[Value]:
        """Yield the verdict of each version that was tried."""
        for one in self.bisection.tried:
            yield Value(table="verdict", row=one.version, value=one.verdict)

    def to_json(self) -> Any:
        """Return what was searched, what was found and what was tried."""
        found = self.bisection
        first = found.first_different
        return {
            "schema_version": SCHEMA_VERSION,
            "experiment_id": self.experiment_id,
            "name": found.name,
            "verdict": found.verdict,
            "package": found.package,
            "versions": list(found.versions),
            "first_different": None if first is None else first.version,
            "last_same": found.last_same,
            "in_doubt": list(found.in_doubt),
            "tried": [
                {
                    "version": one.version,
                    "verdict": one.verdict,
                    "experiment_id": one.experiment_id,
                    "why_not": one.why_not,
                }
                for one in found.tried
            ],
        }


def _proof(found: Bisection) -> Drawing | None:
    """Return the largest gap of each version, a mark for each verdict; None where nothing was compared."""
    compared = [one for version in found.versions for one in found.tried if one.version == version]
    compared = [one for one in compared if one.largest_gap is not None]
    drawn = []
    for verdict, word in (
        ("agree", "trains the same"),
        ("inconclusive", "open"),
        ("differ", "trains otherwise"),
    ):
        rows = [place for place, one in enumerate(compared) if one.verdict == verdict]
        if rows:
            gaps = np.array([max(compared[place].largest_gap or 0.0, SMALLEST_GAP) for place in rows])
            side = SHADES[verdict]
            drawn.append(
                Series(kind="points", name=word, label=word, side=side, x=plain(gaps), y=[*map(float, rows)],
                       symbol=symbol(side), size=12)
            )  # fmt: skip
    if not drawn:
        return None
    names = [one.version for one in compared]
    return Drawing(
        name="proof",
        says=f"How far the training with each version of {found.package} is from that with "
        f"{found.versions[0]}, in the measure where it is farthest.",
        figure=Figure(
            x=Axis(label="largest relative gap", log=True),
            y=Axis(label="", names=names),
            series=drawn,
            rows=4.5 + 2.2 * len(names),
        ),
    )


def _cells(tried: Tried) -> tuple[str, str, str, str]:
    if tried.experiment_id is None:
        return ("left out", display.MISSING, display.MISSING, display.MISSING)
    where = tried.measure or display.MISSING
    return (tried.verdict or display.MISSING, display.gap(tried.largest_gap), where, tried.experiment_id[:8])
