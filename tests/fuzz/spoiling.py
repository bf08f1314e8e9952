"""Ways to spoil what is valid: documents of JSON, value by value, and files, byte by byte."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from hypothesis import strategies as st

HOSTILE_TEXT = (
    "",
    "\x00",
    "\ud800",
    "\x1b[2J",
    "a\u202eb",
    "<script>",
    "=1+1",
    "../../etc/passwd",
    "9" * 400,
    "1e999",
    "nan",
    "x" * 7_000,
    "{",
    "\U0010ffff",
    "-1",
    "0x10",
    "é\u0301",
    "\n",
    "true",
    "2026-11-31",
)
HOSTILE_NUMBERS = (
    0,
    -1,
    1,
    2,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    10**9,
    10**18,
    10**400,
    0.1,
    -0.0,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
)
DEEP = 2_000
"""Levels of a list in lists: more than a parser of JSON goes down."""

MOST_PLACES = 50_000
"""A document with so many values is not changed further: three changes could make 10⁹ of them."""


def values() -> st.SearchStrategy[Any]:
    """What may stand where something else should."""
    plain = st.one_of(
        st.sampled_from(HOSTILE_TEXT),
        st.sampled_from(HOSTILE_NUMBERS),
        st.sampled_from([None, True, False, [], {}, [[]], [None], {"type": None}, {"type": "dense"}]),
        st.text(max_size=20),
        st.integers(),
        st.floats(),
    )
    nested = st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=8,
    )
    short = st.sampled_from(HOSTILE_NUMBERS) | st.sampled_from(
        ["a", None, True, [], {}, [1, 2], {"type": "dense"}]
    )
    return st.one_of(nested, st.builds(lambda one, times: [one] * times, short, st.sampled_from([9, 1_000])))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a document, also of the document itself."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


@st.composite
def documents(draw: Any, *valid: Any) -> Any:
    """One of the valid documents, with up to three changes: a value replaced, moved, repeated, left out."""
    document = copy.deepcopy(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 3))):
        everywhere = list(islice(places(document), MOST_PLACES))
        if len(everywhere) == MOST_PLACES:  # a value that stands a thousand times is changed a thousand times
            return document
        path = everywhere[draw(st.integers(0, len(everywhere) - 1))]
        if not path:
            if draw(st.integers(0, 20)) == 0:
                return draw(values())
            continue
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(["replace", "replace", "replace", "drop", "move", "repeat", "add"])):
            case "drop":
                del holder[path[-1]]
            case "move":
                other = document
                for key in everywhere[draw(st.integers(0, len(everywhere) - 1))]:
                    other = other[key]
                holder[path[-1]] = copy.deepcopy(other)
            case "repeat" if isinstance(holder, list):
                holder += [copy.deepcopy(holder[path[-1]])] * draw(st.sampled_from([1, 10]))
            case "add" if isinstance(holder, dict):
                holder[draw(st.text(max_size=12))] = draw(values())
            case _:
                holder[path[-1]] = draw(values())
    return document


def as_json(document: Any) -> bytes:
    """The document as a careless writer would have it: NaN, lone surrogates and huge numbers as they are."""
    return json.dumps(document).encode("utf-8", "surrogatepass")


@st.composite
def files(draw: Any, *valid: bytes) -> bytes:
    """One of the valid files with up to six changes of its bytes, or bytes that were never valid."""
    if draw(st.integers(0, 15)) == 0:
        return draw(st.one_of(st.binary(max_size=200), st.just(b"[" * DEEP + b"]" * DEEP)))
    data = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["flip", "set", "number", "cut", "drop", "insert", "repeat", "swap"])):
            case "flip":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, *b'"{[,:\n=']))
            case "number":  # a count or a length, in either order
                size = draw(st.sampled_from([2, 4, 8]))
                number = draw(
                    st.sampled_from([0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (4 * size)])
                )
                data[at : at + size] = number.to_bytes(size, draw(st.sampled_from(["little", "big"])))
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 16))]
            case "insert":
                data[at:at] = draw(
                    st.one_of(st.binary(max_size=8), st.just(b"9" * 30), st.just(b"\xff\xfe\x00"))
                )
            case "repeat":
                data[at:at] = data[at : at + 16] * draw(st.sampled_from([1, 1_000]))
            case _:
                other = draw(st.integers(0, len(data) - 1))
                data[at], data[other] = data[other], data[at]
    return bytes(data)


def texts(*valid: str) -> st.SearchStrategy[bytes]:
    """Text files spoilt as bytes, and with words put in that mean something to a reader of such text."""
    words = st.sampled_from(
        [
            "&a ",
            "*a",
            "!!python/object/apply:os.system [id]",
            "<<: *a",
            "---\n",
            "? ",
            "- " * 90,
            "[" * 90,
            "'",
            '"',
            "\t",
            "|\n",
            "!!binary ",
            "%YAML 9.9\n",
            "\r",
            ",,,,",
            '"\n',
            "\ufeff",
            "#",
            "=1",
            "1e999",
            "nan",
        ]
    )

    @st.composite
    def spoilt(draw: Any) -> bytes:
        text = draw(st.sampled_from(valid))
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(text)))
            text = text[:at] + draw(words) + text[at + draw(st.integers(0, 3)) :]
        return text.encode()

    return files(*[one.encode() for one in valid]) | spoilt()
