"""Dotted paths into a job file's plain values: how `--set` and `overrides` write.

A list's items go by index or, for layers, by name. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from likewise.producer.display import did_you_mean, short

_HALF = re.compile("[\ud800-\udfff]")
_OPEN = {("overrides", "*"), ("initial_weights", "weights")}
"""Mappings whose keys are themselves dotted: the rest of a path is one key."""


class PathError(ValueError):
    """A path that leads nowhere; `hint` says what would."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def assign(document: Any, path: str, value: Any) -> str:
    """Put the value where the path leads, in place; mappings on the way are made where they lack.

    A word on the way stands for a mapping with that type. An override replaces those of the same setting,
    however they name it, and of its parts. Returns the path with every item of a list by its index. Raises
    PathError.
    """
    parts = path.split(".")
    if not all(parts):
        raise PathError("is not a path", "words and numbers with single dots, such as training.epochs")
    here = document
    keys: list[str] = []
    for depth, part in enumerate(parts):
        if _is_open(parts[:depth]) and isinstance(here, dict):
            rest = ".".join(parts[depth:])
            for other in [key for key in here if is_in(by_index(document, key), by_index(document, rest))]:
                del here[other]
            here[rest] = value
            return ".".join([*keys, rest])
        key = _key(here, part, parts[:depth])
        keys.append(str(key))
        if depth == len(parts) - 1:
            here[key] = value
            break
        below = here.get(key) if isinstance(here, dict) else here[key]
        if below is None or isinstance(below, str):
            below = {} if below is None else {"type": below}
            here[key] = below
        here = below
    return ".".join(keys)


def by_index(document: Any, path: str) -> str:
    """Return the path with every item of a list by its index, as far as it leads anywhere."""
    here, keys = document, []
    for part in path.split("."):
        key = str(_names(here).get(part, part)) if isinstance(here, list) else part
        keys.append(key)
        if isinstance(here, list):
            here = here[int(key)] if _is_index(key) and int(key) < len(here) else None
        else:
            here = here.get(key) if isinstance(here, dict) else None
    return ".".join(keys)


def halved_texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each word, or key, that has half of a character.

    JSON can write such a half, a surrogate alone; no file, terminal or message can.
    """
    if isinstance(value, str):
        if _HALF.search(value):
            yield ".".join(path), value
    elif isinstance(value, dict):
        for key, one in value.items():
            if _HALF.search(str(key)):
                yield ".".join(path), key
            yield from halved_texts(one, (*path, str(key)))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            if isinstance(one, str | dict | list):
                yield from halved_texts(one, (*path, str(number)))


def is_in(path: str, *places: str) -> bool:
    """Return whether a path is one of the places, or lies in one."""
    return any(path == place or path.startswith(f"{place}.") for place in places)


def _is_open(parts: list[str]) -> bool:
    if len(parts) == 3:
        return (parts[0], parts[2]) == ("sides", "overrides")
    return len(parts) == 2 and (tuple(parts) in _OPEN or (parts[0], "*") in _OPEN)


def _key(here: Any, part: str, above: list[str]) -> Any:
    """Return what to index `here` with; raise PathError."""
    where = ".".join(above) or "the job file"
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise PathError(f"{where} is {short(here)}, which has nothing named {short(part)}")
    names = _names(here)
    if part in names:
        return names[part]
    if _is_index(part):
        if int(part) < len(here):
            return int(part)
        last = f"0 to {len(here) - 1}" if here else "none"
        raise PathError(f"{where} has no item {part}", f"its items are {last}")
    if names:
        raise PathError(f"{where} has no item named {short(part)}", did_you_mean(part, list(names)))
    raise PathError(f"{where} is a list, and {short(part)} is no index", "items count from 0")


def _names(items: list[Any]) -> dict[str, int]:
    """Return where the items that have a name stand."""
    named = (item.get("name") if isinstance(item, dict) else None for item in items)
    return {name: index for index, name in enumerate(named) if isinstance(name, str)}


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10
