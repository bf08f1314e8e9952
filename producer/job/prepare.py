"""Makes a loaded job file ready to submit: resolves it for each side, loads its data, checks the fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.prepare import Done, PreparedData, PreparedRun, prepare_all
from likewise.producer.display import both, count, did_you_mean, printable
from likewise.producer.job.jobfile import LoadedExperiment
from likewise.producer.job.native import native_table
from likewise.producer.job.resolve import as_written, changes_at, resolve
from likewise.shared.errors import JobFileError, Problem
from likewise.shared.job import Experiment, Loss
from likewise.shared.job.loss import (
    ClassCrossentropy,
    Crossentropy,
    Hinge,
    Margin,
    SquaredHinge,
    Task,
    takes_logits,
)
from likewise.shared.job.metrics import fits, fitting_metrics, metric_name
from likewise.shared.job.shape import ShapeError
from likewise.shared.limits import DEFAULT_LIMITS, Limits, Size, excesses
from likewise.shared.losses import targets_of
from likewise.shared.program import ModelOutput, as_drawn_in
from likewise.shared.program.fit import Amounts, Targets, loss_path, misfits, weight_misfits

_PROBABILITY_SLACK = 1e-5
"""How far from 1 a row of probabilities may sum: files hold them in float32."""

_TASK_NAMES: Mapping[Task, str] = {
    "regression": "a regression",
    "binary": "a classification of two classes",
    "multiclass": "a classification",
}


@dataclass(frozen=True, kw_only=True)
class PreparedExperiment:
    """What every command that trains starts from."""

    loaded: LoadedExperiment
    runs: dict[str, PreparedRun]
    """The runs by side, in the order of the job file."""
    advice: tuple[str, ...]
    """Sentences about settings that are allowed but seldom meant."""


def prepare_experiment(
    loaded: LoadedExperiment, *, limits: Limits = DEFAULT_LIMITS, done: Done | None = None
) -> PreparedExperiment:
    """Resolve, load the data and check that all of it fits together, and is within the limits.

    `done` keeps what was loaded, for further points of a sweep.

    Raises JobFileError with every problem found, or DataError.
    """
    jobs = resolve(loaded.experiment, source=loaded.source)
    sides = {side.label: side for side in loaded.experiment.side_list}
    changes = {label: changes_at(loaded.experiment, side) for label, side in sides.items()}
    data = prepare_all(jobs, loaded.base, changes=changes, done=done)
    runs = {label: PreparedRun(side=sides[label], job=job, data=data[label]) for label, job in jobs.items()}
    problems = as_written(
        loaded.experiment, {label: list(_problems(run, limits)) for label, run in runs.items()}
    )
    if problems:
        raise JobFileError(loaded.source, problems)
    runs = _drawn_alike(runs)
    said = (*_without_a_table(loaded.experiment), *_started_apart(loaded.experiment, runs), *advice(runs))
    return PreparedExperiment(loaded=loaded, runs=runs, advice=said)


def _drawn_alike(runs: Mapping[str, PreparedRun]) -> dict[str, PreparedRun]:
    """Return the runs, each of which draws its weights and masks as the first does, as far as they pair."""
    reference, *_ = (run.program for run in runs.values())
    return {label: replace(run, draws=as_drawn_in(reference, run.program)) for label, run in runs.items()}


def _without_a_table(experiment: Experiment) -> list[str]:
    """Say once which frameworks `defaults: native` leaves at the shared defaults."""
    if experiment.defaults != "native":
        return []
    names = [name for name in experiment.frameworks_needed if not native_table(name)]
    if not names:
        return []
    return [
        f"no table of defaults is known for {both(names)}: what is left out there has the shared defaults"
    ]


def _started_apart(experiment: Experiment, runs: Mapping[str, PreparedRun]) -> list[str]:
    """Say of a start that was written as shared that the sides' initializers draw it apart."""
    written = "initial_weights" in experiment.model_fields_set and experiment.initial_weights.type == "shared"
    if not written or all(run.job.initial_weights.type != "initializers" for run in runs.values()):
        return []
    return [
        "initial_weights is shared, and other initializers are written for some side, so that each draws its "
        "start by its own (initial_weights: initializers)"
    ]


