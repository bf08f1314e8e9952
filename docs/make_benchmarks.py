"""Runs every benchmark and writes docs/benchmarks.md: `make bench`.

    python docs/make_benchmarks.py

Each program of benchmarks/ prints JSON documents, one a line or one in all; those that train need the
interpreters of the frameworks' environments, as the tests do (LIKEWISE_TEST_PYTHON_<FRAMEWORK>).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
ROOT = HERE.parent
Document = dict[str, Any]

TRAINING = {
    "tensorflow": ["tensorflow_speed.py"],
    "torch": ["pytorch_article.py", "pytorch_networks.py"],
}
SERVICE = ["service.py"]
OBSERVED = "observation.py"
TARGETS = {
    ("article in TensorFlow", "first"): 50,
    ("article in TensorFlow", "warm"): 500,
    ("article in PyTorch", "ours"): 8,
    ("MLP in TensorFlow", "ours"): 10,
    ("MLP 64-128-10", "ours"): 4,
    ("conv net", "ours"): 1,
    ("Conv net", "ours"): 1,
}
"""How many times as fast as the usual program, by parts of the benchmark's and the program's name."""


def main() -> None:
    """Measure and write."""
    training = [
        document
        for framework, programs in TRAINING.items()
        for program in programs
        for document in run(interpreter(framework), program, "--json")
    ]
    pythons = [word for name in TRAINING for word in (f"--python-{name}", interpreter(name))]
    service = [
        {"benchmark": "The service", **document}
        for program in SERVICE
        for document in run(sys.executable, program, *pythons)
    ]
    service += [
        {"benchmark": f"Progress and checkpoints in {document['framework']}", **document}
        for name in TRAINING
        for document in run(interpreter(name), OBSERVED, "--framework", name)
    ]
    write(training, service)


def write(training: Sequence[Document], service: Sequence[Document]) -> None:
    """The page, from the documents."""
    pages = Environment(  # noqa: S701 - Markdown, from our own measurements
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    page = pages.get_template("benchmarks.md.j2").render(
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        training=training,
        service=service,
        seconds=seconds,
        ratio=lambda value: f"{value:.1f}" if value < 100 else f"{value:,.0f}",
        target=lambda one, row: f"≥ {wanted}" if (wanted := target(one, row)) else "",
        met=met,
        versions=lambda one: ", ".join(f"{name} {value}" for name, value in one["versions"].items()),
        shown=lambda value: f"{value:.4g}" if isinstance(value, float) else value,
    )
    (HERE / "benchmarks.md").write_text(page)


def run(python: str, program: str, *options: str) -> list[Document]:
    """What a benchmark prints, while its progress goes to the terminal."""
    print(f"== {program}", file=sys.stderr, flush=True)  # noqa: T201
    done = subprocess.run(  # noqa: S603 - our own programs
        [python, ROOT / "benchmarks" / program, *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return documents(done.stdout)


def documents(text: str) -> list[Document]:
    """The JSON documents one after another in a text."""
    found, decoder, place = [], json.JSONDecoder(), 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        document, place = decoder.raw_decode(text, place)
        found.append(document)
    return found


def interpreter(framework: str) -> str:
    """The Python of a framework's environment."""
    return os.environ[f"LIKEWISE_TEST_PYTHON_{framework.upper()}"]


def target(one: Document, row: Document) -> int | None:
    """What a program is held to, where it is one of ours."""
    return next(
        (
            wanted
            for (benchmark, program), wanted in TARGETS.items()
            if benchmark in one["benchmark"] and program in row["program"] and "ours" in row["program"]
        ),
        None,
    )


def met(one: Document, row: Document) -> str:
    """Whether the target was reached, and by how much it was missed."""
    wanted = target(one, row)
    if wanted is None:
        return ""
    reached = row["times_faster"] / wanted
    return "met" if reached >= 1 else f"missed: {100 * reached:.0f} % of it"


def seconds(value: float) -> str:
    """`12.3 ms`, `1.24 s`."""
    return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"


def machine() -> str:
    """What it was measured on."""
    names = [line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name")]
    model = names[0] if names else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}"


def cpu_lines() -> Sequence[str]:
    """Of /proc/cpuinfo, where there is one."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
