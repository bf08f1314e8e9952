"""Whether a resolved job and its data fit together. Pure: arrays and jobs in, problems out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from producer.data.prepared import PreparedData, PreparedRun
from producer.display import did_you_mean, printable
from shared.errors import JobFileError, Problem
from shared.job import Job
from shared.job.data import is_weighted
from shared.job.layers.base import Shape, ShapeError
from shared.job.loss import CategoricalCrossentropy, is_broadcast, takes_logits
from shared.job.metrics import fitting_metrics
from shared.job.schedule import ReduceOnPlateauSchedule
from shared.run import Task

MAX_PARAMETERS = 250_000_000
"""1 GB in float32; with Adam's moments and the gradients about four times as much."""

MAX_BROADCAST = 5_000
"""Samples of a batch, or of the validation, whose square is still a modest array."""

_PROBABILITY_SLACK = 1e-5
"""How far from 1 a row of probabilities may sum: files hold them in float32."""

_TASK_NAMES: Mapping[Task, str] = {
    "regression": "a regression",
    "binary": "a classification of two classes",
    "multiclass": "a classification",
}


def check(runs: Mapping[str, PreparedRun], *, source: str) -> None:
    """Raise JobFileError with everything that does not fit."""
    found = {framework: list(_problems(run)) for framework, run in runs.items()}
    problems = _merged(found)
    if problems:
        raise JobFileError(source, problems)


def advice(runs: Mapping[str, PreparedRun]) -> tuple[str, ...]:
    """Sentences about settings that are allowed but seldom meant."""
    sentences = {framework: list(_advice(run)) for framework, run in runs.items()}
    every = list(dict.fromkeys(sentence for given in sentences.values() for sentence in given))
    return tuple(
        sentence if all(sentence in given for given in sentences.values()) else f"{frameworks}: {sentence}"
        for sentence in every
        for frameworks in [", ".join(f for f, given in sentences.items() if sentence in given)]
    )


def _merged(found: Mapping[str, list[Problem]]) -> list[Problem]:
    """What is wrong everywhere once; what is wrong in some frameworks under their overrides."""
    everywhere = [p for p in next(iter(found.values()), []) if all(p in given for given in found.values())]
    single = [
        Problem(path=f"overrides.{framework}.{p.path}", value=p.value, message=p.message, hint=p.hint)
        for framework, given in found.items()
        for p in given
        if p not in everywhere
    ]
    return everywhere + single


def _problems(run: PreparedRun) -> Iterator[Problem]:
    try:
        _ = run.program
    except ShapeError as error:  # no other rule can be asked of a model without shapes
        yield Problem(path="model", message=str(error))
        return
    rules: tuple[Callable[[PreparedRun], Iterator[Problem]], ...] = (
        _outputs,
        _indices,
        _targets,
        _class_weights,
        _broadcasting,
        _parameters,
        _batches,
        _early_stopping,
        _plateau,
        _metrics,
        _weights,
    )
    for rule in rules:
        yield from rule(run)


def _outputs(run: PreparedRun) -> Iterator[Problem]:
    shape = run.program.output_shape
    path, field = f"model.layers.{len(run.program.stages) - 1}", run.program.outputs_setting
    if len(shape) != 1:
        yield Problem(
            path=path,
            message=f"the output of one sample has the shape {_by(shape)}, and one row of numbers is wanted",
            hint=f"a sample of the data is {_by(run.data.input_shape)}; "
            "put `flatten` before the dense layers",
        )
        return
    wanted, why = _wanted_outputs(run.job, run.data)
    enough = run.data.task == "multiclass" and not _classes_are_known(run.data) and shape[0] > wanted
    if shape[0] != wanted and not enough:
        units = Problem(
            path=field or path,
            value=str(shape[0]),
            message=f"the model's last layer gives {shape[0]} output{_s(shape[0])}, and {why}",
            hint=f"{field.rpartition('.')[2]}: {wanted}"
            if field
            else f"end with {{type: dense, units: {wanted}}}",
        )
        yield units


def _indices(run: PreparedRun) -> Iterator[Problem]:
    """Of an embedding that takes the data's own numbers; what a layer computes is seen in training."""
    parts = {"train": run.data.train, "validation": run.data.validation, "test": run.data.test}
    arrays = {name: part.x for name, part in parts.items() if part is not None}
    if run.data.predict is not None:
        arrays["predict"] = run.data.predict
    for rule in run.program.index_limits:
        for name, x in arrays.items():
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


