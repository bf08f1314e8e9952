"""What holds of a bundle, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rich.console import Console, RenderableType
from rich.text import Text

from likewise.producer.display import count, printable
from likewise.producer.report.document import Check, Document, Table, Value
from likewise.producer.report.layout import Page

_SIGNS = {"holds": ("✔", "green"), "fails": ("✘", "red"), "noted": ("·", "dim")}


@dataclass(frozen=True, kw_only=True)
class VerifiedClaim:
    """It is one thing that a bundle says, and whether it holds."""

    name: str
    state: Literal["holds", "fails", "noted"]
    """`noted` says where the trainings ran otherwise, which is no failure."""
    text: str
    side: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """It says what holds of a bundle."""

    file: str
    name: str
    bundled_id: str
    experiment_id: str | None
    """The experiment that was trained to verify it; None where nothing was trained."""
    claims: Sequence[VerifiedClaim]
    trained: bool

    @property
    def holds(self) -> bool:
        """Return whether nothing fails."""
        return all(claim.state != "fails" for claim in self.claims)


class VerificationDocument(Document):
    """The document has a line for each claim."""

    def __init__(self, verification: Verification) -> None:
        self.verification = verification

    @property
    def title(self) -> str:
        """Return whether it holds."""
        one = self.verification
        fails = sum(claim.state == "fails" for claim in one.claims)
        if fails:
            return f"{one.name}: the bundle does not hold, by {count(fails, 'claim')}"
        return f"{one.name}: the bundle holds" + ("" if one.trained else ", as far as nothing is trained")

    @property
    def sentences(self) -> Sequence[str]:
        """Return the title, and which experiment trained it again."""
        one = self.verification
        again = f"Trained again as experiment {one.experiment_id}."
        return [self.title, *([again] if one.trained else [])]

    def tables(self) -> Iterator[Table]:
        """Yield one table with a row for each claim."""
        rows = [(claim.state, _what(claim), printable(claim.text)) for claim in self.verification.claims]
        yield Table(title="What holds", columns=["", "claim", "found"], rows=rows)

    def page(self) -> Page:
        """Return the page, in the colour of what was found."""
        one = self.verification
        title = self.title.removeprefix(f"{one.name}: ")
        return replace(super().page(), title=title, name=one.name, tone="agree" if one.holds else "differ")

    def parts(self, console: Console) -> Iterator[RenderableType]:  # noqa: ARG002
        """Yield a line for each claim, then the answer."""
        for claim in self.verification.claims:
            sign, style = _SIGNS[claim.state]
            line = Text(f"{sign} ", style=style)
            yield line.append(f"{_what(claim)}: {printable(claim.text)}", style="not dim")
        yield ""
        yield from (Text(sentence) for sentence in self.sentences)

    def values(self) -> Iterator[Value]:
        """Yield whether each claim holds."""
        for claim in self.verification.claims:
            yield Value(table="claims", row=claim.name, side=claim.side, value=claim.state)

    def checks(self) -> Iterator[Check]:
        """Yield each claim; what is only noted passes."""
        for claim in self.verification.claims:
            state: Literal["failed", "passed"] = "failed" if claim.state == "fails" else "passed"
            yield Check(name=_what(claim), state=state, text=claim.text)

    def to_json(self) -> dict[str, Any]:
        """Return the public document."""
        one = self.verification
        return {
            "schema_version": 1,
            "file": one.file,
            "name": one.name,
            "holds": one.holds,
            "trained": one.trained,
            "bundled_experiment_id": one.bundled_id,
            "experiment_id": one.experiment_id,
            "claims": [
                {"claim": claim.name, "side": claim.side or None, "state": claim.state, "text": claim.text}
                for claim in one.claims
            ],
        }


def _what(claim: VerifiedClaim) -> str:
    return f"{claim.name} of {printable(claim.side)}" if claim.side else claim.name
