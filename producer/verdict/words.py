"""Small words for sentences: numbers for people, lists, values of settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_VALUE = 60


def number(value: float) -> str:
    """Up to three digits: 0.06, 6, 3.5e-08, and whole numbers to a million: 1,204."""
    if abs(value) < 1e6 and (value == int(value) or abs(value) >= 1000):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def gap(relative: float | None) -> str:
    """A relative gap: `0`, `2.1e-08`, `0.0039`, `—` where it cannot be measured."""
    if relative is None:
        return "—"
    return f"{relative:.2g}" if relative >= 0.001 else "0" if relative == 0 else f"{relative:.1e}"


def both(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def plus_minus(relative: float) -> str:
    """Half an interval by its middle: `±2.5 %`, `±17 %`, `±>100 %`."""
    percent = 100 * relative
    return "±>100 %" if percent > 100 else f"±{percent:.0f} %" if percent >= 10 else f"±{percent:.2g} %"


def setting(value: Any) -> str:
    """A setting's value in short: words bare, an initializer as a call, the rest as JSON, long lists cut."""
    if value is None:
        return "none"
    if isinstance(value, dict) and "type" in value:
        return _call(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return text
    if isinstance(value, list | tuple):
        return f"{text[: LONGEST_VALUE // 2]}… ({len(value)} items)"
    return f"{text[: LONGEST_VALUE - 1]}…"


def count(amount: int, noun: str, several: str | None = None) -> str:
    """`1 seed`, `3 seeds`; `several` where the plural is not the noun with an s."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {several or noun + 's'}"


def _call(value: Mapping[str, Any]) -> str:
    """`variance_scaling(0.333, fan_in, uniform)`, `he_normal(truncated)`: a kind and what it is made with."""
    parts = [_argument(name, part) for name, part in value.items() if name != "type" and part is not False]
    return f"{value['type']}({', '.join(parts)})" if parts else str(value["type"])


def _argument(name: str, value: Any) -> str:
    if value is True:
        return name
    return number(value) if isinstance(value, float) else setting(value)
