"""Runs plain programs of one framework, each with the advice for it put in, and says what they came to.

    python programs.py FRAMEWORK TASKS.json OUT.npz

Run in the framework's own environment. A task has the parts of a program, the advice, and the data. Advice
is Python under headings that name its place; here it is put there as a reader would, and run.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import traceback
from pathlib import Path

import numpy as np

HEADING = re.compile(r"^# (?P<place>[A-Z][^:]*?)(?P<out>, leave out)?:$")

SEVERAL = ("layer", "call", "draw", "give")
"""Places of several parts; the others have one, whose name is empty."""

Parts = dict[str, dict[str, str]]
"""The code at each place, by name."""


def with_advice(parts: Parts, advice: str | None, headings: dict[str, str]) -> Parts:
    """The program with each block of the advice in the place that its heading names."""
    changed = {place: dict(named) for place, named in parts.items()}
    for place, code, leave_out in blocks(advice or "", headings):
        here = changed.setdefault(place, {})
        if leave_out:
            lines = code.replace("\n# ", "\n").removeprefix("# ").splitlines()
            kept = [line for one in here.values() for line in one.splitlines() if line not in lines]
            changed[place] = {"": "\n".join(kept)}
        elif place == "call":  # a line a layer, each in the place of its own
            for line in code.splitlines():
                made = line.split(" = ")[0]
                here[next((name for name, one in here.items() if one.split(" = ")[0] == made), made)] = line
        elif place == "loss" and len(here) > 1:  # that of an output, before what is made of all of them
            whole = here.pop("")
            here["advice"] = code
            here[""] = "" if "loss_fn" in code else whole
        elif place in SEVERAL:  # what comes later makes anew what came before
            here["advice"] = code
        else:
            changed[place] = {"": code}
    return changed


def blocks(advice: str, headings: dict[str, str]) -> list[tuple[str, str, bool]]:
    """Each block's place, its code, and whether it is one to leave out."""
    places = {heading: place for place, heading in headings.items()}
    found: list[tuple[str, list[str], bool]] = []
    for line in advice.splitlines()[1:]:
        heading = HEADING.match(line)
        if heading is not None and heading["place"] in places:
            found.append((places[heading["place"]], [], heading["out"] is not None))
        else:
            assert found, f"no heading before {line!r}"
            found[-1][1].append(line)
    return [(place, "\n".join(lines), out) for place, lines, out in found]


def main(framework: str, tasks: Path, out: Path) -> None:
    document = json.loads(tasks.read_text())
    stock = importlib.import_module(f"stock_{framework}")
    with np.load(document["arrays"]) as archive:
        arrays = dict(archive)
    results: dict[str, np.ndarray] = {}
    for task in document["tasks"]:
        parts = with_advice(task["parts"], task["advice"], document["headings"])
        given = {
            name: arrays[f"{task['data']}/{name}"]
            for name in ("x", "y", "w")
            if f"{task['data']}/{name}" in arrays
        }
        prefix = f"{task['start']}/"
        weights = {
            name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
        }
        try:
            for name, array in stock.run(parts, task, given, weights).items():
                results[f"{task['id']}/{name}"] = array
        except Exception:  # what goes wrong in one program is that program's
            results[f"{task['id']}/error"] = np.array(traceback.format_exc(limit=-3))
    np.savez(out, **results)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
