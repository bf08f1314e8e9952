"""Loads, splits and standardises a job's data: the same arrays for every side that declares the same.

Within each part of a split samples keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.arrays import (
    load_builtin,
    load_inline,
    load_synthetic,
)
from likewise.producer.data.images import load_images
from likewise.producer.data.loaded import Floats, Loaded
from likewise.producer.data.memory import divided, mean_and_deviation, scaled
from likewise.producer.data.named import (
    as_the_model_takes_them,
    beside_each_other,
    check_inputs,
    refuse_for_several,
    scaled_features,
)
from likewise.producer.data.npz import given_weights, load_npy, load_npz
from likewise.producer.data.predicting import predict_rows
from likewise.producer.data.reading import LARGE_BYTES
from likewise.producer.data.splits import SplitBy, classes_lost, split
from likewise.producer.data.table_samples import load_table
from likewise.producer.data.targets import check_finite, sample_weights, targets
from likewise.producer.display import both, printable, size
from likewise.shared.errors import DataError
from likewise.shared.job import Data, Job, Loss
from likewise.shared.job.data import (
    BuiltinData,
    CsvData,
    ImagesData,
    InlineData,
    JsonLinesData,
    NpyData,
    NpzData,
    ParquetData,
)
from likewise.shared.job.loss import Task, ignored_class, takes_probabilities, takes_signs
from likewise.shared.job.several import ONLY_OUTPUT, Losses
from likewise.shared.job.side import Side
from likewise.shared.program import DrawAddresses, ProgramSpec, compile_job
from likewise.shared.run import FittedColumn


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrays:
    """One part of the data: x (n, *features), of numbers of any dtype; y as in `shared.run.Dataset`."""

    x: NDArray[Any]
    y: NDArray[Any]
    weights: Floats | None
    """The samples' weights (n,), where the data have some."""


@dataclass(frozen=True, kw_only=True)
class OutputTargets:
    """What one output is compared with."""

    task: Task
    columns: int
    """How many target columns there are; 1 for classes."""
    classes: int | None
    """Number of classes, for multiclass."""
    class_names: tuple[str, ...]
    """What the class numbers stand for, where the data says it; else empty."""
    target_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedData:
    """The data after loading, splitting and standardising; every array is read-only and C-contiguous."""

    task: Task
    outputs: Mapping[str, OutputTargets]
    """What each output is compared with, by name; an only one is `shared.job.loss.ONLY_OUTPUT`."""
    train: Arrays
    validation: Arrays | None
    test: Arrays | None
    predict: Floats | None
    """Rows of `predict`, standardised like the features."""
    predict_given: Floats | None
    """Rows of `predict` as the user wrote them, for display."""
    classes: int | None
    """Number of classes, for multiclass."""
    class_names: tuple[str, ...]
    """What the class numbers stand for, where the data says it; else empty."""
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    given_weights: Mapping[str, Floats] | None
    """Arrays of `initial_weights` of type values or npz; None for shared and framework."""
    columns: tuple[FittedColumn, ...] = ()
    """What was fitted to the columns of a table that are not features as they are."""
    scaling: Floats | None = None
    """The mean and the scale of each feature, (2, *features), where features are standardised."""
    target_scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """The mean and the scale of each target, where targets are standardised."""
    notes: tuple[str, ...] = ()
    """What a user should know of the samples, a sentence each."""
    features_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The features that each column of a table makes."""
    first_rows: tuple[Mapping[str, Any], ...] = ()
    """The first training rows of a table, as the file has them."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.train.x.shape[1:]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedRun:
    """One side's resolved job with its data; all that `submit` needs for a run."""

    side: Side
    job: Job
    data: PreparedData
    draws: DrawAddresses | None = None
    """Where its weights and masks are drawn, where that is not by its own layers' places."""

    @property
    def program(self) -> ProgramSpec:
        """Return what the job trains on these data. Raises ShapeError where a layer cannot take its input."""
        return compile_job(self.job, self.data.input_shape, self.draws)


_ABOUT_DATA = ("data", "predict", "initial_weights", "loss", "precision")
"""The sections of a job that decide how its data are read."""

Done = list[tuple[Job, PreparedData]]
"""Jobs whose data were prepared before, with their data."""


