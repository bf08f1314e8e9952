"""Runs the benchmarks and writes docs/benchmarks.md: `make bench`.

    python docs/make_benchmarks.py [--only PART ...]

Each program of benchmarks/ prints JSON documents, one a line or one in all; those that train need the
interpreters of the frameworks' environments, as the tests do (LIKEWISE_TEST_PYTHON_<FRAMEWORK>). What they
printed is kept in docs/benchmarks.json, each part with its date: the page is written from that, so that a
part can be measured again without the rest. Quiet machines measure best: nothing else should run.
"""

from __future__ import annotations

import argparse
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
SERVICE = {
    "service": "service.py",
    "sizes": "at_size.py",
    "data": "data_at_size.py",
    "seeds": "many_seeds.py",
    "runs": "many_runs.py",
}
OBSERVED = ("observation.py", "early_stopping.py")
PARTS = ("training", *SERVICE, "observation")
STORED = HERE / "benchmarks.json"
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
BOUNDS = {
    ("article in PyTorch", "replayed"): (
        "Of a replayed update eight operations are left, of about a microsecond each; "
        "recording it takes one to two milliseconds of a training that lasts eight."
    ),
    ("MLP 64-128-10", "replayed"): "Of a replayed update the kernels are left.",
}
"""What bounds a program that misses its target."""


def main() -> None:
    """Measure the parts asked for, store, and write the page."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and write docs/benchmarks.md.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"measure these alone: {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--write", action="store_true", help="measure nothing, write the page anew")
    given = parser.parse_args()
    stored: dict[str, Document] = json.loads(STORED.read_text()) if STORED.exists() else {}
    for part in () if given.write else given.only:
        stored[part] = {"date": datetime.now(UTC).date().isoformat(), "documents": measured(part)}
        STORED.write_text(json.dumps(stored, indent=1) + "\n")  # at once: a later part may fail
    write(stored)


def measured(part: str) -> list[Document]:
    """What the programs of a part print."""
    if part == "training":
        return [
            document
            for framework, programs in TRAINING.items()
            for program in programs
            for document in run(interpreter(framework), program, "--json")
        ]
    if part == "observation":
        return [
            observed(document)
            for program in OBSERVED
            for name in TRAINING
            for document in run(interpreter(name), program, "--framework", name)
        ]
    pythons = [word for name in TRAINING for word in (f"--python-{name}", interpreter(name))]
    return run(sys.executable, SERVICE[part], *pythons)


def observed(printed: Document) -> Document:
    """What `observation.py` and `early_stopping.py` print, as the other benchmarks of the service say it."""
    told = {"what", "framework", "ratio", "target", "met", "bound"}
    rows = {name: value for name, value in printed.items() if name not in told}
    return {
        "benchmark": f"{printed['what']}, {printed['framework']}",
        "rows": rows,
        "ratio": printed["ratio"],
        "at_least": None,
        "at_most": 1.05,
        "bound": printed["bound"] if printed.get("met") == "no" else "",
    }


def write(stored: dict[str, Document]) -> None:
    """The page, from the documents of all parts."""
    pages = Environment(  # noqa: S701 - Markdown, from our own measurements
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    training = stored.get("training", {"documents": []})["documents"]
    service = [one for part in PARTS[1:] if part in stored for one in stored[part]["documents"]]
    page = pages.get_template("benchmarks.md.j2").render(
        dates=", ".join(f"{part} {stored[part]['date']}" for part in PARTS if part in stored),
        machine=machine(),
        targets=targets(training, service),
        training=training,
        service=service,
        seconds=seconds,
        ratio=ratio,
        target=lambda one, row: f"≥ {wanted}" if (wanted := target(one, row)) else "",
        met=met,
        bounds=bounds,
        verdict=verdict,
        row=row_of,
        versions=lambda one: ", ".join(f"{name} {value}" for name, value in one["versions"].items()),
    )
    (HERE / "benchmarks.md").write_text(page)


def run(python: str, program: str, *options: str) -> list[Document]:
    """What a benchmark prints, while its progress goes to the terminal."""
    print(f"== {program}", file=sys.stderr, flush=True)  # noqa: T201
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a command would compile its modules each time
    done = subprocess.run(  # noqa: S603 - our own programs
        [python, ROOT / "benchmarks" / program, *options],
        env=environment,
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


def targets(training: Sequence[Document], service: Sequence[Document]) -> list[tuple[str, str, str, str]]:
    """Of everything that has a target: what it is, the ratio measured, the target, and whether it was met."""
    found = [
        (f"{one['benchmark']}: {row['program']}", f"{ratio(row['times_faster'])} × as fast", f"≥ {wanted}",
         met(one, row))
        for one in training
        for row in one["rows"]
        if (wanted := target(one, row)) is not None
    ]  # fmt: skip
    for one in service:
        if one["ratio"] is None:
            continue
        if one["at_most"] is not None:
            kind, wanted = "as long", f"≤ {one['at_most']:g}"
        elif one["at_least"] is not None:
            kind, wanted = "as fast", f"≥ {one['at_least']:g}"
        else:
            continue
        found.append((one["benchmark"], f"{ratio(one['ratio'])} × {kind}", wanted, reached(one)))
    return found


def bounds(one: Document) -> str:
    """What bounds those that miss their targets, as a paragraph or nothing."""
    missed = [row["program"] for row in one["rows"] if met(one, row).startswith("missed")]
    told = [
        why
        for (benchmark, program), why in BOUNDS.items()
        if benchmark in one["benchmark"] and any(program in name for name in missed)
    ]
    return "".join(f"\n{why}\n" for why in told)


def verdict(one: Document) -> str:
    """A ratio beside its target, and by how much that was missed."""
    value, least, most = one["ratio"], one["at_least"], one["at_most"]
    if value is None:
        return ""
    if least is None and most is None:
        return f"**{ratio(value)} times**"
    wanted = f"at most {most:g} times" if most is not None else f"at least {least:g} times"
    return f"**{ratio(value)} times**; target {wanted}: **{reached(one)}**"


def reached(one: Document) -> str:
    """Whether a ratio's target was met, and by how much it was missed."""
    value, least, most = one["ratio"], one["at_least"], one["at_most"]
    missed = value / most - 1 if most is not None else 1 - value / least
    return "met" if missed <= 0 else f"missed by {100 * missed:.0f} %"


def row_of(name: str, value: float | str) -> tuple[str, str]:
    """A name without its unit, and the value with it."""
    if name.endswith("_s") and not isinstance(value, str):
        return name.removesuffix("_s").replace("_", " "), seconds(value)
    name = name.replace("_", " ")
    if isinstance(value, str):
        return name, value
    return name, f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def ratio(value: float) -> str:
    """`1.87`, `12.3`, `14,700`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def seconds(value: float) -> str:
    """`12.3 ms`, `1.24 s`."""
    if value < 0.9995:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 1000 else f"{value:,.0f} s"


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
