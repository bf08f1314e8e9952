"""The pictures of how the sides trained: losses, their gap, how it grows, final losses over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likewise.producer.display import is_logarithmic
from likewise.producer.report.figures import (
    MOST_OF_ALL,
    MOST_POINTS,
    THIN,
    WIDE,
    Axis,
    Figure,
    Guide,
    Series,
    curve,
    dash,
    plain,
    some,
    symbol,
    width,
)
from likewise.producer.verdict.models import Comparison, Curves, SideRuns
from likewise.producer.verdict.side_runs import final_losses

MOST_SEEDS = 8
"""The most seeds whose curves are drawn one by one; of more, bands over seeds are."""
MOST_MARKED_EPOCHS = 60
"""Each with a mark on the line of its gap, so that one between two epochs without a gap is seen."""
MOST_DOTS = 300
"""The most seeds with a dot each in a picture of their final losses."""
_EPOCHS = "losses"
"""The group of the figures over epochs."""


def losses(comparison: Comparison) -> Figure | None:
    """Return the losses of every side over epochs; None where nothing was trained."""
    drawn: list[Series] = []
    curves = sum(len(run.seeds) for run in comparison.runs if not _in_bands(run)) * 2
    most = max(50, min(MOST_POINTS, MOST_OF_ALL // max(1, curves)))
    seen: list[float] = []
    for side, run in enumerate(comparison.runs):
        if run.curves is not None and _in_bands(run):
            drawn += _bands(run.curves, side=side, name=run.side)
            seen.extend(value for row in run.curves.losses for value in row)
            continue
        seeds = [seed for seed in run.seeds if seed.losses]
        for seed in seeds:
            label = run.side if len(run.seeds) == 1 else f"{run.side}, seed {seed.seed}"
            seen.extend(seed.losses)
            drawn.append(curve(seed.losses, side=side, name=run.side, label=label, most=most))
        if seeds and seeds[0].validation_losses:
            name = f"{run.side}, validation"
            seen.extend(seeds[0].validation_losses)
            drawn.append(curve(seeds[0].validation_losses, side=side, name=name, opacity=0.5, most=most))
    if not drawn:
        return None
    log = is_logarithmic(seen)
    return Figure(x=Axis(label="epoch"), y=Axis(label="loss", log=log), series=drawn, group=_EPOCHS)


def loss_gap(comparison: Comparison) -> Figure | None:
    """Return how far each other side's loss is from the reference's, by epoch.

    Of several seeds it is the gap of the medians. None where fewer than two sides trained, or no loss is
    another.
    """
    medians = [run.curves.median if run.curves else () for run in comparison.runs]
    epochs = next((run.curves.epochs for run in comparison.runs if run.curves), ())
    drawn = []
    for side, (name, own) in enumerate(zip(comparison.sides, medians, strict=True)):
        amount = min(len(medians[0]), len(own))
        if side == 0 or not amount:
            continue
        apart = np.abs(np.array(own[:amount]) - np.array(medians[0][:amount]))
        if not np.any(apart > 0):
            continue
        kept = some(amount)
        drawn.append(
            Series(
                kind="line",
                name=name,
                label=f"{name} from {comparison.sides[0]}",
                side=side,
                x=[float(epochs[place]) for place in kept],
                y=plain(np.where(apart > 0, apart, np.nan)[kept]),
                symbol="circle" if amount <= MOST_MARKED_EPOCHS else None,
            )
        )
    if not drawn:
        return None
    return Figure(x=Axis(label="epoch"), y=Axis(label="gap", log=True), series=drawn, group=_EPOCHS, rows=9)


def growth(comparison: Comparison) -> Figure | None:
    """Return the gaps in the loss over epochs, declared and in the float64 twin; None where nothing grows."""
    drawn: list[Series] = []
    for one in comparison.growth:
        side = comparison.sides.index(one.other)
        declared = comparison.jobs[one.other].precision
        looks: tuple[tuple[str, Sequence[float | None], float, float], ...] = (
            ("float64 twin", one.twin, WIDE, 0.45),  # lies below, and is seen where both are one
            (declared, one.declared, THIN, 1),
        )
        for kind, values, wide, opacity in looks:
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
                    y=plain(np.array([value or np.nan for value in values], dtype=np.float64)),
                    width=wide,
                    opacity=opacity,
                    symbol="circle" if len(values) <= MOST_MARKED_EPOCHS else None,
                )
            )
    if not drawn:
        return None
    return Figure(
        x=Axis(label="epoch"),
        y=Axis(label="gap in the loss, of the first loss", log=True),
        series=drawn,
        guides=[Guide(axis="y", value=comparison.tolerance.relative, label="tolerance", below=True)],
    )


def final_losses_over_seeds(comparison: Comparison) -> Figure | None:
    """Return a dot a seed at its final loss, with the median and the middle nine tenths of each side.

    None of fewer than five seeds.
    """
    drawn: list[Series] = []
    every: list[float] = []
    for side, run in enumerate(comparison.runs):
        known = np.sort(final_losses(run.table))
        if len(known) < 5:
            continue
        every.extend(known.tolist())
        shown = known[some(len(known), MOST_DOTS)]
        # the fractional parts of multiples of the golden ratio fill a row evenly and are the same each time
        heights = side + (np.arange(1, len(shown) + 1) * 0.6180339887 % 1 - 0.5) * 0.5
        low, median, high = np.quantile(known, (0.05, 0.5, 0.95))
        drawn.append(
            Series(kind="points", name=run.side, label=run.side, side=side, x=plain(shown), y=plain(heights),
                   symbol=symbol(side), size=6, opacity=0.45)
        )  # fmt: skip
        drawn.append(
            Series(kind="whiskers", name=run.side, label=f"{run.side}, median and 5 to 95 %", side=side,
                   x=plain(np.array([median])), y=[float(side)], low=plain(np.array([low])),
                   high=plain(np.array([high])), width=THIN)
        )  # fmt: skip
    if not drawn:
        return None
    return Figure(
        x=Axis(label="final loss of a seed", log=is_logarithmic(every)),
        y=Axis(label="", names=comparison.sides),
        series=drawn,
        rows=5 + 2.5 * len(comparison.sides),
    )


def _in_bands(run: SideRuns) -> bool:
    return run.curves is not None and len(run.seeds) > MOST_SEEDS


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
            y=plain(np.array(curves.losses[place])),
            high=plain(np.array(curves.losses[-1 - place])),
        )
        for place, low in enumerate(curves.quantiles[: len(curves.quantiles) // 2])
    ]
    median = Series(
        kind="line",
        name=label,
        label=label,
        side=side,
        x=list(curves.epochs),
        y=plain(np.array(curves.median)),
        width=width(side),
        dash=dash(side),
        symbol="circle" if len(curves.epochs) == 1 else None,
    )
    return [*bands, median]
