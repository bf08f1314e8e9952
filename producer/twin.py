"""The float64 twin: the same trainings again in double precision, from the same start.

A difference of meaning stays as large in float64; rounding shrinks by about 1e9. So the twin tells a
float32 gap that training has amplified from a real one, and finds a real one that hides in rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from producer.runs import new_id, queue_of
from producer.submit import enqueue
from producer.verdict.models import Comparison
from shared.records import ExperimentRecord
from shared.run import Run
from shared.spec import Experiment

if TYPE_CHECKING:
    import celery

    from shared.ledger import Ledger

MOST_SEEDS = 3
"""Seeds of the twin; the meaning of a job does not depend on the seed."""
BUDGET_S = 120.0
"""A twin that would train longer than this is left out. Float64 costs about what float32 does on a CPU."""


def tells_more(comparison: Comparison) -> bool:
    """Whether float64 can add to what is known.

    Not where the job is not in float32 throughout, a training has failed, the frameworks ended with the
    same bits, or they did not start from the same weights.
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
    """About how long the twin trains, by the slowest framework's float32 training."""
    seeds = len(comparison.experiment.seed_list)
    return max((run.total_train_s or 0.0) / seeds * min(seeds, MOST_SEEDS) for run in comparison.runs)


def submit_twin(
    record: ExperimentRecord, runs: Sequence[Run], *, ledger: Ledger, app: celery.Celery
) -> ExperimentRecord:
    """Put the twin of a finished experiment on the queue, on the data that is stored already."""
    twin_id = new_id()
    twins = [
        run.model_copy(
            update={
                "run_id": new_id(),
                "experiment_id": twin_id,
                "job": run.job.model_copy(update={"precision": "float64"}),
                "seeds": run.seeds[:MOST_SEEDS],
            }
        )
        for run in runs
    ]
    twin = ExperimentRecord(
        experiment_id=twin_id,
        submitted_s=ledger.now(),
        experiment=twin_experiment(record.experiment),
        run_ids=tuple(run.run_id for run in twins),
    )
    queues = [queue_of(run.framework, run.job) for run in twins]
    enqueue(twin, twins, queues, ledger=ledger, app=app, belongs_to=("twin", record.experiment_id))
    return twin


def twin_experiment(experiment: Experiment) -> Experiment:
    """The experiment in float64, with the first seeds."""
    overrides = {
        framework: {path: value for path, value in changes.items() if path != "precision"}
        for framework, changes in experiment.overrides.items()
    }
    seeds = experiment.seed_list[:MOST_SEEDS]
    return experiment.model_copy(update={"precision": "float64", "seeds": seeds, "overrides": overrides})
