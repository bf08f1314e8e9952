"""The float64 twin and the rerun: the same trainings again, in double precision and as they were.

A difference of meaning stays as large in float64; rounding shrinks by about 1e9. So the twin tells a
float32 gap that training has amplified from a real one, and finds a real one that hides in rounding.
The rerun tells how far a side's own numbers move from training to training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from producer.queue.submit import submit_related
from producer.verdict.models import Comparison
from shared.ledger.records import ExperimentRecord
from shared.run import Run
from shared.spec import Experiment

if TYPE_CHECKING:
    import celery

    from shared.ledger.ledger import Ledger

MOST_SEEDS = 3
"""The most seeds of a twin or a rerun; what a job means does not depend on the seed."""
BUDGET_S = 120.0
"""A twin or rerun that would train for longer is left out. On a CPU float64 takes about what float32 does."""


def tells_more(comparison: Comparison) -> bool:
    """Whether training in float64 can add to what is known.

    It can where every job is in float32 and no training failed, unless the sides ended with the same
    bits or did not start from the same weights.
    """
    float32 = {job.precision for job in comparison.jobs.values()} == {"float32"}
    comparable = len(comparison.runs) > 1 and not comparison.failed
    return (
        float32
        and comparable
        and not all(one.identical for one in comparison.seed_gaps)
        and not any(one.same_initial_weights is False for one in comparison.seed_gaps)
    )


def cost_s(comparison: Comparison) -> float:
    """About how long a twin or a rerun takes, estimated from the slowest framework's trainings."""
    seeds = len(comparison.experiment.seed_list)
    return max((run.total_train_s or 0.0) / seeds * min(seeds, MOST_SEEDS) for run in comparison.runs)


def rerun_tells_more(comparison: Comparison) -> bool:
    """Whether training the same once more can add to what is known.

    That shows how far a side's own numbers move, which matters where two sides' numbers differ. It
    is not done for many seeds, whose results are arrays.
    """
    return (
        len(comparison.runs) > 1
        and not comparison.failed
        and not all(one.identical for one in comparison.seed_gaps)
        and not any(run.curves for run in comparison.runs)
    )


def submit_twin(
    record: ExperimentRecord, runs: Sequence[Run], *, ledger: Ledger, app: celery.Celery
) -> ExperimentRecord:
    """Put the twin of a finished experiment on the queue, on the data that is stored already."""
    in_float64 = [
        run.model_copy(update={"job": run.job.model_copy(update={"precision": "float64"})}) for run in runs
    ]
    experiment = twin_experiment(record.experiment)
    return submit_related("twin", record, experiment, _first_seeds(in_float64), ledger=ledger, app=app)


def submit_rerun(
    record: ExperimentRecord, runs: Sequence[Run], *, ledger: Ledger, app: celery.Celery
) -> ExperimentRecord:
    """Put the first seeds of a finished experiment on the queue again, as they are."""
    seeds = record.experiment.seed_list[:MOST_SEEDS]
    experiment = record.experiment.model_copy(update={"seeds": seeds})
    return submit_related("rerun", record, experiment, _first_seeds(runs), ledger=ledger, app=app)


def _first_seeds(runs: Sequence[Run]) -> list[Run]:
    return [run.model_copy(update={"seeds": run.seeds[:MOST_SEEDS]}) for run in runs]


def twin_experiment(experiment: Experiment) -> Experiment:
    """The experiment in float64, with the first seeds."""
    overrides = {
        side: {path: value for path, value in changes.items() if path != "precision"}
        for side, changes in experiment.overrides.items()
    }
    seeds = experiment.seed_list[:MOST_SEEDS]
    return experiment.model_copy(update={"precision": "float64", "seeds": seeds, "overrides": overrides})