def _wanted_outputs(job: Job, data: PreparedData) -> tuple[int, str]:
    loss = job.loss.type
    if data.classes is not None:
        named = f" ({_few(data.class_names)})" if data.class_names else f" (0 to {data.classes - 1})"
        return data.classes, f"{loss} needs one a class: the targets have {data.classes}{named}"
    columns = data.train.y.shape[1]
    return columns, f"{loss} needs one a target column: there {'is' if columns == 1 else 'are'} {columns}"


def _targets(run: PreparedRun) -> Iterator[Problem]:
    """Targets that the loss has no meaning for."""
    columns = run.data.train.y.shape[1] if run.data.train.y.ndim == 2 else 1
    if run.job.loss.type in ("kl_divergence", "cosine_similarity") and columns < 2:
        yield Problem(
            path="loss.type",
            value=f'"{run.job.loss.type}"',
            message="compares whole rows of targets, and there is one target column",
            hint="mse for a single target",
        )
        return
    every = [part.y for part in (run.data.train, run.data.validation, run.data.test) if part is not None]
    if run.job.loss.type in ("poisson", "kl_divergence"):
        lowest = min(float(y.min()) for y in every)
        if lowest < 0:
            yield Problem(
                path="loss.type",
                value=f'"{run.job.loss.type}"',
                message=f"takes targets of 0 or more, and there is {lowest:g}",
                hint="mse takes any number",
            )
            return
    if run.job.loss.type == "kl_divergence":
        sums = np.concatenate([y.sum(axis=1) for y in every])
        furthest = float(sums[np.abs(sums - 1.0).argmax()])
        if abs(furthest - 1.0) > _PROBABILITY_SLACK:
            yield Problem(
                path="loss.type",
                value='"kl_divergence"',
                message="takes rows of probabilities, which sum to 1, and a row of targets sums to "
                f"{furthest:g}",
                hint="divide each row by its sum",
            )


def _class_weights(run: PreparedRun) -> Iterator[Problem]:
    if not isinstance(run.job.loss, CategoricalCrossentropy) or run.job.loss.class_weights is None:
        return
    given, classes = len(run.job.loss.class_weights), run.program.output_shape[-1]
    if given != classes:
        yield Problem(
            path="loss.class_weights",
            message=f"has {given} weight{_s(given)}, and the model gives {classes} output{_s(classes)}",
            hint="one weight a class",
        )


def _broadcasting(run: PreparedRun) -> Iterator[Problem]:
    """Every output against every target of a batch: one of each a sample, and not too many of them."""
    if not is_broadcast(run.job.loss):
        return
    outputs, columns = run.program.output_shape[-1], run.data.train.y.shape[1]
    largest = max(
        run.job.training.batch_size or len(run.data.train.x),
        len(run.data.validation.x) if run.data.validation else 0,
    )
    if max(outputs, columns) > 1:
        yield Problem(
            path="loss.targets",
            value='"broadcast"',
            message="is a mistake that can only be made with one output and one target column, and here "
            f"{'is' if outputs == 1 else 'are'} {outputs} output{_s(outputs)} and {columns} "
            f"column{_s(columns)}",
            hint="targets: aligned",
        )
    elif is_weighted(run.job.data):
        yield Problem(
            path="loss.targets",
            value='"broadcast"',
            message="sets each output against every target, so that no sample has a loss of its own to weigh",
            hint="leave data.sample_weights out, or targets: aligned",
        )
    elif largest > MAX_BROADCAST:
        yield Problem(
            path="loss.targets",
            value='"broadcast"',
            message=f"sets each of {largest:,} samples against each other, and at most {MAX_BROADCAST:,} fit",
            hint="a smaller training.batch_size, and fewer validation samples",
        )


def _classes_are_known(data: PreparedData) -> bool:
    return bool(data.class_names)


def _parameters(run: PreparedRun) -> Iterator[Problem]:
    count = run.program.parameters
    if count > MAX_PARAMETERS:
        yield Problem(
            path="model.layers",
            message=f"the model has {count:,} parameters, and at most {MAX_PARAMETERS:,} are trained",
            hint="fewer units",
        )
    if count == 0:
        yield Problem(
            path="model.layers",
            message="nothing in the model can be trained",
            hint="add a dense layer, such as {type: dense, units: 1}",
        )


