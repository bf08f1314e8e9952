"""The one picture that shows why a verdict is what it is: gaps against the tolerance, or tests over seeds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from likewise.producer.report.figures import Axis, Figure, Guide, Series, plain, symbol
from likewise.producer.verdict.models import Comparison, PairGaps
from likewise.producer.verdict.rounding import worst_of

SMALLEST_GAP = 1e-17
"""Where a gap of 0 is drawn, which a logarithmic axis has no place for."""


def proof(comparison: Comparison) -> tuple[str, Figure] | None:
    """Return the picture and what it shows; None where nothing was compared."""
    if comparison.equivalence:
        return _tests(comparison)
    return _gaps(comparison)


def _gaps(comparison: Comparison) -> tuple[str, Figure] | None:
    """Return every gap on one axis with the tolerance, that of the float64 twin below."""
    measured = [*dict.fromkeys(gap.measure for pair in comparison.gaps for gap in pair.largest)]
    twin = comparison.twin.gaps if comparison.twin else ()
    names = [*measured, *(["float64 twin"] if twin else [])]
    drawn = []
    for side, name in enumerate(comparison.sides):
        found = {label: value for label, value in _of_side(comparison, name) if value is not None}
        rows = [row for row, label in enumerate(names) if label in found]
        if rows:
            values = np.array([max(found[names[row]], SMALLEST_GAP) for row in rows])
            drawn.append(
                Series(kind="points", name=f"{name} from {comparison.sides[0]}", label=name, side=side,
                       x=plain(values), y=[float(row) for row in rows], symbol=symbol(side), size=12)
            )  # fmt: skip
    if not drawn:
        return None
    tolerance = comparison.tolerance.relative
    return (
        "How far apart they are, in each measure, beside what rounding may carry (the tolerance). "
        "Farther to the right is farther apart; a step of the scale is a factor.",
        Figure(
            x=Axis(label="relative gap", log=True),
            y=Axis(label="", names=names),
            series=drawn,
            guides=[Guide(axis="x", value=tolerance, label=f"tolerance {tolerance:.2g}", below=True)],
            rows=4.5 + 2.2 * len(names),
        ),
    )


def _of_side(comparison: Comparison, side: str) -> Iterator[tuple[str, float | None]]:
    for pair in comparison.gaps:
        if pair.other == side:
            yield from ((gap.measure, gap.relative) for gap in pair.largest)
    for pair in comparison.twin.gaps if comparison.twin else ():
        if pair.other == side:
            yield "float64 twin", _worst(pair)


def _worst(pair: PairGaps) -> float | None:
    return worst_of(pair).relative


def _tests(comparison: Comparison) -> tuple[str, Figure]:
    """Return the interval of each difference over seeds, in margins: equivalent is between −1 and 1."""
    several = len(comparison.sides) > 2
    tests = [one for one in comparison.equivalence if one.margin > 0]
    names = [f"{one.other} {one.measure}" if several else one.measure for one in tests]
    drawn = []
    for side, name in enumerate(comparison.sides):
        own = [(row, one) for row, one in enumerate(tests) if one.other == name]
        if own:
            scaled = np.array([[*one.interval, one.difference] for _, one in own]).T / np.array(
                [one.margin for _, one in own]
            )
            drawn.append(
                Series(kind="whiskers", name=f"{name} less {comparison.sides[0]}", label=name, side=side,
                       x=plain(scaled[2]), y=[float(row) for row, _ in own], low=plain(scaled[0]),
                       high=plain(scaled[1]))
            )  # fmt: skip
    return (
        f"The differences of the means over {comparison.equivalence[0].seeds:,} seeds with their 90 % "
        "intervals. Between −1 and 1 the sides are equivalent: there a difference is within its margin.",
        Figure(
            x=Axis(label="difference, in margins"),
            y=Axis(label="", names=names),
            series=drawn,
            guides=[
                Guide(axis="x", value=-1.0, label="equivalent", until=1.0),
            ],
            rows=4.5 + 2.2 * len(names),
        ),
    )  # fmt: skip
