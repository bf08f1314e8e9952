"""The pictures layer by layer: how a difference spreads over updates, and the weights that came out."""

from __future__ import annotations

import numpy as np

from likewise.producer.report.figures import Axis, Figure, Guide, Series, plain, some, symbol
from likewise.producer.verdict.divergence_map import DivergenceMap
from likewise.producer.verdict.models import Comparison
from likewise.producer.verdict.parting import largest_gap
from likewise.shared.results.step_trace import Stage

MOST_ROWS = 40
"""The most tensors of a heat map; of more, those that are furthest apart."""
MOST_COLUMNS = 60
_FLOOR = 1e-17
"""Where a gap of 0 is drawn, which a logarithmic axis has no place for."""
_CALLED: dict[Stage, str] = {
    "forward": "output of ",
    "loss": "",
    "backward": "gradient of ",
    "update": "new ",
}


def spread(found: DivergenceMap) -> Figure:
    """Return a cell for each tensor and update, shaded by how far the sides are apart there."""
    worst = np.nanmax(found.apart, axis=1, initial=0.0)
    kept = np.sort(np.argsort(-worst, kind="stable")[:MOST_ROWS])
    parted = np.flatnonzero(np.nanmax(found.apart, axis=0, initial=0.0) > found.tolerance)[:1]
    columns = np.unique(np.concatenate([some(len(found.steps), MOST_COLUMNS), parted]))
    names = [f"{_CALLED[stage]}{tensor}" for stage, tensor in (found.tensors[row] for row in kept)]
    label = f"{found.other} from {found.reference}"
    cells = Series(
        kind="heat",
        name=label,
        label=label,
        side=None,
        values=[plain(row) for row in found.apart[kept][:, columns]],
        threshold=found.tolerance,
        log=True,
    )
    return Figure(
        x=Axis(label="update", names=[f"{found.steps[column]:,}" for column in columns]),
        y=Axis(label="", names=names),
        series=[cells],
        rows=4.5 + 1.15 * len(names),
    )


def weights(comparison: Comparison) -> Figure | None:
    """Return how far each trained weight is from the reference's, of the seed with the widest gap.

    None where no two sides have weights of one name and shape.
    """
    tables = {run.side: run.table.weights() for run in comparison.runs}
    reference = tables[comparison.sides[0]]
    names = list(reference)[:MOST_ROWS]
    drawn = []
    for side, label in enumerate(comparison.sides[1:], start=1):
        found = {}
        for row, name in enumerate(names):
            own = tables[label].get(name)
            if own is not None and own.shape == reference[name].shape:
                gaps = [
                    largest_gap(a, b).relative
                    for a, b in zip(reference[name], own, strict=True)
                    if a.size and np.isfinite(a).all() and np.isfinite(b).all()
                ]
                if gaps:
                    found[row] = max(gaps)
        if found:
            drawn.append(
                Series(kind="points", name=f"{label} from {comparison.sides[0]}", label=label, side=side,
                       x=plain(np.maximum(list(found.values()), _FLOOR)), y=[float(row) for row in found],
                       symbol=symbol(side), size=10)
            )  # fmt: skip
    if not drawn or len(names) < 2:
        return None
    tolerance = comparison.tolerance.relative
    return Figure(
        x=Axis(label="relative gap", log=True),
        y=Axis(label="", names=names),
        series=drawn,
        guides=[Guide(axis="x", value=tolerance, label=f"tolerance {tolerance:.2g}", below=True)],
        rows=4.5 + 1.5 * len(names),
    )