def _batches(run: PreparedRun) -> Iterator[Problem]:
    """Without its partial last batch a set that is smaller than a batch gives no update at all."""
    size, samples = run.job.training.batch_size, len(run.data.train.x)
    if size is not None and size > samples and run.job.training.drop_last:
        whole = run.data.validation is None and run.data.test is None
        held = "" if whole else " (the rest is held out)"
        yield Problem(
            path="training.batch_size",
            value=str(size),
            message=f"is larger than the {samples} training sample{_s(samples)}{held}, and drop_last is true",
            hint=f"at most {samples}, or null for the whole set",
        )


def _early_stopping(run: PreparedRun) -> Iterator[Problem]:
    stopping = run.job.training.early_stopping
    if stopping is not None and stopping.monitor == "validation_loss" and run.data.validation is None:
        yield _nothing_to_watch("training.early_stopping.monitor")


def _plateau(run: PreparedRun) -> Iterator[Problem]:
    schedule = run.job.optimizer.schedule
    watching = isinstance(schedule, ReduceOnPlateauSchedule) and schedule.monitor == "validation_loss"
    if watching and run.data.validation is None:
        yield _nothing_to_watch("optimizer.schedule.monitor")


def _nothing_to_watch(path: str) -> Problem:
    return Problem(
        path=path,
        value='"validation_loss"',
        message="there are no validation samples to watch",
        hint="add data.split.validation, such as 0.1, or use monitor: loss",
    )


def _metrics(run: PreparedRun) -> Iterator[Problem]:
    fitting = fitting_metrics(run.job.loss)
    for index, name in enumerate(run.job.metrics or ()):
        if name not in fitting:
            yield Problem(
                path=f"metrics.{index}",
                value=f'"{name}"',
                message=f"does not fit {_TASK_NAMES[run.data.task]} ({run.job.loss.type})",
                hint=f"one of {', '.join(fitting)}",
            )


def _weights(run: PreparedRun) -> Iterator[Problem]:
    given = run.data.given_weights
    if given is None:
        return
    wanted = run.program.weight_shapes
    place = "initial_weights.weights" if run.job.initial_weights.type == "values" else "initial_weights.path"
    for name, array in given.items():
        path = f"{place}.{printable(name)}"
        if name not in wanted:
            yield Problem(
                path=path, message="the model has no such weight", hint=did_you_mean(name, list(wanted))
            )
        elif array.shape != wanted[name]:
            yield Problem(
                path=path,
                message=f"has the shape {_by(array.shape)}, and the model's is {_by(wanted[name])}",
                hint="a kernel is (inputs, units), a bias (units)",
            )
        elif not (np.abs(array) <= np.finfo(run.job.precision).max).all():
            yield Problem(path=path, message=f"holds a number too large for {run.job.precision}")
    for name, shape in wanted.items():
        if name not in given:
            yield Problem(path=f"{place}.{name}", message="is missing", hint=f"its shape is {_by(shape)}")


def _advice(run: PreparedRun) -> Iterator[str]:
    job, data = run.job, run.data
    activation = run.program.last_activation
    logits = takes_logits(job.loss)
    if data.task != "regression" and not logits and activation not in ("sigmoid", "softmax"):
        wanted = "sigmoid" if job.loss.type == "binary_crossentropy" else "softmax"
        yield (
            f"loss.from_logits is false, so {job.loss.type} takes the outputs for probabilities, and clips "
            f"what is none; end the model with activation: {wanted}, or leave from_logits out"
        )
    if logits and activation in ("sigmoid", "softmax"):
        yield (
            f"{job.loss.type} takes logits and applies its own {activation}, so the {activation} at the end "
            "of the model counts twice; remove it (activation: linear)"
        )
    outputs = run.program.output_shape
    if data.classes is not None and outputs != (data.classes,):
        yield (
            f"the model has {_by(outputs)} outputs and the targets only the classes 0 to {data.classes - 1}; "
            f"units: {data.classes} would do"
        )
    size, samples = job.training.batch_size, len(data.train.x)
    if size is not None and size > samples:
        yield (
            f"training.batch_size {size} is larger than the {samples} training sample{_s(samples)}, so every "
            "step takes the whole set"
        )


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape)) if shape else "a single number"


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(printable(name) for name in names[:6]) + (", …" if len(names) > 6 else "")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
