"""Any document as one HTML page that fetches nothing: its own, or a plain one of sentences and tables."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any, TextIO

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from likewise.producer.display import visible
from likewise.producer.report.document import Document

WITHOUT_SCRIPTS = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""The policy of a page that has no script."""


def write_html(document: Document, stream: TextIO) -> None:
    """Write the document as one page."""
    stream.write(document.page() or _plain_page(document))


def _plain_page(document: Document) -> str:
    return template("document.html.j2").render(document=document, policy=WITHOUT_SCRIPTS, css=looks())


def template(name: str, **filters: Callable[[Any], Any]) -> Template:
    """Return a template that escapes what is put into it, and refuses names that it is not given."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # markup of ours stays
    )
    environment.filters.update(filters)
    return environment.from_string(file_text(name))


def looks() -> Markup:
    """Return the style sheet of all pages."""
    return Markup(file_text("page.css"))  # noqa: S704  # our own file


def file_text(name: str) -> str:
    """Return the text of a file of this package."""
    return resources.files("likewise.producer.report").joinpath(name).read_text(encoding="utf-8")
