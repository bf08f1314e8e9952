"""A plot of a few numbers in a terminal: a mark for each side, in a frame of a few lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from likewise.producer.display import printable, rounded

_MARKS = "o×+*#"
"""The mark of each side by its place; a place where several stand has the first one's."""
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue")
_HEIGHT = 8
_WIDEST_STEP = 10
_LOGARITHMIC_FROM = 100


def plotted(
    title: str, names: Sequence[str], sides: Mapping[str, Sequence[float | None]], *, columns: int
) -> list[Text]:
    """Return the lines of a plot of `sides`, each a value for every name; none without two finite values.

    The newest values are kept where not all have room.
    """
    known = [value for values in sides.values() for value in values if value is not None]
    if len(names) < 2 or not known or not all(map(math.isfinite, known)):
        return []
    lowest, highest = min(known), max(known)
    log = lowest > 0 and highest / lowest >= _LOGARITHMIC_FROM
    ends = [rounded(highest, 3), rounded(lowest, 3)]
    margin = max(map(len, ends)) + 1
    room = columns - margin - 2
    step = max(2, min(_WIDEST_STEP, room // len(names)))
    first = max(0, len(names) - room // step)
    rows = [[(" ", "")] * (step * (len(names) - first)) for _ in range(_HEIGHT)]
    for place, values in reversed([*enumerate(sides.values())]):  # the first side is on top
        mark, colour = _MARKS[place % len(_MARKS)], _COLOURS[place % len(_COLOURS)]
        for at, value in enumerate(values[first:]):
            if value is not None:
                up = round(_share(value, lowest, highest, log=log) * (_HEIGHT - 1))
                rows[_HEIGHT - 1 - up][at * step + step // 2] = (mark, colour)
    legend = Text(f"{printable(title)}{', logarithmic' if log else ''}  ", style="bold")
    for place, side in enumerate(sides):
        style = f"not bold {_COLOURS[place % len(_COLOURS)]}"
        legend.append(f" {_MARKS[place % len(_MARKS)]} {printable(side)}", style)
    lines = [legend]
    for place, row in enumerate(rows):
        label = ends[0] if place == 0 else ends[1] if place == _HEIGHT - 1 else ""
        line = Text(f"{label:>{margin - 1}} │")
        for mark, colour in row:
            line.append(mark, colour)
        line.rstrip()
        lines.append(line)
    lines.append(Text(f"{'':>{margin}}└{'─' * (step * (len(names) - first))}"))
    lines.append(_named(names[first:], step, margin))
    return lines


def _share(value: float, lowest: float, highest: float, *, log: bool) -> float:
    """Return how far up a value stands, from 0 to 1; in the middle where all are the same."""
    if highest == lowest:
        return 0.5
    if log:
        return math.log(value / lowest) / math.log(highest / lowest)
    return (value - lowest) / (highest - lowest)


def _named(names: Sequence[str], step: int, margin: int) -> Text:
    """Return the first and the last name below their places, and between them those that have room."""
    width = max(map(len, names)) + 1
    every = max(1, math.ceil(width / step))
    cells = [
        names[at].center(step * every)[: step * every] if at % every == 0 else ""
        for at in range(0, len(names), 1)
    ]
    return Text(f"{'':>{margin + 1}}{''.join(cells)}".rstrip(), style="dim")
