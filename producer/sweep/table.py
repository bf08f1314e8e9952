"""What each side gave at each point of a sweep, and whether they agree there. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, SkipValidation, field_serializer

from likewise.producer.compare import Background, compare
from likewise.producer.sweep.points import (
    Settings,
    experiment_at,
    held_by_overrides,
    points_of,
    reaches,
    side_of,
    trained_at,
)
from likewise.producer.verdict.models import Comparison, Gap, SideRuns, Verdict
from likewise.producer.verdict.models import Measure as GapMeasure
from likewise.shared.frozen import Frozen
from likewise.shared.job import Experiment, Job
from likewise.shared.job.fields import Many
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.results.run_result import Failure, RunResult
from likewise.shared.results.seed_table import Float64, Load, SeedTable
from likewise.shared.run import Run

SWEEP_SCHEMA_VERSION: Literal[1] = 1

Measure = Literal["validation loss", "final loss"]
Place = tuple[str, int]
"""A side's label, and the number of a point at which it was trained."""


class SideAtPoint(Frozen):
    """It says what one side gave at one point. Numbers are null where no seed succeeded."""

    succeeded: int
    seeds: int
    best: float | None = None
    median: float | None = None
    low: float | None = None
    """The smallest of the middle nine tenths of the seeds."""
    high: float | None = None
    """The largest of them."""
    values: SkipValidation[Float64] = Field(default_factory=lambda: np.empty(0))
    """Each seed's value, (seeds,), in the order of `Sweep.seed_list`; NaN, in JSON null, where it failed."""
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    """The median of each metric of each part."""
    failure: Failure | None = None
    """The first, where a seed failed."""
    run: SideRuns | None = None
    """All that came back, if asked for: each seed with its curves and arrays, quantile curves, what ran."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def listed(self) -> list[float | None]:
        """The values as a list, with None for a seed that failed."""
        return [None if math.isnan(value) else value for value in self.values.tolist()]

    @field_serializer("values")
    def _in_json(self, _: Float64) -> list[float | None]:
        return self.listed


class Point(Frozen):
    """It is one combination of the grid's values, with what came of it."""

    settings: dict[str, Any]
    verdict: Verdict
    reason: str
    """The first sentence of the verdict's."""
    over_seeds: bool = False
    """Whether they agree by the tests over seeds alone: single seeds part by more than the tolerance."""
    open_over_seeds: bool = False
    """Whether they are inconclusive because the tests over seeds do not decide."""
    seeds_to_decide: int | None = None
    """How many seeds would decide tests that are open; null where no number that can be asked for is likely
    to, or no test is open."""
    gap: float | None
    """The largest relative gap between frameworks in any measure but the losses; in these where they alone
    are above the tolerance. Null where no gap is, and the verdict is not `agree`: something else decided."""
    gap_in: GapMeasure | None = None
    """What `gap` is of."""
    frameworks: dict[str, SideAtPoint]
    """What each side gave, by its label."""


class Sweep(Frozen):
    """It has every point, the best first."""

    schema_version: Literal[1] = SWEEP_SCHEMA_VERSION
    experiment_id: str
    name: str
    seeds: int
    seed_list: Many[int]
    measure: Measure
    """Best, median, low and high are of these values in the last epoch."""
    ordered: bool
    """Whether points stand by the reference's median; not where the grid changes the loss itself, or no
    setting of the reference."""
    frameworks: Many[str]
    """The labels of the sides."""
    grid: dict[str, Many[Any]]
    points: Many[Point]
    notes: dict[str, Many[str]] = Field(default_factory=dict)
    """What each side's workers said of how they trained, such as why seeds were trained one by one, and which
    paths of the grid an override keeps from the side."""

    @property
    def failed(self) -> bool:
        """Whether a training has no result for another reason than that it diverged."""
        failures = (seeds.failure for point in self.points for seeds in point.frameworks.values())
        return any(failure is not None and failure.reason != "diverged" for failure in failures)


