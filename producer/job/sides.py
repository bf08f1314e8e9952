"""The sides that `--sides` names, as the job file would declare them. Pure.

[LABEL=]FRAMEWORK[==VERSION][@DEVICE][:EXECUTION][/PRECISION]
"""

from __future__ import annotations

import re
from typing import Any

from producer.display import printable
from shared.errors import UsageError

_SIDE = re.compile(
    r"(?:(?P<label>[^=@:/]*)=(?!=))?"
    r"(?P<framework>[^=@:/]+)"
    r"(?:==(?P<version>[^=@:/]+))?"
    r"(?:@(?P<device>[^=@:/]+(?::\d+)?))?"
    r"(?::(?P<execution>[^=@:/]+))?"
    r"(?:/(?P<precision>[^=@:/]+))?"
)
_FIELDS = ("framework", "version", "device", "execution", "precision")
_NO_LABEL = re.compile(r"[^a-z0-9_-]+")


def sides_of(given: str) -> dict[str, dict[str, str]]:
    """The sides that the text names, separated by commas: their fields by label. Raises UsageError."""
    sides: dict[str, dict[str, str]] = {}
    words: dict[str, str] = {}
    for word in (part.strip() for part in given.split(",")):
        found = _SIDE.fullmatch(word)
        if found is None:
            raise UsageError(
                f"--sides: {printable(word) or 'an empty word'} is no side; write "
                "[LABEL=]FRAMEWORK[==VERSION][@DEVICE][:EXECUTION][/PRECISION], such as torch:compiled"
            )
        label = found["label"] if found["label"] is not None else label_of(word)
        if label in sides:
            raise UsageError(
                f"--sides: {printable(words[label])} and {printable(word)} are both labelled "
                f"{printable(label)}; give one a label of its own, such as second={printable(word)}"
            )
        words[label] = word
        sides[label] = {name: found[name] for name in _FIELDS if found[name] is not None}
    return sides


def label_of(word: str) -> str:
    """The label of a side that was given none: `torch-2-13-0` of `torch==2.13.0`."""
    return _NO_LABEL.sub("-", word.lower()).strip("-")


def declare(document: dict[str, Any], given: str) -> None:
    """Put the sides of `--sides` into a job file's plain values, instead of those that it has.

    What the job overrides in a side that no longer takes part goes with it. Raises UsageError.
    """
    sides = sides_of(given)
    before = document.pop("sides", None)
    names = before if isinstance(before, dict) else document.pop("frameworks", None) or ()
    document.pop("frameworks", None)
    document["sides"] = sides
    overrides = document.get("overrides")
    if isinstance(overrides, dict):
        there = {*sides, *(side["framework"] for side in sides.values())}
        gone = {*map(str, names)} - there if names else {*overrides} - there
        document["overrides"] = {name: one for name, one in overrides.items() if name not in gone}
