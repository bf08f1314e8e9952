"""Writes docs/parity.md from what the parity tests and the planted faults measured.

    make parity

runs them with LIKEWISE_RECORDS naming a folder, into which each test writes a line of JSON for what it
measured, and then this program with that folder. Where a part was measured by itself, a file `note.md` in the
folder says so on the page.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
Record = dict[str, Any]
COLUMNS = {
    "float64": ("first_loss", "gradients", "weights"),
    "float32": ("first_loss_ulps", "gradients", "weights"),
}


def records(folder: Path, table: str) -> list[Record]:
    """What was measured."""
    return [json.loads(line) for line in (folder / f"{table}.jsonl").read_text().splitlines()]


def residual_rows(measured: Sequence[Record]) -> list[tuple[str, int, list[str]]]:
    """For each kind of case: its name, how many there are, the largest of each column."""
    by_kind: dict[str, list[Record]] = {}
    for one in measured:
        by_kind.setdefault(kind_of(one["case"]), []).append(one)
    rows = []
    for kind, found in by_kind.items():
        cells = [
            shown(max((one[name] for one in found if one["precision"] == precision), default=None))
            for precision, names in COLUMNS.items()
            for name in names
        ]
        rows.append((kind, len({one["case"] for one in found}), cells))
    return rows


def kind_of(case: str) -> str:
    """`loss mse mean` is of the kind `loss`; a model is a kind of its own."""
    first = case.split(maxsplit=1)[0]
    return first if first in ("activation", "loss", "optimizer", "schedule", "dropout") else case


def shown(value: float | None) -> str:
    """`0`, `3`, `2.1e-16`; a dash for nothing."""
    if value is None:
        return "—"
    return f"{value:.0f}" if value == int(value) else f"{value:.1e}"


def main(folder: Path) -> None:
    """Write the page."""
    measured, clean = records(folder, "residuals"), records(folder, "clean")
    pages = Environment(  # noqa: S701 - Markdown, from our own measurements
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    note = folder / "note.md"
    verdicts = Counter(one["verdict"] for one in clean)
    page = pages.get_template("parity.md.j2").render(
        note=note.read_text().strip() if note.is_file() else "",
        steps={one["precision"]: one["steps"] for one in measured},
        residuals=residual_rows(measured),
        faults=records(folder, "faults"),
        couples=records(folder, "couples"),
        clean=clean,
        verdicts={word: verdicts[word] for word in ("agree", "differ", "inconclusive")},
        shown=shown,
    )
    (HERE / "parity.md").write_text(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