def sweep_of(
    record: ExperimentRecord,
    runs: Sequence[Run],
    results: Sequence[RunResult],
    arrays: Load,
    *,
    full: bool = False,
) -> Sweep:
    """Return the table of a sweep's finished runs; `full` has every curve and array of every seed in it."""
    experiment = record.experiment
    by_id = {run.run_id: run for run in runs}
    measure: Measure = "validation loss" if any(run.dataset.validation for run in runs) else "final loss"
    firsts = trained_at(experiment)
    runs_at, results_at = defaultdict[Place, list[Run]](list), defaultdict[Place, list[RunResult]](list)
    for run in runs:
        for number in run.points or ():
            runs_at[run.side, number].append(run)
    for result in results:
        for number in by_id[result.run_id].points or ():
            results_at[result.side, number].append(result)
    points = []
    for number, settings in enumerate(points_of(experiment)):
        places: list[Place] = [(side, firsts[side][number]) for side in experiment.labels]
        found = [
            part
            for place in places
            for result in results_at[place]
            for part in _of_point(result, by_id[result.run_id], place[1])
        ]
        comparison = compare(
            record.model_copy(update={"experiment": experiment_at(experiment, settings)}),
            dict(job for place in places for job in _jobs(runs_at[place], place[1])),
            found,
            arrays,
            background=Background.of([runs_at[place][0] for place in places if runs_at[place]]),
        )
        point = _point(settings, comparison, found, measure=measure, arrays=arrays)
        points.append(_with_runs(point, comparison) if full else point)
    ordered = is_ordered(experiment)
    if ordered:
        points.sort(key=lambda point: order_of(point.frameworks[experiment.labels[0]]))
    return Sweep(
        experiment_id=record.experiment_id,
        name=experiment.name,
        seeds=len(experiment.seed_list),
        seed_list=experiment.seed_list,
        measure=measure,
        ordered=ordered,
        frameworks=experiment.labels,
        grid=experiment.grid,
        points=tuple(points),
        notes=_notes(experiment, by_id, results),
    )


def _notes(
    experiment: Experiment, runs: Mapping[str, Run], results: Sequence[RunResult]
) -> dict[str, tuple[str, ...]]:
    told = defaultdict[str, dict[str, None]](dict)
    for side, held in held_by_overrides(experiment).items():
        for path, override in held.items():
            note = f"The grid's {path} does not reach it: overrides.{side}.{override} holds at every point."
            told[side][note] = None
    for result in results:
        told[runs[result.run_id].side].update(dict.fromkeys(result.notes))
    return {side: tuple(notes) for side, notes in told.items() if notes}


def _of_point(result: RunResult, run: Run, number: int) -> Iterator[RunResult]:
    """Yield a run's result at one point, as if the run had trained that alone; nothing where it does not."""
    points = run.points or ()
    if number not in points:
        return
    place = points.index(number)
    pieces = tuple(piece for piece in result.arrays if piece.point == place)
    failures = [failure for piece in pieces for failure in piece.failures]
    whole = result.failure if result.failure and result.failure.reason != "diverged" else None
    failure = next(iter(failures), whole)
    yield result.model_copy(
        update={"arrays": pieces, "failure": failure, "status": "failed" if failure else "succeeded"}
    )


def _jobs(runs: Sequence[Run], number: int) -> Iterator[tuple[str, Job]]:
    """Yield each run's side with the job that it trained at a point."""
    for run in runs:
        if run.points and number in run.points and run.optimizers:
            optimizer = run.optimizers[run.points.index(number)]
            yield run.side, run.job.model_copy(update={"optimizer": optimizer})


