"""The page's pictures as Plotly figures: data and axes. Colours are the page's to give.

A trace's `meta.series` is its framework's place, by which the page colours it; `meta.truth` marks what
was known. The reference is drawn solid and wide, the others dashed and thin on top of it, so that both
are seen where they coincide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.report.sparkline import is_logarithmic
from producer.report.truth import Truth
from producer.verdict.models import Comparison, Curves

Figure = dict[str, Any]

MOST_POINTS = 1_500
"""Of a curve; above it, the lowest and highest of each stretch are kept."""
MOST_SEEDS = 8
"""Whose curves are drawn."""
MOST_MARKS = 2_000
MOST_MARKED_EPOCHS = 60
"""Each with a mark on the line of its gap, so that one between two epochs without a gap is seen."""
_DASHES = ("solid", "10px,8px", "2px,5px", "14px,5px,2px,5px")
_MARKS = ("circle", "circle-open", "x-thin-open", "diamond-open", "square-open")


def losses(comparison: Comparison) -> Figure | None:
    """Loss over epochs, of every side; None where nothing was trained."""
    traces: list[Figure] = []
    seen: list[float] = []
    for series, run in enumerate(comparison.runs):
        if run.curves is not None:
            traces += _bands(run.curves, series=series, name=run.side)
            seen.extend(value for row in run.curves.losses for value in row)
            continue
        drawn = [seed for seed in run.seeds if seed.losses][:MOST_SEEDS]
        for place, seed in enumerate(drawn):
            seen.extend(seed.losses)
            traces.append(
                _curve(
                    seed.losses,
                    series=series,
                    name=run.side,
                    first=place == 0,
                    seed=seed.seed if len(run.seeds) > 1 else None,
                )
            )
        if drawn and drawn[0].validation_losses:
            seen.extend(drawn[0].validation_losses)
            trace = _curve(
                drawn[0].validation_losses, series=series, name=f"{run.side}, validation", first=True
            )
            trace["opacity"] = 0.5
            traces.append(trace)
    if not traces:
        return None
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "epoch"}},
            "yaxis": {
                "title": {"text": "loss"},
                "type": "log" if is_logarithmic(seen) else "linear",
            },
        },
    }


def growth(comparison: Comparison) -> Figure | None:
    """The gap in the loss over epochs, declared and in the float64 twin; None where nothing grows."""
    traces: list[Figure] = []
    for one in comparison.growth:
        series = comparison.sides.index(one.other)
        declared = comparison.jobs[one.other].precision
        for name, values, dash in ((declared, one.declared, "solid"), ("float64 twin", one.twin, "2px,5px")):
            if not any(values):
                continue
            label = name if len(comparison.growth) == 1 else f"{one.other}, {name}"
            traces.append(
                {"type": "scatter", "mode": "lines+markers" if len(values) <= MOST_MARKED_EPOCHS else "lines",
                 "name": label, "meta": {"series": series}, "x": list(one.epochs),
                 "y": [value or None for value in values],
                 "line": {"width": 2.5, "dash": dash}, "marker": {"size": 6},
                 "hovertemplate": f"{label}<br>epoch %{{x}}: %{{y:.2g}}<extra></extra>"}
            )  # fmt: skip
    if not traces:
        return None
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "epoch"}},
            "yaxis": {
                "title": {"text": "gap in the loss, of the first loss"},
                "type": "log",
                "range": _decades(value for trace in traces for value in trace["y"] if value),
            },
        },
    }


def _decades(values: Iterable[float]) -> list[int]:
    """The whole powers of ten around positive values, which are where a logarithmic axis has its ticks."""
    exponents = [math.log10(value) for value in values]
    return [math.floor(min(exponents)), math.floor(max(exponents)) + 1]


def fitted_lines(truth: Truth, sides: Sequence[str]) -> Figure:
    """The known points and each side's fitted function through them, out to what it predicts."""
    x, y = truth.x.reshape(-1), truth.y.reshape(-1)
    shown = _some(len(x))
    points: Figure = {"type": "scatter", "mode": "markers", "name": f"truth ({truth.part})",
              "meta": {"truth": True}, "marker": {"size": 8},
              "x": _plain(x[shown]), "y": _plain(y[shown])}  # fmt: skip
    traces = [points]
    for series, name in enumerate(sides):
        if name not in truth.outputs:
            continue
        line_x, line_y = x, truth.outputs[name].reshape(-1)
        asked = truth.predictions.get(name)
        if asked is not None and truth.predict is not None:
            line_x = np.concatenate([line_x, truth.predict.reshape(-1)])
            line_y = np.concatenate([line_y, asked.reshape(-1)])
        order = np.argsort(line_x, kind="stable")[_some(len(line_x))]
        traces.append(
            {"type": "scatter", "mode": "lines", "name": name, "meta": {"series": series},
             "x": _plain(line_x[order]), "y": _plain(line_y[order]), "line": _stroke(series)}
        )  # fmt: skip
        if asked is not None and truth.predict is not None:
            traces.append(
                {"type": "scatter", "mode": "markers", "name": f"{name} predicts", "meta": {"series": series},
                 "x": _plain(truth.predict.reshape(-1)), "y": _plain(asked.reshape(-1)),
                 "marker": {"size": 11 + 3 * series, "symbol": _mark(series), "line": {"width": 2}},
                 "showlegend": False}
            )  # fmt: skip
    feature = truth.feature_names[0] if truth.feature_names else "x"
    scaled = " (standardised)" if truth.standardized else ""
    target = truth.target_names[0] if truth.target_names else "y"
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": _escaped(feature + scaled)}},
            "yaxis": {"title": {"text": _escaped(target)}},
        },
    }