def advice(runs: Mapping[str, PreparedRun]) -> tuple[str, ...]:
    """Return sentences about settings that are allowed but seldom meant."""
    sentences = {label: list(_advice(run)) for label, run in runs.items()}
    every = list(dict.fromkeys(sentence for given in sentences.values() for sentence in given))
    return tuple(
        sentence if all(sentence in given for given in sentences.values()) else f"{sides}: {sentence}"
        for sentence in every
        for sides in [", ".join(label for label, given in sentences.items() if sentence in given)]
    )


def _problems(run: PreparedRun, limits: Limits) -> Iterator[Problem]:
    try:
        _ = run.program
    except ShapeError as error:  # no other rule can be asked of a model without shapes
        yield Problem(path="model", message=str(error))
        return
    excess = list(excesses(run.job, run.program, _size(run), limits))
    yield from excess
    if excess:
        return
    yield from misfits(run.job, run.program, _amounts(run.data))
    for rule in (_indices, _targets, _parameters, _metrics, _weights):
        yield from rule(run)


def _size(run: PreparedRun) -> Size:
    """Return how large one seed's run is; the seeds are shared out among runs."""
    parts = [part for part in (run.data.train, run.data.validation, run.data.test) if part is not None]
    return Size(
        samples=len(run.data.train.x),
        data_bytes=sum(part.x.nbytes + part.y.nbytes for part in parts),
        trainings=1,
    )


def _amounts(data: PreparedData) -> Amounts:
    return Amounts(
        train=len(data.train.x),
        validation=len(data.validation.x) if data.validation else 0,
        test=len(data.test.x) if data.test else 0,
        targets={
            name: Targets(
                columns=None if one.task == "multiclass" else one.columns,
                classes=one.classes,
                class_names=tuple(map(printable, one.class_names)),
            )
            for name, one in data.outputs.items()
        },
    )


def _indices(run: PreparedRun) -> Iterator[Problem]:
    """Look at embeddings that take the data's own numbers; what a layer computes is seen in training."""
    parts = {"train": run.data.train, "validation": run.data.validation, "test": run.data.test}
    arrays = {name: part.x for name, part in parts.items() if part is not None}
    if run.data.predict is not None:
        arrays["predict"] = run.data.predict
    for rule in run.program.index_limits:
        for name, whole in arrays.items():
            x = whole if rule.columns is None else whole.reshape(len(whole), -1)[:, slice(*rule.columns)]
            wrong = x[(x != np.floor(x)) | (x < 0) | (x >= rule.limit)]
            if wrong.size:
                field = rule.path.rpartition(".")[2]
                yield Problem(
                    path=rule.path,
                    value=str(rule.limit),
                    message=f"{name} has {wrong.flat[0]:g} among its inputs, and an {rule.kind} takes whole "
                    f"numbers from 0 to {rule.limit - 1}",
                    hint=f"indices are not standardised; {field} is the largest index and 1",
                )


def _targets(run: PreparedRun) -> Iterator[Problem]:
    """Refuse targets that a loss has no meaning for."""
    parts = [part.y for part in (run.data.train, run.data.validation, run.data.test) if part is not None]
    for output in run.program.outputs:
        every = [targets_of(output, y) for y in parts]
        columns = run.data.outputs[output.name].columns
        yield from _targets_of(loss_path(run.job, output.name), run.job.losses[output.name], every, columns)


def _targets_of(path: str, loss: Loss, every: list[NDArray[Any]], columns: int) -> Iterator[Problem]:
    """Refuse targets of one output; `path` is where the job file has its loss."""
    if loss.type in ("kl_divergence", "cosine_similarity") and columns < 2:
        yield Problem(
            path=f"{path}.type",
            value=f'"{loss.type}"',
            message="compares whole rows of targets, and there is one target column",
            hint="mse for a single target",
        )
        return
    if loss.type in ("poisson", "kl_divergence"):
        lowest = min(float(y.min()) for y in every)
        if lowest < 0:
            yield Problem(
                path=f"{path}.type",
                value=f'"{loss.type}"',
                message=f"takes targets of 0 or more, and there is {lowest:g}",
                hint="mse takes any number",
            )
            return
    if loss.type == "kl_divergence":
        sums = np.concatenate([y.sum(axis=1) for y in every])
        furthest = float(sums[np.abs(sums - 1.0).argmax()])
        if abs(furthest - 1.0) > _PROBABILITY_SLACK:
            yield Problem(
                path=f"{path}.type",
                value='"kl_divergence"',
                message="takes rows of probabilities, which sum to 1, and a row of targets sums to "
                f"{furthest:g}",
                hint="divide each row by its sum",
            )


