"""A loaded job file made ready to submit: resolved for each framework, its data loaded and checked."""

from __future__ import annotations

from dataclasses import dataclass

from producer.data import Done, PreparedRun, prepare_all
from producer.display import both
from producer.job.checks import advice, check
from producer.job.jobfile import LoadedExperiment
from producer.job.native import native_table
from producer.job.resolve import resolve
from shared.job import Experiment


@dataclass(frozen=True, kw_only=True)
class PreparedExperiment:
    """What every command that trains starts from."""

    loaded: LoadedExperiment
    runs: dict[str, PreparedRun]
    """By side, in the order of the job file."""
    advice: tuple[str, ...]
    """Sentences about settings that are allowed but seldom meant."""


def prepare_experiment(loaded: LoadedExperiment, *, done: Done | None = None) -> PreparedExperiment:
    """Resolve, load the data and check that all of it fits together.

    `done` keeps what was loaded, for further points of a sweep.

    Raises JobFileError with every problem found, or DataError.
    """
    jobs = resolve(loaded.experiment, source=loaded.source)
    data = prepare_all(jobs, loaded.base, done=done)
    sides = {side.label: side for side in loaded.experiment.side_list}
    runs = {label: PreparedRun(side=sides[label], job=job, data=data[label]) for label, job in jobs.items()}
    check(runs, source=loaded.source)
    said = (*_without_a_table(loaded.experiment), *advice(runs))
    return PreparedExperiment(loaded=loaded, runs=runs, advice=said)


def _without_a_table(experiment: Experiment) -> list[str]:
    """Once, which frameworks `defaults: native` leaves at the shared defaults."""
    names = [name for name in experiment.frameworks_needed if not native_table(name)]
    if experiment.defaults != "native" or not names:
        return []
    return [
        f"no table of defaults is known for {both(names)}: what is left out there has the shared defaults"
    ]
