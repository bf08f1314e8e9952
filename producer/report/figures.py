"""The page's pictures as plain data: series and axes. `page.js` draws them; colours are the page's to give.

A series names the place of its side, by which the page colours it; one without a side shows what was
known. The reference is drawn solid and wide, the others dashed and thin on top of it, so that both are
seen where they coincide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import is_logarithmic
from likewise.producer.report.truth import Truth
from likewise.producer.verdict.models import Comparison, Curves

MOST_POINTS = 1_500
"""The most points of a curve; above it, the lowest and highest of each stretch are kept."""
MOST_SEEDS = 8
"""The most seeds whose curves are drawn one by one; of more, bands over seeds are."""
MOST_MARKS = 2_000
MOST_MARKED_EPOCHS = 60
"""Each with a mark on the line of its gap, so that one between two epochs without a gap is seen."""

Dash = tuple[int, ...]
Symbol = Literal["circle", "ring", "cross", "diamond", "square"]
_DASHES: tuple[Dash, ...] = ((), (10, 8), (2, 5), (14, 5, 2, 5))
_DOTTED: Dash = (2, 5)
_SYMBOLS: tuple[Symbol, ...] = ("circle", "ring", "cross", "diamond", "square")
_FINE, _THIN, _WIDE = 1.0, 2.5, 5.0
Values = list[float | None]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis says what it measures, and whether its scale is logarithmic."""

    label: str
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Series:
    """A series is a line, a set of points, or a band from `y` up to `high`.

    Series of one `name` share an entry of the legend and are switched on and off together; `label` is
    what a reader sees who points at it. `side` is the place of a side, None for what was known.
    """

    kind: Literal["line", "points", "band"]
    name: str
    label: str
    side: int | None
    x: Values
    y: Values
    high: Values = field(default_factory=list)
    width: float = _THIN
    dash: Dash = ()
    symbol: Symbol | None = None
    size: float = 6
    opacity: float = 1


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture has two axes and the series drawn in them."""

    x: Axis
    y: Axis
    series: list[Series]

    def document(self) -> dict[str, Any]:
        """Return the figure as plain dicts, lists, strings and finite numbers."""
        return asdict(self)


def figures_of(comparison: Comparison, truth: Truth | None) -> dict[str, Figure]:
    """Return every picture that there is something to draw in, by the id of its place on the page."""
    found = {"losses": losses(comparison), "growth": growth(comparison)}
    if truth is not None and truth.is_line:
        found["fit"] = fitted_lines(truth, comparison.sides)
    elif truth is not None and truth.task == "regression":
        found["fit"] = predicted_against_true(truth, comparison.sides)
    return {name: figure for name, figure in found.items() if figure is not None}


def losses(comparison: Comparison) -> Figure | None:
    """Return the losses of every side over epochs; None where nothing was trained."""
    drawn: list[Series] = []
    seen: list[float] = []
    for side, run in enumerate(comparison.runs):
        if run.curves is not None and len(run.seeds) > MOST_SEEDS:
            drawn += _bands(run.curves, side=side, name=run.side)
            seen.extend(value for row in run.curves.losses for value in row)
            continue
        seeds = [seed for seed in run.seeds if seed.losses]
        for seed in seeds:
            label = run.side if len(run.seeds) == 1 else f"{run.side}, seed {seed.seed}"
            seen.extend(seed.losses)
            drawn.append(_curve(seed.losses, side=side, name=run.side, label=label))
        if seeds and seeds[0].validation_losses:
            name = f"{run.side}, validation"
            seen.extend(seeds[0].validation_losses)
            drawn.append(_curve(seeds[0].validation_losses, side=side, name=name, label=name, opacity=0.5))
    if not drawn:
        return None
    return Figure(x=Axis(label="epoch"), y=Axis(label="loss", log=is_logarithmic(seen)), series=drawn)


def growth(comparison: Comparison) -> Figure | None:
    """Return the gaps in the loss over epochs, declared and in the float64 twin; None where nothing grows."""
    drawn: list[Series] = []
    for one in comparison.growth:
        side = comparison.sides.index(one.other)
        declared = comparison.jobs[one.other].precision
        dashes: tuple[tuple[str, Sequence[float | None], Dash], ...] = (
            (declared, one.declared, ()),
            ("float64 twin", one.twin, _DOTTED),
        )
        for kind, values, dash in dashes:
            if not any(values):
                continue
            name = kind if len(comparison.growth) == 1 else f"{one.other}, {kind}"
            drawn.append(
                Series(
                    kind="line",
                    name=name,
                    label=name,
                    side=side,
                    x=list(one.epochs),
                    y=[value or None for value in values],
                    dash=dash,
                    symbol="circle" if len(values) <= MOST_MARKED_EPOCHS else None,
                )
            )
    if not drawn:
        return None
    return Figure(
        x=Axis(label="epoch"),
        y=Axis(label="gap in the loss, of the first loss", log=True),
        series=drawn,
    )


def fitted_lines(truth: Truth, sides: Sequence[str]) -> Figure:
    """Return the known points and each side's fitted function through them, out to what it predicts."""
    x, y = truth.x.reshape(-1), truth.y.reshape(-1)
    shown = _some(len(x))
    known = f"truth ({truth.part})"
    drawn = [
        Series(kind="points", name=known, label=known, side=None, x=_plain(x[shown]), y=_plain(y[shown]),
               symbol="circle", size=8)
    ]  # fmt: skip
    for side, name in enumerate(sides):
        if name not in truth.outputs:
            continue
        line_x, line_y = x, truth.outputs[name].reshape(-1)
        asked = truth.predictions.get(name)
        if asked is not None and truth.predict is not None:
            line_x = np.concatenate([line_x, truth.predict.reshape(-1)])
            line_y = np.concatenate([line_y, asked.reshape(-1)])
        order = np.argsort(line_x, kind="stable")[_some(len(line_x))]
        drawn.append(
            Series(kind="line", name=name, label=name, side=side, x=_plain(line_x[order]),
                   y=_plain(line_y[order]), width=_width(side), dash=_dash(side))
        )  # fmt: skip
        if asked is not None and truth.predict is not None:
            drawn.append(
                Series(kind="points", name=name, label=f"{name} predicts", side=side,
                       x=_plain(truth.predict.reshape(-1)), y=_plain(asked.reshape(-1)),
                       symbol=_symbol(side), size=11 + 3 * side)
            )  # fmt: skip
    feature = truth.feature_names[0] if truth.feature_names else "x"
    scaled = " (standardised)" if truth.standardized else ""
    target = truth.target_names[0] if truth.target_names else "y"
    return Figure(x=Axis(label=feature + scaled), y=Axis(label=target), series=drawn)


