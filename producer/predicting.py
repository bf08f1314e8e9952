"""Predicts rows of a new file by a model that was trained, in the framework and by a worker of its side.

The rows are prepared with what was fitted to the training samples, and outputs come back in the targets' own
units, classes by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.classifying import predicted_classes, probabilities
from likewise.producer.data.new_rows import read_new_rows
from likewise.producer.experiments import carry_out
from likewise.producer.report.predictions import Predictions
from likewise.producer.runs.results import merged, one_a_side, trained_of, untrained
from likewise.producer.runs.routing import Need, refuse_unserved
from likewise.producer.runs.submit import FollowUp
from likewise.shared.errors import RunFailedError, UsageError
from likewise.shared.job.loss import takes_logits
from likewise.shared.job.weights import NpzWeights
from likewise.shared.results.seed_table import SeedTable, in_own_units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from likewise.producer.follow_ups import FollowUpPlan
    from likewise.producer.runs.results import FinishedRuns
    from likewise.producer.session import Session
    from likewise.shared.job import Loss
    from likewise.shared.ledger.records import ExperimentRecord
    from likewise.shared.run import Run

PREDICTION = "prediction"
"""The relation of a prediction to the experiment that was trained."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """It is the model that one seed of a side has trained."""

    record: ExperimentRecord
    run: Run
    """The side's run, with this seed alone."""
    weights: Mapping[str, NDArray[Any]]
    """The trained weights by name, in Keras's layouts, with what layers keep besides."""

    @property
    def seed(self) -> int:
        """Return the number of the seed that was trained."""
        return self.run.seeds[0]


def trained_model(
    session: Session, record: ExperimentRecord, side: str | None, *, seed: int | None = None
) -> TrainedModel:
    """Return what a side has trained: of the first seed, or of another.

    Raises UsageError where there is no such side or seed, or where it has no trained model.
    """
    name, labels = record.experiment_id, record.experiment.labels
    if record.experiment.grid:
        raise UsageError(f"{name} is a sweep; compare one of its points, and predict with that")
    if side is None and len(labels) > 1:
        raise UsageError(f"--side says whose model is wanted: {' or '.join(labels)}")
    side = side or labels[0]
    if side not in labels:
        raise UsageError(f"--side is {side!r}; the sides are {', '.join(labels)}")
    seeds = record.experiment.seed_list
    if seed is not None and seed not in seeds:
        raise UsageError(f"--seed is {seed}; the seeds are {', '.join(map(str, seeds[:20]))}")
    finished = trained_of(session, record)
    runs = {run.side: run for run in one_a_side([run for run, _ in finished.runs])}
    if side not in runs:
        raise UsageError(f"{side} of {name} is still running; first likewise watch {name}")
    result = merged(finished.results)[side]
    wanted = seeds[0] if seed is None else seed
    table = SeedTable.of(result, [wanted], arrays=session.blobs.get)
    if not table.succeeded[0]:
        raise untrained(side, table.rows[0], name)
    return TrainedModel(
        record=record,
        run=runs[side].model_copy(update={"seeds": (wanted,)}),
        weights={name: array[0] for name, array in table.weights().items()},
    )


def predict(session: Session, model: TrainedModel, data: Path, *, quiet: bool) -> Predictions:
    """Return what a trained model predicts for the rows of a file.

    Raises DataError for rows that do not fit, NoWorkerError where none is there for the side, and
    RunFailedError where the worker could not.
    """
    refuse_unserved([Need.of_run(model.run)], session.ledger.workers())
    rows = read_new_rows(data, model.run, session.blobs.get)
    batch = session.blobs.batch()
    dataset = model.run.dataset.model_copy(update={"predict": batch.put(rows.x)})
    weights = {name: batch.put(np.asarray(array)) for name, array in model.weights.items()}
    batch.flush()
    given = NpzWeights(type="npz", path="trained.npz")  # nobody reads a file: the arrays come with the run
    job = model.run.job.model_copy(update={"initial_weights": given})
    run = model.run.model_copy(
        update={"dataset": dataset, "job": job, "given_weights": weights, "predicts": True}
    )
    experiment = model.record.experiment.with_sides([run.side], seeds=run.seeds)
    wanted = FollowUp(relation=PREDICTION, experiment=experiment, runs=[run], kept=False)

    def plan() -> FollowUpPlan[FinishedRuns]:
        return (yield [wanted])[PREDICTION]

    ((_, result),) = carry_out(session, model.record, plan(), quiet=quiet).answer.runs
    if result.failure is not None:
        raise RunFailedError(f"{run.side} cannot predict: {result.failure.message}")
    outputs = np.asarray(SeedTable.of(result, run.seeds, arrays=session.blobs.get).predictions)
    return Predictions(
        experiment_id=model.record.experiment_id,
        name=model.record.experiment.name,
        side=run.side,
        seed=model.seed,
        columns=_columns(run, outputs.reshape(len(rows.x), -1), result.output_columns),
        notes=rows.notes,
    )


def _columns(
    run: Run, outputs: NDArray[Any], places: Mapping[str, tuple[int, int]]
) -> dict[str, NDArray[Any]]:
    """Return the outputs (n, outputs) of all of a model's outputs as columns by name."""
    if not places:
        (loss,) = run.job.losses.values()
        own = in_own_units(outputs, run.dataset.target_scaling)
        return _of_output(loss, own, run.dataset.target_names, run.dataset.class_names)
    return {
        f"{name}.{column}" if column != name else name: values
        for name, (begin, end) in places.items()
        for column, values in _of_output(run.job.losses[name], outputs[:, begin:end], (name,), ()).items()
    }


def _of_output(
    loss: Loss, outputs: NDArray[Any], targets: Sequence[str], classes: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return one output as columns: a number a target, or the class and the probability of each."""
    width = outputs.shape[1]
    if loss.task == "regression":
        named = list(targets) if len(targets) == width else _numbered("prediction", width)
        return {name: outputs[:, place] for place, name in enumerate(named)}
    logits, values = takes_logits(loss), outputs.astype(np.float64)
    if loss.task == "binary" and width > 1:  # each output is a question of its own
        named = list(targets) if len(targets) == width else _numbered("prediction", width)
        parts = {name: values[:, place : place + 1] for place, name in enumerate(named)}
        return {
            f"{name}{ending}": column
            for name, own in parts.items()
            for ending, column in (
                ("", predicted_classes(own, from_logits=logits)),
                (".probability", probabilities(own, from_logits=logits)[:, 1]),
            )
        }
    chosen = predicted_classes(values, from_logits=logits)
    every = probabilities(values, from_logits=logits)
    names = [*classes, *map(str, range(len(classes), every.shape[1]))]
    first = targets[0] if len(targets) == 1 else "class"
    return {
        first: np.array(names, dtype=object)[chosen] if classes else chosen,
        **{f"probability.{name}": every[:, place] for place, name in enumerate(names)},
    }


def _numbered(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name}_{place}" for place in range(width)]
