"""The faults of faults.yaml with the jobs they are planted in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One planted difference: the job file's document, and what must be found."""

    name: str
    document: dict[str, Any]
    changes: tuple[str, ...]
    """`--set` options: what the job has in common before the fault is planted."""
    setting: str
    stage: str | None
    tensor: str | None
    step: int | str | None
    verdict: str


def faults() -> list[Fault]:
    """All of them, in the file's order."""
    jobs = yaml.safe_load((HERE / "jobs.yaml").read_text())
    planted = yaml.safe_load((HERE / "faults.yaml").read_text())
    common = jobs.pop("common")
    return [_fault(name, common | jobs[one["job"]], one) for name, one in planted.items()]


def _fault(name: str, job: dict[str, Any], one: dict[str, Any]) -> Fault:
    word = "".join(letter for letter in name.replace(" ", "-") if letter.isalnum() or letter in ".-")
    return Fault(
        name=name,
        document=job | {"name": word, "overrides": {"torch": one["override"]}},
        changes=tuple(f"{path}={json.dumps(value)}" for path, value in one.get("set", {}).items()),
        setting=one["setting"],
        stage=one["stage"],
        tensor=one["tensor"],
        step=one.get("step", 1),
        verdict=one.get("verdict", "differ"),
    )
