"""A sweep's runs, put on the queue and collected.

Points that differ only in numbers of the optimizer are one run, others one each. Points at which a side's
job is the same are trained once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from likewise.producer.data.prepare import Done
from likewise.producer.job.jobfile import LoadedExperiment, Spec, read_experiment
from likewise.producer.job.prepare import PreparedExperiment, prepare_experiment
from likewise.producer.runs.results import results_of
from likewise.producer.runs.submit import Request, RunMaker, submit_runs
from likewise.producer.sweep.points import (
    check_grid,
    experiment_at,
    grid_of,
    points_of,
    source_at,
    trained_at,
)
from likewise.producer.sweep.table import Sweep, sweep_of
from likewise.shared.job import Job
from likewise.shared.job.optimizer import structure
from likewise.shared.limits import Limits
from likewise.shared.program.together import obstacle
from likewise.shared.run import Run
from likewise.shared.settings import Settings

if TYPE_CHECKING:
    from likewise.producer.session import Session
    from likewise.shared.ledger.records import ExperimentRecord

MANY_POINTS = 100
"""Comparing the sides at more points than this takes longer than a second or two, and is worth a word."""


@dataclass(frozen=True, kw_only=True)
class PreparedSweep:
    """It holds the whole experiment with its grid, and each point ready to train."""

    loaded: LoadedExperiment
    points: tuple[PreparedExperiment, ...]

    @property
    def first(self) -> PreparedExperiment:
        """Any point: what all have in common, such as the sides, stands in each."""
        return self.points[0]


def prepare_sweep(
    spec: Spec,
    set_values: Sequence[str],
    grid: Sequence[str],
    sides: str | Mapping[str, Any] | None = None,
) -> PreparedSweep:
    """Read a job file, lay the grid over it and check every point, before anything is run.

    Raises JobFileError, UsageError or DataError for the first point that does not fit.
    """
    loaded = read_experiment(spec, set_values, sides)
    laid = {**loaded.experiment.grid, **{path: tuple(values) for path, values in grid_of(grid).items()}}
    experiment = loaded.experiment.model_copy(update={"grid": laid})
    loaded = replace(loaded, experiment=experiment)
    check_grid(experiment, loaded.source)
    done: Done = []
    limits = Limits.of(Settings.from_environment())
    return PreparedSweep(
        loaded=loaded,
        points=tuple(
            prepare_experiment(
                replace(
                    loaded,
                    experiment=experiment_at(experiment, settings),
                    source=source_at(loaded.source, settings),
                ),
                limits=limits,
                done=done,
            )
            for settings in points_of(experiment)
        ),
    )


def submit_sweep(session: Session, sweep: PreparedSweep, request: Request) -> ExperimentRecord:
    """Put the runs of all points on the queue, as one experiment. Raises NoWorkerError."""
    experiment = sweep.loaded.experiment
    maker = RunMaker(session)
    if not request.queue_anyway:
        for one in sweep.points:
            maker.refuse_unserved(one.runs)
    points_of_sides = [maker.on_common_device(one.runs) for one in sweep.points]
    runs: list[Run] = []
    for side, firsts in trained_at(experiment).items():
        trained = sorted(set(firsts))
        for places in groups_of([points_of_sides[point][side].job for point in trained]):
            points = [trained[place] for place in places]
            together = [points_of_sides[point][side] for point in points]
            runs += maker.runs(
                together[0],
                experiment.seed_list,
                optimizers=[one.job.optimizer for one in together],
                points=points,
            )
    return submit_runs(session, maker, experiment, runs, request)


def swept(
    session: Session, record: ExperimentRecord, *, tell: Callable[[str], None], full: bool = False
) -> Sweep:
    """Collect the runs of a finished sweep and compare the sides at every point.

    `full` has every curve and array of every seed in the table. `tell` is told what takes long.
    """
    points = prod(len(values) for values in record.experiment.grid.values())
    if points > MANY_POINTS:
        tell(f"comparing the frameworks at {points:,} points")
    runs = session.ledger.runs(record.run_ids)
    return sweep_of(record, runs, results_of(session, record), session.blobs.get, full=full)


def groups_of(jobs: Sequence[Job]) -> list[list[int]]:
    """Return the places of the jobs that one program can train together, in order."""
    groups: dict[object, list[int]] = {}
    for place, job in enumerate(jobs):
        apart = place if obstacle(job) else None
        rest = job.model_dump_json(exclude={"optimizer"})
        groups.setdefault((apart, structure(job.optimizer), rest), []).append(place)
    return list(groups.values())