def prepare(job: Job, base: Path) -> PreparedData:
    """Return the job's data; `base` is the folder that relative paths start from. Raises DataError."""
    task = job.loss.task
    losses = job.losses
    tasks = {name: loss.task for name, loss in losses.items()}
    loaded = load(as_the_model_takes_them(job), base, tasks=tasks)
    check_inputs(loaded, job)
    refuse_for_several(job)
    x = loaded.x.reshape(len(loaded.x), -1) if job.model.inputs else loaded.x
    if len(x) == 0:
        raise DataError(f"{loaded.x_place}: has no samples")
    if x.ndim < 2 or prod(x.shape[1:]) == 0:
        raise DataError(f"{loaded.x_place}: has the shape {x.shape}; a sample needs at least one feature")
    check_finite(loaded, job.precision)
    of_outputs = {name: loaded.of_output(name) for name in losses}
    every = {name: targets(one, losses[name]) for name, one in of_outputs.items()}
    y = every[ONLY_OUTPUT] if ONLY_OUTPUT in every else beside_each_other(list(every.values()))
    ignored = None if isinstance(job.loss, Losses) else ignored_class(job.loss)
    weights = sample_weights(loaded)
    classes: NDArray[Any] | None = None
    if task == "multiclass":
        classes = y
    elif task == "binary" and y.shape[1] == 1:
        classes = (y[:, 0] > 0.5).astype(np.int64)
    train, validation, test = loaded.parts or split(len(x), job.data.split, SplitBy(classes=classes))
    if weights is not None and not weights[train].any():
        raise DataError(f"{loaded.weights_place}: is 0 for every training sample; there is nothing to learn")
    given = predict_rows(job, x.shape[1:], loaded)
    predict, scaling = given, None
    own = x.flags.owndata and x.flags.writeable
    samples = divided(x, (train, validation, test), given_up=own)
    if job.data.standardize:
        only = scaled_features(loaded, job)
        scaling = _standard(samples[0], loaded.x_place, only)
        mean, scale = scaling
        samples = [scaled(some, mean, scale, given_up=own) for some in samples]
        predict = None if given is None else (given - mean) / scale
    target_scaling = None
    if getattr(job.data, "standardize_target", False):
        if task != "regression":
            raise DataError("data.standardize_target: is for a regression, and the targets are classes")
        mean, scale = _standard(y[train], loaded.y_place)
        y = (y - mean) / scale
        target_scaling = (tuple(map(float, mean)), tuple(map(float, scale)))
    outputs = {name: _targets_of_output(every[name], one, losses[name]) for name, one in of_outputs.items()}
    lost = (
        ()
        if classes is None
        else classes_lost(classes, (train, validation, test), loaded.class_names, ignored)
    )
    notes = [*loaded.notes, *lost]
    return PreparedData(
        columns=() if loaded.features is None else loaded.features.fitted,
        features_of={} if loaded.features is None else loaded.features.by_column,
        first_rows=loaded.first_rows,
        scaling=scaling,
        target_scaling=target_scaling,
        notes=tuple(notes),
        task=task,
        outputs={
            name: _targets_of_output(every[name], one, losses[name]) for name, one in of_outputs.items()
        },
        train=_part(samples[0], y, weights, train),
        validation=_part(samples[1], y, weights, validation) if len(validation) else None,
        test=_part(samples[2], y, weights, test) if len(test) else None,
        predict=None if predict is None else _kept(predict),
        predict_given=None if given is None else _kept(given),
        classes=_class_count(y, loaded, ignored) if task == "multiclass" else None,
        class_names=() if task == "regression" else loaded.class_names,
        feature_names=loaded.feature_names,
        target_names=loaded.target_names
        if ONLY_OUTPUT in outputs
        else tuple(name for one in outputs.values() for name in one.target_names),
        given_weights=given_weights(job.initial_weights, base),
    )


def _targets_of_output(y: NDArray[Any], loaded: Loaded, loss: Loss) -> OutputTargets:
    classes = _class_count(y, loaded, ignored_class(loss)) if loss.task == "multiclass" else None
    columns = y.shape[1] if y.ndim > 1 else 1
    return OutputTargets(
        task=loss.task,
        columns=columns,
        classes=classes,
        class_names=() if loss.task == "regression" else loaded.class_names,
        target_names=loaded.target_names[:columns],
    )


