"""The bench's page: whole runs with their intervals, where time goes phase by phase, and memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likewise.producer.bench.conclude import PHASES
from likewise.producer.bench.models import Bench, Phase
from likewise.producer.display import count
from likewise.producer.report.figures import Axis, Figure, Series, plain, some
from likewise.producer.report.layout import Drawing, Grid, Listing, Page, Section

_MOST_DOTS = 60
"""The most timed runs with a dot each."""


def page_of(
    bench: Bench,
    sentences: Sequence[str],
    tables: Sequence[Grid],
    said: dict[Phase, str],
    where: Sequence[str],
) -> Page:
    """Return the page, from the bench and what its document says of it."""
    first, *more = sentences
    withheld = bench.ranking_withheld_because
    drawn = _phases(bench, said)
    ranking, phases = tables
    return Page(
        title=first.rstrip(".") if withheld is None else "No winner is named",
        lead="" if withheld is None else f"{withheld[0].upper()}{withheld[1:].rstrip('.')}.",
        name=bench.name,
        facts=("bench", count(2 * bench.rounds, "timed run") + " a side"),
        reasons=[*more, *where],
        proof=_runs(bench),
        sections=[
            *([Section("Ranking", [ranking])] if ranking.rows else []),
            *([Section("Where time goes", [*([drawn] if drawn else []), phases])] if phases.rows else []),
            *([Section("Warnings", [Listing(bench.warnings)])] if bench.warnings else []),
        ],
        foot=() if bench.experiment_id is None else (f"Experiment {bench.experiment_id}",),
    )


def _runs(bench: Bench) -> Drawing | None:
    """Return a dot a timed run, with the median and its interval over them."""
    rows = [row for row in bench.rows if row.phase == "run"]
    if not rows:
        return None
    drawn = []
    for place, row in enumerate(rows):
        samples = np.array(row.samples, dtype=np.float64)
        kept = samples[some(len(samples), _MOST_DOTS)]
        heights = place + (np.arange(1, len(kept) + 1) * 0.6180339887 % 1 - 0.5) * 0.5
        low, high = row.interval_s or (row.median_s, row.median_s)
        name = bench.names[row.side]
        drawn += [
            Series(kind="points", name=name, label=name, side=place, x=plain(kept), y=plain(heights),
                   symbol="circle", size=5, opacity=0.35),
            Series(kind="whiskers", name=name, label=f"{name}, median", side=place, x=[row.median_s],
                   y=[float(place)], low=[low], high=[high]),
        ]  # fmt: skip
    return Drawing(
        name="proof",
        says="Each timed run as a dot, with the median and its 95 % interval. Farther to the left is faster.",
        figure=Figure(
            x=Axis(label="seconds for a whole warm run", log=_wide([row.median_s for row in rows])),
            y=Axis(label="", names=[bench.names[row.side] for row in rows]),
            series=drawn,
            rows=4.5 + 2.2 * len(rows),
        ),
    )


def _phases(bench: Bench, said: dict[Phase, str]) -> Drawing | None:
    """Return the median of each phase with its interval, a row a phase, beside each other by side."""
    phases: list[Phase] = [
        phase for phase in PHASES if phase != "run" and any(row.phase == phase for row in bench.rows)
    ]
    sides = [*dict.fromkeys(row.side for row in bench.rows)]
    drawn = []
    for place, side in enumerate(sides):
        own = [row for row in bench.rows if row.side == side and row.phase in phases and row.median_s > 0]
        if not own:
            continue
        shift = (place - (len(sides) - 1) / 2) * 0.7 / max(1, len(sides))
        ends = [row.interval_s or (row.median_s, row.median_s) for row in own]
        drawn.append(
            Series(kind="whiskers", name=bench.names[side], label=bench.names[side], side=place,
                   x=[row.median_s for row in own],
                   y=[phases.index(row.phase) + shift for row in own],
                   low=[low for low, _ in ends], high=[high for _, high in ends])
        )  # fmt: skip
    if not drawn:
        return None
    return Drawing(
        name="phases",
        says="The median of each phase with its 95 % interval, on a logarithmic axis.",
        figure=Figure(
            x=Axis(label="seconds", log=True),
            y=Axis(label="", names=[said[phase] for phase in phases]),
            series=drawn,
            rows=4.5 + (1.2 + 0.7 * len(sides)) * len(phases),
        ),
    )


def _wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > 20 * min(values)