def _point(
    settings: Settings,
    comparison: Comparison,
    results: Sequence[RunResult],
    *,
    measure: Measure,
    arrays: Load,
) -> Point:
    gap = decisive_gap(comparison)
    still_open = [test for test in comparison.equivalence if test.verdict == "inconclusive"]
    needed = [test.seeds_to_decide for test in still_open if test.seeds_to_decide is not None]
    return Point(
        settings=settings,
        verdict=comparison.verdict,
        reason=comparison.reasons[0],
        over_seeds=comparison.verdict == "agree"
        and not comparison.noted("reported_differently")
        and any(pair.seeds_within_tolerance < pair.seeds for pair in comparison.gaps),
        open_over_seeds=comparison.verdict == "inconclusive" and bool(still_open),
        seeds_to_decide=max(needed, default=None) if len(needed) == len(still_open) else None,
        gap=gap.relative if gap else None,
        gap_in=gap.measure if gap else None,
        frameworks={
            side: _side_at_point(
                comparison, [result for result in results if result.side == side], measure, arrays
            )
            for side in comparison.sides
        },
    )


def _with_runs(point: Point, comparison: Comparison) -> Point:
    whole = {run.side: point.frameworks[run.side].model_copy(update={"run": run}) for run in comparison.runs}
    return point.model_copy(update={"frameworks": whole})


def decisive_gap(comparison: Comparison) -> Gap | None:
    """Return the gap to show beside the verdict, so that none within the tolerance stands by a `differ`.

    Losses count where nothing else is above the tolerance: a small one's gap may be all rounding, and two
    functions' losses lie apart by what they are.
    """
    gaps = [gap for pair in comparison.gaps for gap in pair.largest]
    but_losses = [gap for gap in gaps if gap.measure != "losses"]
    if not but_losses or any(gap.relative is None for gap in but_losses):
        return None
    above = [gap for gap in gaps if gap.relative and gap.relative > comparison.tolerance.relative]
    outside = [gap for gap in above if gap.measure != "losses"] or above
    if comparison.verdict != "agree" or (outside and not comparison.noted("reported_differently")):
        return max(outside, key=_size, default=None)
    return max(but_losses, key=_size)


def _size(gap: Gap) -> float:
    return gap.relative or 0.0


def _side_at_point(
    comparison: Comparison, results: Sequence[RunResult], measure: Measure, arrays: Load
) -> SideAtPoint:
    seeds = comparison.experiment.seed_list
    pieces = [piece for result in results for piece in result.arrays]
    failure = next((result.failure for result in results if result.failure), None)
    nothing = SideAtPoint(succeeded=0, seeds=len(seeds), values=np.full(len(seeds), np.nan), failure=failure)
    if not pieces:
        return nothing
    table = SeedTable(pieces, seeds, failure=failure, arrays=arrays)
    last = table.final_losses if measure == "final loss" else table.final_validation_losses
    values = last[table.succeeded]
    if not len(values):
        return nothing
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    return SideAtPoint(
        succeeded=len(values),
        seeds=len(seeds),
        best=float(values.min()),
        median=median,
        low=low,
        high=high,
        values=np.where(table.succeeded, last, np.nan),
        metrics={part: _medians(named) for part, named in table.metrics.items()},
        failure=failure,
    )


def _medians(named: Mapping[str, Float64]) -> dict[str, float]:
    """Return each metric's median over the seeds that have it; metrics that none has are left out."""
    known = {name: values[np.isfinite(values)] for name, values in named.items()}
    return {name: float(np.median(values)) for name, values in known.items() if len(values)}


def is_ordered(experiment: Experiment) -> bool:
    """Return whether the reference's median tells good points from bad ones."""
    varied = [side_of(path)[1] for path in experiment.grid if reaches(path, experiment.side_list[0])]
    return bool(varied) and not any(setting.split(".")[0] == "loss" for setting in varied)


def order_of(seeds: SideAtPoint) -> tuple[bool, float]:
    """Return what points are sorted by: the median, but after all others where most seeds failed.

    The few that are left there are no fair sample.
    """
    mostly_failed = 2 * seeds.succeeded < seeds.seeds
    return mostly_failed, math.inf if seeds.median is None else seeds.median
