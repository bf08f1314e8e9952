"""Job file text to plain values: YAML 1.2's core types and JSON, and nothing that could do harm.

PyYAML's own loader reads `no` as false and `1e-3` as text, keeps the last of two equal keys, and lets
a few aliases stand for billions of values. Its parser is used here for events only; the values are
composed below, counted as they come.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from likewise.producer.display import short

MAX_BYTES = 16 * 2**20
MAX_VALUES = 2_000_000
MAX_DEPTH = 60
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DATA_BELONGS_ELSEWHERE = "keep data of this size in a csv, parquet or npz file"


class TextError(ValueError):
    """Text that is no job file; `line` counts from 1, or is None where the whole is meant."""

    def __init__(self, message: str, *, line: int | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.hint = hint


def decode(data: bytes) -> str:
    """Return the text of a job file's bytes; raise TextError for what is not UTF-8 text."""
    if len(data) > MAX_BYTES:
        raise TextError("is larger than a job file may be (16 MiB)", hint=_DATA_BELONGS_ELSEWHERE)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise TextError("is UTF-16 text", hint="save it as UTF-8")
    if b"\0" in data:
        raise TextError("is a binary file", hint="a job file is YAML or JSON text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError("is not UTF-8 text", line=line, hint="save it as UTF-8") from None


def read_json(text: str) -> Any:
    """Return the value of JSON text; raise TextError."""
    if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise TextError(f"has more than {MAX_VALUES:,} values", hint=_DATA_BELONGS_ELSEWHERE)
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise TextError(f"is not JSON: {error.msg.lower()}", line=error.lineno) from None
    except RecursionError:
        raise TextError("is nested too deeply for a job file") from None


def read_yaml(text: str) -> Any:
    """Return the value of YAML text; raise TextError."""
    try:
        return _Composer(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise TextError(f"is not YAML: {error.problem}", line=line, hint=_syntax_hint(error)) from None
    except yaml.YAMLError as error:
        raise TextError(f"is not YAML: {str(error).splitlines()[0]}") from None


def _syntax_hint(error: yaml.MarkedYAMLError) -> str | None:
    problem = error.problem or ""
    if "cannot start any token" in problem or "tab" in problem:
        return "indent with spaces, not tabs; put text that begins with @, ` or % in quotes"
    if "mapping values are not allowed" in problem:
        return "a second `:` on the line? put text with a colon in quotes; a mapping starts on its own line"
    if "did not find expected" in problem or "could not find expected" in problem:
        return "look for a missing bracket, comma, quote or colon, or uneven indentation"
    return None


class _Composer:
    def __init__(self, text: str) -> None:
        # libyaml's parser is about ten times as fast; both give the same events.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._values = 0
        self._anchors: dict[str, tuple[Any, int]] = {}

    def document(self) -> Any:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise TextError("is empty", hint="`likewise init` writes one to start from")
        value = self._node(next(self._events), 0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise TextError(
                "holds a second document", line=_line(after), hint="one experiment a file; remove the ---"
            )
        return value

    def _node(self, event: yaml.Event, depth: int) -> Any:
        self._count(1, event)
        if depth > MAX_DEPTH:
            raise TextError("is nested too deeply for a job file", line=_line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise TypeError(event)
        if event.tag not in (None, "!"):
            raise TextError(
                f"uses the YAML tag {short(event.tag)}", line=_line(event), hint="write the plain value"
            )
        before = self._values
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event.value) if event.implicit[0] else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._values - before + 1)
        return value

    def _alias(self, event: yaml.AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise TextError(f"*{event.anchor} stands for nothing written before it", line=_line(event))
        value, size = self._anchors[event.anchor]
        self._count(size, event)
        return copy.deepcopy(value)

    def _sequence(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise TextError("has a key that is not a word", line=_line(event))
            if event.value in mapping:
                raise TextError(
                    f"names {short(event.value)} twice in one mapping", line=_line(event), hint="keep one"
                )
            mapping[event.value] = self._node(next(self._events), depth + 1)
        return mapping

    def _count(self, values: int, event: yaml.Event) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise TextError(
                f"has more than {MAX_VALUES:,} values{', aliases (*name) written out' * bool(self._anchors)}",
                line=_line(event),
                hint=_DATA_BELONGS_ELSEWHERE,
            )


def _line(event: yaml.Event) -> int | None:
    return None if event.start_mark is None else event.start_mark.line + 1


def _scalar(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float(f"{special[1]}inf") if special[2] else float("nan")
    return text


def _integer(text: str) -> int | float:
    """Whole numbers beyond 63 bits become floats, which fields for whole numbers refuse."""
    if len(text) > 20:
        return float(text)
    value = int(text)
    return value if -(2**63) <= value < 2**63 else float(value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise TextError(f"names {short(key)} twice in one mapping", hint="keep one")
        mapping[key] = value
    return mapping