def predicted_against_true(truth: Truth, sides: Sequence[str]) -> Figure:
    """One mark a sample: what was known across, what came out upwards; the diagonal is perfect."""
    y = truth.y.reshape(-1).astype(np.float64)
    shown = _some(len(y), MOST_MARKS)
    ends = [float(np.min(y)), float(np.max(y))]
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": "perfect", "meta": {"truth": True}, "x": ends, "y": ends,
         "line": {"width": 1, "dash": "dot"}, "hoverinfo": "skip"}
    ]  # fmt: skip
    for series, name in enumerate(sides):
        if name in truth.outputs and truth.outputs[name].size == y.size:
            out = truth.outputs[name].reshape(-1)
            traces.append(
                {"type": "scatter", "mode": "markers", "name": name, "meta": {"series": series},
                 "x": _plain(y[shown]), "y": _plain(out[shown]),
                 "marker": {"size": 5 + 4 * series, "symbol": _mark(series), "opacity": 0.7}}
            )  # fmt: skip
    target = _escaped(truth.target_names[0] if len(truth.target_names) == 1 else "target")
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": f"true {target} ({truth.part})"}},
            "yaxis": {"title": {"text": f"predicted {target}"}},
        },
    }


def _curve(
    values: Sequence[float], *, series: int, name: str, first: bool, seed: int | None = None
) -> dict[str, Any]:
    epochs, kept = _thinned(values)
    label = name if seed is None else f"{name}, seed {seed}"
    return {
        "type": "scatter",
        "mode": "lines" if len(values) > 1 else "markers",
        "name": name,
        "legendgroup": name,
        "showlegend": first,
        "meta": {"series": series},
        "x": epochs,
        "y": kept,
        "line": _stroke(series),
        "hovertemplate": f"{label}<br>epoch %{{x}}: %{{y:.6g}}<extra></extra>",
    }


def _bands(curves: Curves, *, series: int, name: str) -> list[Figure]:
    """The median of many seeds over two bands: from quantile to quantile, the widest first."""
    traces: list[Figure] = []
    outer = len(curves.quantiles) // 2
    for place in range(outer):
        low, high = curves.losses[place], curves.losses[-1 - place]
        share = round(100 * (curves.quantiles[-1 - place] - curves.quantiles[place]))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{name}, {share} % of seeds",
                "legendgroup": name,
                "showlegend": False,
                "meta": {"series": series, "band": True},
                "x": [*curves.epochs, *reversed(curves.epochs)],
                "y": [*high, *reversed(low)],
                "fill": "toself",
                "line": {"width": 0},
                "hoverinfo": "skip",
            }
        )
    label = f"{name}, median of {curves.seeds:,} seeds"
    median = _curve(curves.median, series=series, name=label, first=True)
    return [*traces, median | {"x": list(curves.epochs), "legendgroup": name}]


def _stroke(series: int) -> dict[str, Any]:
    return {"dash": _DASHES[series % len(_DASHES)], "width": 5 if series == 0 else 2.5}


def _mark(series: int) -> str:
    return _MARKS[series % len(_MARKS)]


def _thinned(values: Sequence[float]) -> tuple[list[int], list[float]]:
    """Epochs from 1 and values; of many, each stretch's lowest and highest, and both ends."""
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
    """Evenly chosen places."""
    return np.unique(np.linspace(0, amount - 1, min(amount, most)).astype(np.int64))


def _plain(values: NDArray[Any]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _escaped(text: str) -> str:
    """Plotly reads a few HTML tags in its texts; a user's name must stay as written."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
