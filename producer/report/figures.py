"""A picture as plain data: axes, series and guides. `page.js` draws them on a page, `picture.py` in a file.

A series names the place of its side, by which it is coloured; one without a side shows what was known. The
reference is drawn solid and wide, the others dashed and thin on top of it, so that both are seen where they
coincide. What is measured of rows with names, such as a bar for each setting, stands at y 0, 1, 2, ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 1_500
"""The most points of a curve; above it, the lowest and highest of each stretch are kept."""
MOST_OF_ALL = 12_000
"""The most points of all curves of a figure together."""
MOST_MARKS = 2_000
_DIGITS = 8
"""The significant digits of what is drawn: no eye sees more, and a page stays small."""

Dash = tuple[int, ...]
Symbol = Literal["circle", "ring", "cross", "diamond", "square"]
Kind = Literal["line", "points", "band", "bars", "whiskers", "heat"]
_DASHES: tuple[Dash, ...] = ((), (10, 8), (2, 5), (14, 5, 2, 5))
DOTTED: Dash = (2, 5)
_SYMBOLS: tuple[Symbol, ...] = ("circle", "ring", "cross", "diamond", "square")
FINE, THIN, WIDE = 1.0, 2.5, 5.0
SHADES: Mapping[str, int] = {"agree": 2, "differ": 1, "inconclusive": 0}
"""A verdict is drawn as the side whose colour is nearest to its own: green, orange and blue."""
Values = list[float | None]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis says what it measures, and whether its scale is logarithmic; or it names its rows."""

    label: str
    log: bool = False
    names: Sequence[str] = ()
    """The names of the places 0, 1, 2, ...; the first stands on top of an upright axis."""
    ends: tuple[float, float] | None = None
    """The least and the most that there can be, where they are known; else what is drawn says it."""


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A guide is a line across the figure at a value, such as the tolerance, with its word.

    What is `below` it, or up to `until`, is shaded: there the sides are alike.
    """

    axis: Literal["x", "y"]
    value: float
    label: str = ""
    below: bool = False
    until: float | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """A series is a line, a set of points, a band from `y` up to `high`, bars, whiskers or a heat map.

    A bar reaches from 0 to x at row y. A whisker reaches from `low` to `high` at row y, with a mark at x.
    A heat map has `values[row][column]`, drawn at y row and x column.

    Series of one `name` share an entry of the legend and are switched on and off together; `label` is
    what a reader sees who points at it. `side` is the place of a side, None for what was known.
    """

    kind: Kind
    name: str
    label: str
    side: int | None
    x: Values = field(default_factory=list)
    y: Values = field(default_factory=list)
    low: Values = field(default_factory=list)
    high: Values = field(default_factory=list)
    values: list[Values] = field(default_factory=list)
    threshold: float | None = None
    """The value of a heat map up to which the sides are alike; cells above it are marked."""
    log: bool = False
    """Whether a heat map is shaded by the logarithm."""
    texts: list[list[str]] = field(default_factory=list)
    """What is written into the cells of a heat map, nothing where there are too many. A line's only row is
    what a reader sees who points at each of its points, where that is not its y."""
    width: float = THIN
    dash: Dash = ()
    symbol: Symbol | None = None
    size: float = 6
    opacity: float = 1


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture has two axes, the series drawn in them, and guides across."""

    x: Axis
    y: Axis
    series: list[Series]
    guides: list[Guide] = field(default_factory=list)
    group: str = ""
    """Figures of one group are zoomed and pointed at together."""
    rows: float | None = None
    """How many lines of text the figure is high; None where it is as high as others."""
    zero: bool = False
    """Whether the upright axis begins at 0, or else at the smallest value."""

    def document(self) -> dict[str, Any]:
        """Return the figure as plain dicts, lists, strings and finite numbers, without what is left out."""
        whole = asdict(self)
        whole["series"] = [
            {
                name: value
                for name, value in one.items()
                if value not in ([], ()) or name in ("x", "y", "dash")
            }
            for one in whole["series"]
        ]
        return whole


def curve(
    values: Sequence[float],
    *,
    side: int,
    name: str,
    label: str = "",
    opacity: float = 1,
    most: int = MOST_POINTS,
) -> Series:
    """Return values by epoch, from 1, as a line."""
    epochs, kept = thinned(values, most)
    return Series(
        kind="line",
        name=name,
        label=label or name,
        side=side,
        x=list(epochs),
        y=plain(np.array(kept)),
        width=width(side),
        dash=dash(side),
        symbol="circle" if len(values) == 1 else None,
        opacity=opacity,
    )


def width(side: int) -> float:
    """Return how wide the line of a side is: the reference's is wide."""
    return WIDE if side == 0 else THIN


def dash(side: int) -> Dash:
    """Return how the line of a side is dashed: the reference's is not."""
    return _DASHES[side % len(_DASHES)]


def symbol(side: int) -> Symbol:
    """Return the mark of a side's points."""
    return _SYMBOLS[side % len(_SYMBOLS)]


def thinned(values: Sequence[float], most: int = MOST_POINTS) -> tuple[list[int], list[float]]:
    """Return epochs from 1 and values; of many, each stretch's lowest and highest, and both ends."""
    if len(values) <= most:
        return list(range(1, len(values) + 1)), list(values)
    series = np.array(values)
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), max(1, most // 2)):
        kept.add(int(stretch[np.argmin(series[stretch])]))
        kept.add(int(stretch[np.argmax(series[stretch])]))
    places = sorted(kept)
    return [place + 1 for place in places], [float(series[place]) for place in places]


def some(amount: int, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Return evenly chosen places of `amount`, at most `most` of them."""
    return np.unique(np.linspace(0, amount - 1, min(amount, most)).astype(np.int64))


def plain(values: NDArray[Any]) -> Values:
    """Return numbers as they are drawn: rounded, and None for what is not finite."""
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in values.tolist()]
