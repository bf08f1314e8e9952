"""The run's data in memory: fetched by content, and checked against the model.

Targets are cast to the run's precision. Samples of narrow numbers, such as bytes, stay as they are stored,
and the program casts each batch. Others are cast once, which spares each update the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.errors import LikewiseError, ServiceError
from likewise.shared.job import Job, Loss
from likewise.shared.job.data import is_weighted
from likewise.shared.job.loss import ignored_class
from likewise.shared.losses import targets_of
from likewise.shared.program import ProgramSpec, compile_job
from likewise.shared.program.fit import Amounts, Targets, misfits
from likewise.shared.results.seed_table import Load
from likewise.shared.run import Run, Samples
from likewise.shared.store.blobs import UnreachableError
from likewise.worker.adapters.trainer import Batch, Floats
from likewise.worker.training.failures import TrainingError, in_short, message_of


@dataclass(frozen=True, kw_only=True)
class RunData:
    """Holds all that a run trains on and is measured on, in the run's precision."""

    program: ProgramSpec
    """What the run's job makes of such samples."""
    parts: dict[str, Batch]
    """`train`, and `validation` and `test` where there are any."""
    predict: Floats | None
    given_weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    target_scaling: tuple[tuple[float, ...], ...] | None = None
    """The mean and the scale of each target, where targets are standardised; metrics are in its own units."""
    perturbed: bool = False
    """Whether the start is moved by one unit in the last place."""

    @property
    def train(self) -> Batch:
        """Return the samples that are trained on."""
        return self.parts["train"]


def load_run(run: Run, load: Load) -> RunData:
    """Fetch a run's arrays, and check that they fit its model and its training.

    Raises TrainingError: `data_damaged`, `out_of_memory`, `unsupported` for numbers too large for the run's
    precision, or `bad_shape`; ShapeError where the model cannot take such samples at all.
    """
    dataset, job = run.dataset, run.job
    found = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    parts = {
        name: _load_part(name, samples, job, load) for name, samples in found.items() if samples is not None
    }
    predict = None
    if dataset.predict is not None:
        with loading("the rows of predict"):
            predict = _cast(load(dataset.predict), job, "predict")
    given = {}
    for name, ref in (run.given_weights or {}).items():
        with loading(f"the initial weights {name}"):
            given[name] = load(ref)
    program = compile_job(job, parts["train"].x.shape[1:], run.draws)
    if run.trace is not None:
        program = program.with_zero_gradients(run.trace.zero_gradients)
    data = RunData(
        program=program,
        parts=parts,
        predict=predict,
        given_weights=given,
        target_scaling=dataset.target_scaling,
        perturbed=run.perturbed,
    )
    _check_fit(data, job)
    return data


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turn a failure to load an array into TrainingError, unless the blob store cannot be reached."""
    try:
        yield
    except ServiceError:
        raise
    except MemoryError as error:
        raise TrainingError("out_of_memory", message_of("out_of_memory", error)) from error
    except UnreachableError as error:
        raise TrainingError("data_unreachable", f"{what} cannot be reached: {in_short(error)}") from error
    except (LikewiseError, ValueError, LookupError, OSError) as error:
        raise TrainingError("data_damaged", f"{what} cannot be read: {in_short(error)}") from error


def _load_part(name: str, samples: Samples, job: Job, load: Load) -> Batch:
    with loading(f"the {name} samples"):
        x, y = load(samples.x), load(samples.y)
        weights = None if samples.weights is None else load(samples.weights)
        return Batch(
            x=_samples(x, job, f"x of {name}"),
            y=_targets(y, job, f"y of {name}"),
            weights=None if weights is None else _cast(weights, job, f"the sample weights of {name}"),
        )


_NARROW = ("uint8", "int8", "int16", "float16")
"""The dtypes of samples that are cast batch by batch. Every framework gathers rows of them, and none holds a
number that a precision cannot."""


def _samples(x: NDArray[Any], job: Job, what: str) -> NDArray[Any]:
    """Return samples as they are stored where their numbers are narrow, else in the run's precision."""
    return x if x.dtype.name in _NARROW else _cast(x, job, what)


def _targets(y: NDArray[Any], job: Job, what: str) -> NDArray[Any]:
    """Return class numbers (n,) for an only loss of one class, else (n, targets) in the run's precision."""
    if job.loss.task != "multiclass":
        return _cast(y.reshape(len(y), -1), job, what)
    if y.ndim == 2 and y.shape[1] > 1:
        return np.asarray(y.argmax(axis=1), dtype=np.int64)
    return np.asarray(y.reshape(-1), dtype=np.int64)


def _cast(array: NDArray[Any], job: Job, what: str) -> Floats:
    with np.errstate(over="ignore"):
        cast: Floats = array.astype(job.precision, copy=False)
    if not np.isfinite(cast).all():
        raise TrainingError(
            "unsupported",
            f"{what} holds numbers that {job.precision} cannot hold; "
            "scale the data (data.standardize: true), or set precision: float64",
        )
    return cast


def _check_fit(data: RunData, job: Job) -> None:
    """Raise TrainingError (`bad_shape`) where the data do not fit the model or its training."""
    rows = {name: part.x for name, part in data.parts.items()}
    if data.predict is not None:
        rows["predict"] = data.predict
    for name, x in rows.items():
        shape = data.program.input_shape
        if x.shape[1:] != shape:
            raise _bad(f"A row of {name} has the shape {x.shape[1:]}, a training sample {shape}")
    for name, part in data.parts.items():
        _check_part(name, part, job)
    problems = misfits(job, data.program, _amounts(data, job))
    if first := next(problems, None):
        raise _bad(str(first))


def _check_part(name: str, part: Batch, job: Job) -> None:
    if len(part.x) != len(part.y):
        raise _bad(f"{name} has {len(part.x)} samples and {len(part.y)} targets")
    if (part.weights is not None) != is_weighted(job.data) or (
        part.weights is not None and part.weights.shape != (len(part.x),)
    ):
        raise _bad(f"{name} has {len(part.x)} samples, and other sample weights than the job declares")


def _amounts(data: RunData, job: Job) -> Amounts:
    train, validation, test = (_length(data, name) for name in ("train", "validation", "test"))
    widths = {part.y.shape[1:] for part in data.parts.values()}
    if len(widths) > 1:
        columns = sorted(width for (width,) in widths)
        raise _bad(f"The parts of the data have {' and '.join(map(str, columns))} target columns")
    several = len(data.program.outputs) > 1
    if several and widths != {data.program.target_shape}:
        raise _bad(
            f"The outputs take {data.program.target_shape[0]} target columns, and there are {widths.pop()}"
        )
    targets = {}
    for output in data.program.outputs:
        every = np.concatenate([targets_of(output, part.y) for part in data.parts.values()])
        targets[output.name] = _wanted(every, job.losses[output.name])
    return Amounts(train=train, validation=validation, test=test, targets=targets)


def _wanted(every: NDArray[Any], loss: Loss) -> Targets:
    """Return what all targets of an output ask for."""
    if loss.task != "multiclass":
        return Targets(columns=every.shape[1])
    ignored = ignored_class(loss)
    known = every if ignored is None else every[every != ignored]
    if len(known) and known.min() < 0:
        raise _bad(f"Classes are numbered from 0, and there is a target {known.min()}")
    return Targets(classes=int(known.max()) + 1 if len(known) else None)


def _length(data: RunData, name: str) -> int:
    return len(data.parts[name].x) if name in data.parts else 0


def _bad(message: str) -> TrainingError:
    return TrainingError("bad_shape", message)