def prepare_all(
    jobs: Mapping[str, Job],
    base: Path,
    *,
    changes: Mapping[str, Mapping[str, str]],
    done: Done | None = None,
) -> dict[str, PreparedData]:
    """Return each side's data; jobs that declare the same share one preparation and its arrays.

    `changes` has, by side, where each setting is written that the side changes; messages name what may have
    led to them. `done` holds earlier jobs of the same `base` with their data, and is added to.
    """
    done = [] if done is None else done
    prepared: dict[str, PreparedData] = {}
    for label, job in jobs.items():
        shared = next((data for other, data in done if _same_data(job, other)), None)
        try:
            data = prepare(job, base) if shared is None else shared
        except DataError as error:
            own = [printable(place) for path, place in changes[label].items() if path.startswith(_ABOUT_DATA)]
            if not own:
                raise
            raise DataError(f"{label}, by {both(own)}: {error}") from None
        if shared is None:
            done.append((job, data))
        prepared[label] = data
    return prepared


def _same_data(one: Job, other: Job) -> bool:
    return (
        list(map(_read_as, one.losses.items())) == list(map(_read_as, other.losses.items()))
        and one.precision == other.precision
        and _as_stored(one.data) == _as_stored(other.data)
        and one.model.inputs == other.model.inputs
        and one.predict == other.predict
        and one.initial_weights == other.initial_weights
    )


def _read_as(output: tuple[str, Loss]) -> tuple[str, Task, int | None, bool, bool]:
    """Return what a loss says of how the targets of its output are read."""
    name, loss = output
    return name, loss.task, ignored_class(loss), takes_signs(loss), takes_probabilities(loss)


def _as_stored(data: Data) -> Data:
    """Return what is declared of the samples as they are stored: not how each batch is rescaled."""
    return data.model_copy(update={"mean": None, "scale": None})


def load(data: Data, base: Path, *, tasks: Mapping[str, Task]) -> Loaded:
    """Return the samples as their source has them, for outputs of these tasks; raise DataError."""
    match data:
        case InlineData():
            loaded = load_inline(data)
        case CsvData() | ParquetData() | JsonLinesData():
            loaded = load_table(data, base, tasks=tasks)
        case NpzData():
            loaded = load_npz(data, base)
        case NpyData():
            loaded = load_npy(data, base)
        case ImagesData():
            loaded = load_images(data, base)
        case BuiltinData():
            loaded = load_builtin(data)
        case _:
            loaded = load_synthetic(data)
    return loaded


def _standard(train: NDArray[Any], place: str, only: NDArray[np.bool_] | None = None) -> Floats:
    """Return the mean and scale of each feature, (2, *features); one that never varies is scaled by 1.

    Where `only` is given, features that it does not name have mean 0 and scale 1.
    """
    mean, deviation = mean_and_deviation(train)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        raise DataError(f"{place}: numbers too large to standardise; divide them first")
    scale = np.where(deviation == 0, 1.0, deviation)
    if only is not None:
        mean, scale = np.where(only, mean, 0.0), np.where(only, scale, 1.0)
    return np.stack([mean, scale])


def _class_count(y: NDArray[Any], loaded: Loaded, ignored: int | None) -> int:
    one_hot = loaded.y.shape[1] if loaded.y.shape[1] > 1 else 0
    known = y if ignored is None else y[y != ignored]
    return max(int(known.max()) + 1, len(loaded.class_names), one_hot)


def _part(x: NDArray[Any], y: NDArray[Any], weights: Floats | None, indices: NDArray[np.int64]) -> Arrays:
    own = None if weights is None else _kept(weights[indices])
    return Arrays(x=_kept(x), y=_kept(y[indices]), weights=own)


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    kept = np.ascontiguousarray(array).view()
    kept.flags.writeable = False
    return kept


def before_storing(every: Iterable[PreparedData]) -> str | None:
    """Return what to say before these data are hashed and stored; None where that takes no time."""
    parts = {
        id(part): part.x.nbytes + part.y.nbytes
        for data in every
        for part in (data.train, data.validation, data.test)
        if part is not None
    }
    total = sum(parts.values())
    return f"storing {size(total)} of samples for the workers" if total > LARGE_BYTES else None
