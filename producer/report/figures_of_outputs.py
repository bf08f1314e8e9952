"""The pictures of what the sides learned: the function or the predictions, residuals, calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from likewise.producer.classifying import probabilities
from likewise.producer.report.figures import (
    DOTTED,
    FINE,
    MOST_MARKS,
    Axis,
    Figure,
    Guide,
    Series,
    Values,
    dash,
    plain,
    some,
    symbol,
    width,
)
from likewise.producer.report.truth import Truth

_BINS = 10
"""The bins of a calibration, of equal width."""


def learned(truth: Truth, sides: Sequence[str]) -> Figure:
    """Return the known points and each side's function through them, out to what it predicts.

    Of several features or targets it is a mark a sample: what was known across, what came out upwards.
    """
    return _lines(truth, sides) if truth.is_line else _against(truth, sides)


def residuals(truth: Truth, sides: Sequence[str]) -> Figure | None:
    """Return what each side gives less what was known, a mark a sample; None where the shapes differ."""
    y = truth.y.reshape(-1).astype(np.float64)
    across = truth.x.reshape(-1).astype(np.float64) if truth.is_line else y
    shown = some(len(y), MOST_MARKS)
    drawn = [
        Series(kind="points", name=name, label=name, side=side, x=plain(across[shown]),
               y=plain((truth.outputs[name].reshape(-1) - y)[shown]), symbol=symbol(side),
               size=8 + 2 * side, opacity=0.8)
        for side, name in enumerate(sides)
        if name in truth.outputs and truth.outputs[name].size == y.size
    ]  # fmt: skip
    if not drawn:
        return None
    label = _feature(truth) if truth.is_line else f"true {_target(truth)} ({truth.part})"
    return Figure(
        x=Axis(label=label), y=Axis(label="predicted − true"), series=drawn, rows=12,
        guides=[Guide(axis="y", value=0.0)],
    )  # fmt: skip


def calibration(truth: Truth, sides: Sequence[str]) -> Figure | None:
    """Return how often a side is right against how sure it is, in bins; None where no side has outputs."""
    drawn = [
        Series(kind="line", name="as sure as right", label="as sure as right", side=None, x=[0.0, 1.0],
               y=[0.0, 1.0], width=FINE, dash=DOTTED)
    ]  # fmt: skip
    for side, name in enumerate(sides):
        if name not in truth.outputs:
            continue
        sure, right = surety(truth, name)
        places = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
        counts = np.bincount(places, minlength=_BINS)
        filled = counts > 0
        mean_sure = np.bincount(places, sure, _BINS)[filled] / counts[filled]
        mean_right = np.bincount(places, right, _BINS)[filled] / counts[filled]
        drawn.append(
            Series(kind="line", name=name, label=name, side=side, x=plain(mean_sure), y=plain(mean_right),
                   width=width(side), dash=dash(side), symbol=symbol(side), size=8)
        )  # fmt: skip
    if len(drawn) == 1:
        return None
    return Figure(
        x=Axis(label="how sure of its class", ends=(0, 1)),
        y=Axis(label="share that is right", ends=(0, 1)),
        series=drawn,
        rows=14,
    )


def surety(truth: Truth, side: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability that a side gives the class it chooses, and 1 where that is right: (n,) each."""
    given = probabilities(truth.outputs[side], from_logits=truth.from_logits)
    known = np.maximum(truth.y.reshape(-1).astype(np.int64), 0)
    chosen = np.argmax(given, axis=1)
    return np.max(given, axis=1), (chosen == known).astype(np.float64)


def _lines(truth: Truth, sides: Sequence[str]) -> Figure:
    x, y = truth.x.reshape(-1), truth.y.reshape(-1)
    shown = some(len(x))
    known = f"truth ({truth.part})"
    drawn = [
        Series(kind="points", name=known, label=known, side=None, x=plain(x[shown]), y=plain(y[shown]),
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
        order = np.argsort(line_x, kind="stable")[some(len(line_x))]
        drawn.append(
            Series(kind="line", name=name, label=name, side=side, x=plain(line_x[order]),
                   y=plain(line_y[order]), width=width(side), dash=dash(side))
        )  # fmt: skip
        if asked is not None and truth.predict is not None:
            drawn.append(
                Series(kind="points", name=name, label=f"{name} predicts", side=side,
                       x=plain(truth.predict.reshape(-1)), y=plain(asked.reshape(-1)),
                       symbol=symbol(side), size=11 + 3 * side)
            )  # fmt: skip
    return Figure(x=Axis(label=_feature(truth)), y=Axis(label=_target(truth)), series=drawn)


def _against(truth: Truth, sides: Sequence[str]) -> Figure:
    y = truth.y.reshape(-1).astype(np.float64)
    shown = some(len(y), MOST_MARKS)
    ends: Values = [float(np.min(y)), float(np.max(y))]
    drawn = [
        Series(kind="line", name="perfect", label="perfect", side=None, x=ends, y=ends, width=FINE,
               dash=DOTTED)
    ]  # fmt: skip
    for side, name in enumerate(sides):
        if name in truth.outputs and truth.outputs[name].size == y.size:
            out = truth.outputs[name].reshape(-1)
            drawn.append(
                Series(kind="points", name=name, label=name, side=side, x=plain(y[shown]),
                       y=plain(out[shown]), symbol=symbol(side), size=5 + 4 * side, opacity=0.7)
            )  # fmt: skip
    target = _target(truth)
    return Figure(
        x=Axis(label=f"true {target} ({truth.part})"), y=Axis(label=f"predicted {target}"), series=drawn
    )


def _feature(truth: Truth) -> str:
    feature = truth.feature_names[0] if truth.feature_names else "x"
    return feature + (" (standardised)" if truth.standardized else "")


def _target(truth: Truth) -> str:
    if truth.is_line:
        return truth.target_names[0] if truth.target_names else "y"
    return truth.target_names[0] if len(truth.target_names) == 1 else "target"
