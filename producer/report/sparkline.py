"""A series of numbers as one line of bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
_LOGARITHMIC_FROM = 100
"""Largest over smallest value from which the logarithm is drawn."""


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` bars from the lowest to the highest value; on a logarithmic scale where it helps."""
    if not values or width < 1:
        return ""
    cells = min(width, len(values))
    shown = [values[i * (len(values) - 1) // max(cells - 1, 1)] for i in range(cells)]
    if is_logarithmic(shown):
        shown = [math.log(value) for value in shown]
    low, high = min(shown), max(shown)
    if high / 2 - low / 2 <= 0:
        return BARS[0] * cells
    top = len(BARS) - 1
    return "".join(BARS[round((value / 2 - low / 2) / (high / 2 - low / 2) * top)] for value in shown)


def is_logarithmic(values: Sequence[float]) -> bool:
    """Whether a logarithmic scale shows more: all above zero, over two orders of magnitude."""
    return bool(values) and min(values) > 0 and max(values) / _LOGARITHMIC_FROM >= min(values)