def predicted_against_true(truth: Truth, sides: Sequence[str]) -> Figure:
    """Return a mark a sample: what was known across, what came out upwards; the diagonal is perfect."""
    y = truth.y.reshape(-1).astype(np.float64)
    shown = _some(len(y), MOST_MARKS)
    ends: Values = [float(np.min(y)), float(np.max(y))]
    drawn = [
        Series(kind="line", name="perfect", label="perfect", side=None, x=ends, y=ends, width=_FINE,
               dash=_DOTTED)
    ]  # fmt: skip
    for side, name in enumerate(sides):
        if name in truth.outputs and truth.outputs[name].size == y.size:
            out = truth.outputs[name].reshape(-1)
            drawn.append(
                Series(kind="points", name=name, label=name, side=side, x=_plain(y[shown]),
                       y=_plain(out[shown]), symbol=_symbol(side), size=5 + 4 * side, opacity=0.7)
            )  # fmt: skip
    target = truth.target_names[0] if len(truth.target_names) == 1 else "target"
    return Figure(
        x=Axis(label=f"true {target} ({truth.part})"), y=Axis(label=f"predicted {target}"), series=drawn
    )


def _curve(values: Sequence[float], *, side: int, name: str, label: str, opacity: float = 1) -> Series:
    epochs, kept = _thinned(values)
    return Series(
        kind="line",
        name=name,
        label=label,
        side=side,
        x=list(epochs),
        y=list(kept),
        width=_width(side),
        dash=_dash(side),
        symbol="circle" if len(values) == 1 else None,
        opacity=opacity,
    )


def _bands(curves: Curves, *, side: int, name: str) -> list[Series]:
    """Return the median of many seeds over bands from quantile to quantile, the widest first."""
    label = f"{name}, median of {curves.seeds:,} seeds"
    bands = [
        Series(
            kind="band",
            name=label,
            label=f"{name}, {round(100 * (curves.quantiles[-1 - place] - low))} % of seeds",
            side=side,
            x=list(curves.epochs),
            y=list(curves.losses[place]),
            high=list(curves.losses[-1 - place]),
        )
        for place, low in enumerate(curves.quantiles[: len(curves.quantiles) // 2])
    ]
    median = Series(
        kind="line",
        name=label,
        label=label,
        side=side,
        x=list(curves.epochs),
        y=list(curves.median),
        width=_width(side),
        dash=_dash(side),
        symbol="circle" if len(curves.epochs) == 1 else None,
    )
    return [*bands, median]


def _width(side: int) -> float:
    return _WIDE if side == 0 else _THIN


def _dash(side: int) -> Dash:
    return _DASHES[side % len(_DASHES)]


def _symbol(side: int) -> Symbol:
    return _SYMBOLS[side % len(_SYMBOLS)]


def _thinned(values: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return epochs from 1 and values; of many, each stretch's lowest and highest, and both ends."""
    if len(values) <= MOST_POINTS:
        return list(range(1, len(values) + 1)), list(values)
    series = np.array(values)
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), MOST_POINTS // 2):
        kept.add(int(stretch[np.argmin(series[stretch])]))
        kept.add(int(stretch[np.argmax(series[stretch])]))
    places = sorted(kept)
    return [place + 1 for place in places], [float(series[place]) for place in places]


def _some(amount: int, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Return evenly chosen places of `amount`, at most `most` of them."""
    return np.unique(np.linspace(0, amount - 1, min(amount, most)).astype(np.int64))


def _plain(values: NDArray[Any]) -> Values:
    return [float(value) if np.isfinite(value) else None for value in values]
