"""Numbers as text for people, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from producer.verdict.models import Spread

MISSING = "—"


def short(value: float | None) -> str:
    """Return a loss or a metric with six significant digits."""
    return MISSING if value is None else f"{value:.6g}"


def rounded(value: float, digits: int, *, sign: str = "") -> str:
    """Return `0.0031` or `1.8e-05`, and `22,720` from 10**digits to a million; `sign="+"` signs it."""
    if 10**digits <= abs(value) < 1e6:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.{digits}g}"


def complete(value: float | None) -> str:
    """Return a prediction with every digit that tells it from its neighbours."""
    return MISSING if value is None else repr(value)


def seconds(value: float | None) -> str:
    """Return a duration: `12 ms`, `1.24 s`, `3 min 5 s`."""
    if value is None:
        return MISSING
    if value == 0:
        return "0 s"
    if value < 0.0995:
        return f"{value * 1000:.3g} ms"
    if value < 60:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(value: int | None) -> str:
    """Return a number of bytes: `412 MiB`."""
    if value is None:
        return MISSING
    amount, unit = float(value), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"


def over_seeds(spread: Spread | None) -> str:
    """Return such as `0.961 ± 0.004` over seeds, or the one number."""
    if spread is None:
        return MISSING
    if spread.count == 1 or spread.deviation is None:
        return short(spread.mean)
    return f"{rounded(spread.mean, 4)} ± {rounded(spread.deviation, 2)}"


def row(values: Any) -> str:
    """Return one row of outputs: a number, or `(a, b)`."""
    if isinstance(values, Sequence):
        told = [complete(value) for value in values]
        return told[0] if len(told) == 1 else f"({', '.join(told)})"
    return complete(values)


def given(values: Any) -> str:
    """Return one row of `predict` as the user wrote it: `10`, `(1, 2)`."""
    if isinstance(values, Sequence):
        told = [f"{value:g}" for value in values[:4]]
        if len(values) > 4:
            told.append("…")
        return told[0] if len(told) == 1 else f"({', '.join(told)})"
    return f"{values:g}"
