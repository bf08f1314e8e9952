"""The fenced blocks of the pages, and what is known of each: who runs it, or why nobody does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    file.relative_to(ROOT).as_posix()
    for file in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
)
_FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

ELSEWHERE = {
    ("README.md", "make demo"): "tests/debian13",
    ("README.md", "docker compose run --rm producer compare article"): "tests/containers/test_compose.py",
    ("docs/hosts.md", ""): "tests/integration/test_hosts.py",
    ("docs/port.md", "$ likewise port check keras_code.py"): "tests/ports/test_port_command.py",
    ("docs/port.md", "likewise port check keras_code.py:build"): "tests/ports/test_tutorial.py",
    ("docs/port.md", "$ likewise port convert"): "tests/ports/test_port_command.py",
    ("docs/porting.md", ""): "tests/ports/test_tutorial.py",
    ("docs/tutorial.md", ""): "tests/integration/test_tutorial.py",
    ("docs/versions.md", "$ likewise compare digits"): "tests/integration/local/test_versions.py",
    ("deploy/README.md", "cd ~/houses"): "tests/containers/test_compose.py",
    ("deploy/README.md", "$ docker compose -f"): "tests/containers/test_compose.py",
    ("deploy/README.md", "docker compose run --rm --env ROTATE=1"): "tests/containers/test_compose.py",
    ("deploy/kubernetes/README.md", "docker build"): "tests/kubernetes/test_manifests.py",
}
"""The test that runs all blocks of a page, or what the one that begins so shows."""
NOT_RUN = {
    ("README.md", " job file ──>"): "a drawing",
    ("docs/explain.md", "5 settings differ"): "said on the way, with the times of that moment",
    ("docs/gpu.md", "not run:"): "the answer of a script on a host without a GPU",
    ("docs/gpu.md", "COMPOSE_FILE="): "needs a GPU",
    ("docs/gpu.md", "torch cannot be started here"): "needs a GPU with an old driver",
    ("docs/job-file.md", ""): "formulas, which tests/contract holds",
    ("docs/monitoring.md", "likewise metrics --port"): "serves without an end; test_metrics.py asks it",
    ("docs/monitoring.md", '{"time"'): "a line of a log",
    ("docs/output.md", "✔ agree  rare"): "the beginning of an answer of a job that the page does not give",
    ("docs/output.md", "Not on this page"): "a sentence of a page; test_kept.py has it",
    ("docs/port.md", "$ likewise list"): "of trainings that the page does not give",
    ("docs/stock.md", "COMPOSE_FILE="): "settings of containers",
    ("docs/versions.md", "$ likewise bisect"): "installs a further version of a framework",
    ("deploy/README.md", "docker buildx"): "asks a registry",
}
"""Why a block is not run."""
PRINTED_BY = {
    ("docs/explain.md", "why torch differs from tensorflow  article"): "likewise explain article",
    ("docs/explain.md", "why torch differs from tensorflow  diabetes"): "likewise explain diabetes"
    " --set defaults=native",
    ("docs/output.md", "# article"): "likewise show last --format md",
    ("docs/output.md", "table,row,side"): "likewise show last --format csv",
}
"""The command that prints what a block shows, where it is not in the block."""
LONG = {
    ("README.md", "$ likewise sweep matched --grid optimizer"),
    ("README.md", "$ likewise sweep matched --grid overrides"),
    ("README.md", "$ likewise bench digits"),
    ("README.md", "$ likewise compare matched --sides torch:eager"),
    ("docs/explain.md", "likewise explain article"),
    ("docs/explain.md", "why torch differs from tensorflow  diabetes"),
    ("docs/output.md", "likewise compare article"),
    ("docs/port.md", "$ likewise compare port.yaml"),
    ("docs/port.md", "$ likewise bench port.yaml"),
    ("docs/port.md", "$ likewise explain port.yaml"),
    ("docs/port.md", "$ likewise code digits"),
    ("docs/stock.md", "$ likewise bench digits"),
}
"""What takes too long for every run."""
SOME_LINES = {("docs/output.md", "table,row,side")}
"""What shows some lines of many, each of which has to be there, in this order."""
TIMED = {
    ("README.md", "$ likewise bench"),
    ("docs/stock.md", "$ likewise bench"),
    ("docs/port.md", "$ likewise bench"),
}
"""What shows times of one machine, whose order may be another on the next: it is run, and not compared."""
LEFT_OUT = ("torch@cuda", "==2.12")
"""Commands with these are left out of a block: they need a GPU, or a further version."""
WITHOUT = (".plot(logy=True)",)
"""What is left out of a block of Python: it needs matplotlib."""
_BATCH = """\
python -c "
import numpy as np
draws = np.random.default_rng(0)
np.savez('batch.npz', x=draws.normal(size=(8, 64)), y=draws.integers(0, 10, 8))
"
"""
BEFORE = {
    ("README.md", "schema_version"): ["likewise init houses.yaml --from houses"],
    ("docs/experiments.md", "$ likewise list"): [
        "likewise bench matched --tag speed --variant auto --budget 0 --no-twin",
        "likewise explain article",
        'likewise compare article --tag paper --note "figure 3"',
        "likewise sweep matched --grid optimizer.learning_rate=0.01,0.02",
    ],
    ("docs/experiments.md", "$ likewise history line"): [
        "likewise compare matched --set name=line",
        "likewise compare matched --set name=line --set overrides.torch.loss.reduction=sum",
    ],
    ("docs/experiments.md", "likewise compare job.yaml --against"): [
        "likewise init job.yaml --from matched",
        "likewise compare job.yaml",
        "likewise pin last -o golden.json",
    ],
    ("docs/experiments.md", "$ likewise predict"): [
        "python make_flats.py",
        "likewise init flats.yaml --csv flats.csv --target price",
        "likewise compare flats.yaml",
    ],
    ("docs/experiments.md", "$ likewise export"): ["likewise compare article"],
    ("docs/experiments.md", "$ likewise verify"): [
        "likewise compare flats.yaml",
        "likewise bundle last -o flats.zip",
    ],
    ("deploy/README.md", "python -c"): [
        "for user in producer worker monitor; do echo x > $user.password; done"
    ],
    ("docs/port.md", "$ likewise code digits"): [_BATCH],
    ("docs/explain.md", "likewise explain article"): ["likewise init job.yaml --from article"],
    ("docs/output.md", "likewise compare article"): [],
    ("docs/output.md", "# article"): ["likewise compare article"],
    ("docs/output.md", "import pandas"): ["likewise report last -o article.csv"],
}
"""What a reader has done before a block."""


@dataclass(frozen=True)
class Block:
    """A fenced block, where it stands, and in which language."""

    page: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Return what a report of tests calls it."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Return each command with what is shown to be printed by it, if anything."""
        if self.text.startswith("$ "):
            several = f"\n{self.text}".split("\n$ ")[1:]
            return [(command, shown) for command, _, shown in (one.partition("\n") for one in several)]
        return [(self.text, "")] if self.text.startswith(("likewise ", "python ")) else []

    def is_among(self, keys: Collection[tuple[str, str]]) -> bool:
        """Return whether one of the keys is its page with its beginning."""
        return any(page == self.page and self.text.startswith(begin) for page, begin in keys)

    def found_in(self, table: Mapping[tuple[str, str], Any]) -> Any:
        """Return what a table has under its page and its beginning; None if nothing."""
        return next((table[key] for key in table if self.is_among([key])), None)


def blocks() -> Iterator[Block]:
    """Yield every block of every page, in order."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for found in _FENCED.finditer(text):
            yield Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])
