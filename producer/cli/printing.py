"""How the commands print a comparison: the result on standard output, the page into a file, the status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from producer.console import make_console
from producer.experiments import RUN_FAILED
from producer.report.json import to_json
from producer.report.terminal import render
from shared.errors import UsageError

if TYPE_CHECKING:
    from producer.follow_ups import Outcome
    from producer.verdict.models import Comparison

NOT_IN_AGREEMENT = 1


def print_comparison(comparison: Comparison, *, as_json: bool, full: bool = False) -> None:
    """Print the result on standard output."""
    if as_json:
        make_console().file.write(f"{to_json(comparison, full=full)}\n")
    else:
        render(comparison, make_console())


def write_page(outcome: Outcome, path: Path) -> None:
    """Write the page; raises UsageError where the file cannot be written."""
    from producer.compare import tables_of
    from producer.report.html import to_html
    from producer.report.truth import truth_of

    tables = tables_of(outcome.record.experiment, outcome.results, outcome.arrays)
    text = to_html(outcome.comparison, truth_of(outcome.runs, tables, outcome.arrays))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def exit_status(comparison: Comparison, *, check: bool) -> int:
    """Return the exit status of a command that compared."""
    if comparison.failed:
        return RUN_FAILED
    return NOT_IN_AGREEMENT if check and comparison.verdict != "agree" else 0
