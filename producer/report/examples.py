"""The shipped job files as a document: the examples, and the gallery of reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from likewise.producer.job.examples import Example
from likewise.producer.report.document import Document, Table, Value


@dataclass(frozen=True, kw_only=True)
class ExamplesDocument(Document):
    """The document lists the shipped job files."""

    examples: Sequence[Example]

    @property
    def title(self) -> str:
        """Return what the list is of."""
        return "Job files that ship with Likewise"

    def tables(self) -> Iterator[Table]:
        """Yield the examples, and the gallery of reports."""
        plain = [(one.name, one.title) for one in self.examples if one.report is None]
        shown = [(one.name, one.title, one.report) for one in self.examples if one.report is not None]
        if plain:
            yield Table(title="Examples", columns=("name", "job"), rows=plain)
        if shown:
            yield Table(title="Reports", columns=("name", "what differs", "report"), rows=shown)

    def values(self) -> Iterator[Value]:
        """Yield the title and the report of each."""
        for one in self.examples:
            yield Value(table="examples", row=one.name, value=one.title)
            if one.report is not None:
                yield Value(table="reports", row=one.name, value=one.report)

    def to_json(self) -> Any:
        """Return the list with the stories."""
        fields = ("name", "title", "story", "report")
        return {"examples": [{field: getattr(one, field) for field in fields} for one in self.examples]}

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield a line a job file, its title under its name where both do not stand beside each other."""
        width = max(len(one.name) for one in self.examples) + 2
        for report in (False, True):
            group = [one for one in self.examples if (one.report is not None) == report]
            if not group:
                continue
            yield Text("public reports" if report else "examples", style="bold")
            for one in group:
                beside = not console.is_terminal or width + len(one.title) + 2 <= console.width
                if beside:
                    yield Text.assemble((f"  {one.name:<{width}}", "cyan"), one.title)
                else:
                    yield Text(f"  {one.name}", style="cyan")
                    yield Padding(Text(one.title, overflow="fold"), (0, 0, 0, 4))
            yield ""
        yield Text("likewise compare NAME trains one; likewise init --from NAME copies it", style="dim")
