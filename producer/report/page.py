"""A document's page as one HTML file that fetches nothing: `page.html.j2` lays it out, `page.css` dresses it.

`page.js` draws the figures with Apache ECharts, whose script (`vendor/echarts`) is put into a page that has
any; `tools.js` adds what a reader may do: copy, save, scroll. The page's policy names each script by its
hash, so that nothing that came in with a name or a message could ever run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from likewise.producer.display import visible
from likewise.producer.report.document import Document
from likewise.producer.report.layout import Page

ECHARTS = "vendor/echarts/echarts.min.js"


def write_html(document: Document, stream: TextIO) -> None:
    """Write the document's page."""
    stream.write(html_of(document.page()))


def html_of(page: Page) -> str:
    """Return a page as HTML."""
    figures = {drawing.name: drawing.figure.document() for drawing in page.drawings}
    files = [*([ECHARTS, "page.js"] if figures else []), "tools.js"]
    scripts = [_script(file_text(name)) for name in files]
    return template("page.html.j2").render(
        page=page,
        figures_json=_embedded(figures),
        version=_version(),
        css=Markup(file_text("page.css")),  # noqa: S704  # our own file
        scripts=[script for script, _ in scripts],
        policy=_policy([digest for _, digest in scripts]),
    )


def template(name: str) -> Template:
    """Return a template that escapes what is put into it, and refuses names that it is not given."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # markup of ours stays
    )
    environment.filters.update(breakable=_breakable, whole=_whole, data_uri=_data_uri)
    return environment.from_string(file_text(name))


_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNIT = re.compile(r"(\d) (ms|s|min|h|KiB|MiB|GiB|%)(?!\w)")


def file_text(name: str) -> str:
    """Return the text of a file of this package."""
    return resources.files("likewise.producer.report").joinpath(name).read_text(encoding="utf-8")


def _breakable(path: str) -> Markup:
    """Return the text, escaped, that a narrow column may fold at its dots and underscores."""
    text = str(escape(visible(path)))
    return Markup(text.replace(".", ".<wbr>").replace("_", "_<wbr>"))  # noqa: S704  # escaped above


def _whole(text: str) -> Markup:
    """Return the text, escaped, that is folded neither between a number and its unit nor within a date."""
    united = _UNIT.sub(r"\1&nbsp;\2", str(escape(visible(text))))
    return Markup(_DATE.sub(r'<span class="date">\g<0></span>', united))  # noqa: S704  # escaped above


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _script(text: str) -> tuple[Markup, str]:
    """Return a script to inline, and its hash as a policy names it."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"'sha256-{digest}'"  # noqa: S704  # our own file, or ECharts's


def _policy(hashes: list[str]) -> str:
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _embedded(document: Any) -> Markup:
    """Return JSON that cannot end its script element."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    safe = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(safe)  # noqa: S704  # no character of it means anything to HTML


def _version() -> str:
    try:
        return version("likewise")
    except PackageNotFoundError:
        return "unreleased"
