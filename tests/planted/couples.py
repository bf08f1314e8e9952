"""The couples of couples.yaml: jobs in two wordings, and what differs in what they compute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from likewise.producer.job import paths

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One job file's document, torch's side of it in another wording."""

    name: str
    document: dict[str, Any]
    only: tuple[str, ...]
    """The settings that differ in what is computed."""
    told: tuple[str, ...]
    """The settings that differ in what is reported alone."""
    values: bool
    """Whether the values part although the declarations compute the same."""
    rule: bool
    """Whether a rule knows that they are the same, or else the values alone."""

    @property
    def agrees(self) -> bool:
        """Whether both sides compute the same."""
        return not self.only and not self.values


def pairs() -> list[Pair]:
    """All of them, in the file's order."""
    jobs = yaml.safe_load((HERE / "jobs.yaml").read_text())
    written = yaml.safe_load((HERE / "couples.yaml").read_text())
    common = jobs.pop("common")
    jobs |= written.pop("jobs")
    return [_pair(name, common | jobs[one["job"]], one) for name, one in written.items()]


def _pair(name: str, job: dict[str, Any], one: dict[str, Any]) -> Pair:
    word = "".join(letter for letter in name.replace(" ", "-") if letter.isalnum() or letter == "-")
    document = yaml.safe_load(yaml.safe_dump(job))
    for path, value in one.get("set", {}).items():
        paths.assign(document, path, value)
    return Pair(
        name=name,
        document=document | {"name": word, "overrides": {"torch": one["override"]}},
        only=tuple(one.get("only", ())),
        told=tuple(one.get("told", ())),
        values=one.get("values", False),
        rule=one.get("rule", True),
    )
