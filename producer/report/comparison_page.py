"""The comparison as one self-contained HTML page: nothing is fetched, and only our own scripts run.

`page.html.j2` has the structure, `page.css` the looks. `page.js` draws the figures with Apache ECharts,
whose script (`vendor/echarts`) is put into the page. The page's policy names each script by its hash, so
that nothing that came in with a name or a message could ever run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml
from markupsafe import Markup

from likewise.producer.display import count, number
from likewise.producer.report import comparison_gaps
from likewise.producer.report import comparison_tables as tables
from likewise.producer.report import truth as known
from likewise.producer.report.figures import figures_of
from likewise.producer.report.page import file_text, looks, template
from likewise.producer.report.truth import Truth
from likewise.producer.verdict.models import Comparison


def page_of(comparison: Comparison, truth: Truth | None = None) -> str:
    """Return the page; without `truth` it has no picture of predictions."""
    drawn = {name: figure.document() for name, figure in figures_of(comparison, truth).items()}
    scripts = [_script(file_text("vendor/echarts/echarts.min.js")), _script(file_text("page.js"))]
    return template("page.html.j2").render(
        comparison=comparison,
        sides=comparison.sides,
        title=tables.title(comparison),
        seeds=count(len(comparison.experiment.seed_list), "seed"),
        submitted=datetime.fromtimestamp(comparison.submitted_s, tz=UTC).strftime("%-d %B %Y, %H:%M UTC"),
        tolerance=number(comparison.tolerance.relative),
        rows=tables,
        apart=comparison_gaps,
        mendings=comparison.mendings,
        truth=truth,
        confusions=_confusions(comparison, truth),
        disagreements=known.disagreements(truth) if _shows_classes(truth) and truth else 0,
        figures=drawn,
        figures_json=_embedded(drawn),
        job_file=_as_yaml(_job_file(comparison)),
        version=_version(),
        css=looks(),
        scripts=[script for script, _ in scripts],
        policy=_policy([digest for _, digest in scripts]),
    )


def _job_file(comparison: Comparison) -> dict[str, Any]:
    """Return the experiment without what is left at its default."""
    declared = comparison.experiment
    return {"schema_version": declared.schema_version} | declared.model_dump(
        mode="json", exclude_defaults=True
    )


def _confusions(comparison: Comparison, truth: Truth | None) -> list[known.Confusion]:
    if truth is None or not _shows_classes(truth):
        return []
    return known.confusions(truth, comparison.sides)


def _shows_classes(truth: Truth | None) -> bool:
    return (
        truth is not None
        and truth.task != "regression"
        and (truth.classes or 2) <= known.MOST_CLASSES
        and all(outputs.shape[1] in (1, truth.classes) for outputs in truth.outputs.values())
    )


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


def _as_yaml(document: object) -> str:
    """Return a job file in block style, keys in the given order, short lists on one line."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """This writes lists of plain values in flow style."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # repeated values are written out
        return True

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        items = list(sequence)
        plain = not any(isinstance(item, dict) for item in items)
        return super().represent_sequence(tag, items, flow_style=plain or flow_style)