def _parameters(run: PreparedRun) -> Iterator[Problem]:
    if run.program.parameters == 0:
        yield Problem(
            path="model.layers",
            message="nothing in the model can be trained",
            hint="add a dense layer, such as {type: dense, units: 1}",
        )


def _metrics(run: PreparedRun) -> Iterator[Problem]:
    for output, loss in run.job.losses.items():
        place = "metrics" if run.job.model.outputs is None else f"metrics.{output}"
        for index, metric in enumerate(run.job.metrics_by_output[output]):
            if not fits(metric, loss):
                yield Problem(
                    path=f"{place}.{index}",
                    value=f'"{metric_name(metric)}"',
                    message=f"does not fit {_TASK_NAMES[loss.task]} ({loss.type})",
                    hint=f"one of {', '.join(fitting_metrics(loss))}",
                )


def _weights(run: PreparedRun) -> Iterator[Problem]:
    given = run.data.given_weights
    if given is None:
        return
    place = "initial_weights.weights" if run.job.initial_weights.type == "values" else "initial_weights.path"
    wanted = run.program.weight_shapes
    for found in weight_misfits(given, run.program, run.job.precision):
        unknown = found.path not in wanted
        yield Problem(
            path=f"{place}.{printable(found.path)}",
            message=found.message,
            hint=did_you_mean(found.path, list(wanted)) if unknown else found.hint,
        )


def _advice_on(output: ModelOutput, run: PreparedRun) -> Iterator[str]:
    loss, data = run.job.losses[output.name], run.data.outputs[output.name]
    path = loss_path(run.job, output.name)
    model = "the model" if output.columns is None else f"the output {output.name}"
    activation, logits = output.last_activation, takes_logits(loss)
    if data.task != "regression" and not logits and activation not in ("sigmoid", "softmax"):
        wanted = "sigmoid" if data.task == "binary" else "softmax"
        clips = ", and clips what is none" if isinstance(loss, Crossentropy | ClassCrossentropy) else ""
        yield (
            f"{path}.from_logits is false, so {loss.type} takes the outputs for probabilities{clips}; "
            f"end {model} with activation: {wanted}, or leave from_logits out"
        )
    if isinstance(loss, Hinge | SquaredHinge) and activation == "sigmoid":
        yield (
            f"{loss.type} takes margins, below 0 for one class and above 0 for the other, and a "
            f"sigmoid is never below 0; end {model} with activation: linear, or tanh"
        )
    if logits and not isinstance(loss, Margin) and activation in ("sigmoid", "softmax"):
        yield (
            f"{loss.type} takes logits and applies its own {activation}, so the {activation} at the end "
            f"of {model} counts twice; remove it (activation: linear)"
        )
    if data.classes is not None and output.width != data.classes:
        yield (
            f"{model} has {output.width} outputs and the targets only the classes 0 to {data.classes - 1}; "
            f"units: {data.classes} would do"
        )


def _advice(run: PreparedRun) -> Iterator[str]:
    job, data = run.job, run.data
    yield from data.notes
    for output in run.program.outputs:
        yield from _advice_on(output, run)
    written = [
        f"model.layers.{place}.{field}"
        for place, layer in enumerate(job.model.layers)
        for field in sorted(layer.model_fields_set)
        if field.endswith("_initializer")
    ]
    if job.initial_weights.type == "framework" and written:
        yield (
            f"initial_weights is framework, so each framework draws by its own default and {both(written)} "
            "has no effect; initial_weights: initializers draws by what is written"
        )
    size, samples = job.training.batch_size, len(data.train.x)
    if size is not None and size > samples:
        yield (
            f"training.batch_size {size} is larger than the {count(samples, 'training sample')}, so every "
            "step takes the whole set"
        )
