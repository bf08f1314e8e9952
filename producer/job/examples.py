"""The shipped job files with what their first comment says: a title, a story, and the address of a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


def example_names() -> list[str]:
    """Return the names of the job files that ship with the tool, those of the gallery left out."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def gallery_names() -> list[str]:
    """Return the names of the job files that show a public report each."""
    return sorted(path.stem for path in (_folder() / "gallery").glob("*.yaml"))


def is_example(name: str) -> bool:
    """Return whether a job file of this name ships with the tool."""
    return name in example_names() or name in gallery_names()


def example_path(name: str) -> Path:
    """Return where a shipped example lies, whether of the gallery or not."""
    return _folder() / (f"gallery/{name}.yaml" if name in gallery_names() else f"{name}.yaml")


def _folder() -> Path:
    return Path(str(files("likewise.producer"))) / "examples"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A job file that ships with the tool."""

    name: str
    title: str
    """What it is, in a line."""
    story: str
    """What happened, where it shows a report; of the others, what else the comment says."""
    report: str | None
    """The address of the public report that it shows; None for an example of another kind."""


def examples() -> list[Example]:
    """Return every shipped job file: the examples, then the gallery of reports."""
    return [example(name) for name in (*example_names(), *gallery_names())]


def example(name: str) -> Example:
    """Return the shipped job file of this name."""
    lines = list(_comment(example_path(name).read_text(encoding="utf-8")))
    report = next((line for line in lines if line.startswith("https://")), None)
    said = [line for line in lines if line != report]
    title, _, rest = " ".join(said).partition(". ")
    if name in gallery_names():
        title, rest = said[0], " ".join(said[1:])
    return Example(name=name, title=title.rstrip("."), story=rest, report=report)


def _comment(text: str) -> Iterator[str]:
    """Yield the lines of the comment at the top, without their signs."""
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line.removeprefix("#").strip()
