"""Each planted fault is seen, found at its place and blamed on its setting."""

from __future__ import annotations

import re
from typing import Any

ANY = "any"
BLAME = re.compile(r"This is not like for like: (\S+) is ")


def test_a_planted_fault_is_found(fault: Any, likewise: Any, record: Any) -> None:
    options = [word for change in fault.changes for word in ("--set", change)]
    said = likewise("compare", fault.document, *options)
    found = said["first_divergence"] or {}
    blamed = BLAME.match(said["reasons"][0])
    seen = {
        "verdict": said["verdict"],
        "blamed": blamed[1] if blamed else None,
        **{name: found.get(name) for name in ("stage", "step", "tensor")},
    }
    wanted = {
        "verdict": fault.verdict,
        "blamed": fault.setting,
        **{name: getattr(fault, name) for name in ("stage", "step", "tensor")},
    }
    right = all(value in (ANY, seen[name]) for name, value in wanted.items())
    record(
        "faults", fault=fault.name, right=right, relative_difference=found.get("relative_difference"), **seen
    )
    assert right, (seen, wanted, said["reasons"])
