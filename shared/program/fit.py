"""Holds the rules on what fits: a job against the program that it trains and against its samples.

The producer tells a user about every misfit before anything is queued; a worker asks the same rules again of
the arrays that it was given. The rules know amounts and shapes, and no arrays but given weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.errors import Problem
from likewise.shared.job import Job, Loss
from likewise.shared.job.data import is_weighted
from likewise.shared.job.experiment import Precision
from likewise.shared.job.loss import class_weights_of, is_broadcast, is_by_batch
from likewise.shared.job.schedule import ReduceOnPlateauSchedule
from likewise.shared.job.shape import by
from likewise.shared.job.training import BatchPlan
from likewise.shared.program.groups import unknown_words
from likewise.shared.program.spec import ModelOutput, ProgramSpec

MAX_BROADCAST = 5_000
"""The most samples of a batch, or of the validation, whose square is still a modest array."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What there is to compare an output with."""

    columns: int | None = None
    """The number of target columns; None where the targets are classes."""
    classes: int | None = None
    """The number of classes that the targets need; None where the targets are numbers, or none counts."""
    class_names: tuple[str, ...] = ()
    """The names of the classes, where the data have them: there are then no others."""


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything there is in the samples."""

    train: int
    """The number of training samples."""
    validation: int = 0
    test: int = 0
    targets: Mapping[str, Targets]
    """What each output is compared with, by its name."""


def misfits(job: Job, program: ProgramSpec, amounts: Amounts) -> Iterator[Problem]:
    """Yield every setting that does not fit the samples, or the program's outputs."""
    if len(program.output_shape) != 1:
        yield Problem(
            path=program.outputs[0].path,
            message=f"the output of one sample has the shape {by(program.output_shape)}, and one row of "
            "numbers is wanted",
            hint=f"a sample of the data is {by(program.input_shape)}; put `flatten` before the dense layers",
        )
    for output in program.outputs:
        one = _OutputFit(job=job, output=output, amounts=amounts)
        yield from one.problems(of_a_row=len(program.output_shape) == 1)
    yield from _groups(job, program)
    yield from _batches(job, amounts)
    yield from _gathers(job, amounts)
    yield from _watched(job, amounts)


def weight_misfits(
    given: Mapping[str, NDArray[Any]], program: ProgramSpec, precision: Precision
) -> Iterator[Problem]:
    """Yield each given weight that the program has no place for, and each that it misses, by its name."""
    wanted = program.weight_shapes
    for name, array in given.items():
        if name not in wanted:
            yield Problem(path=name, message="the model has no such weight")
        elif array.shape != wanted[name]:
            yield Problem(
                path=name,
                message=f"has the shape {by(array.shape)}, and the model's is {by(wanted[name])}",
                hint="a kernel is (inputs, units), a bias (units)",
            )
        elif not np.isfinite(array).all():
            yield Problem(path=name, message="holds NaN or infinite numbers")
        elif (np.abs(array) > np.finfo(precision).max).any():
            yield Problem(path=name, message=f"holds a number too large for {precision}")
    for name, shape in wanted.items():
        if name not in given:
            yield Problem(path=name, message="is missing", hint=f"its shape is {by(shape)}")


@dataclass(frozen=True, kw_only=True)
class _OutputFit:
    """One output with its loss and its targets."""

    job: Job
    output: ModelOutput
    amounts: Amounts

    @property
    def loss(self) -> Loss:
        """Return the loss of the output."""
        return self.job.losses[self.output.name]

    @property
    def path(self) -> str:
        """Return where the job file has the loss."""
        return loss_path(self.job, self.output.name)

    def problems(self, *, of_a_row: bool) -> Iterator[Problem]:
        """Yield what does not fit; `of_a_row` is whether the output is a row of numbers."""
        if of_a_row:
            yield from self._width()
            yield from self._class_weights()
            yield from self._broadcasting()
        yield from self._of_batches()

    def _width(self) -> Iterator[Problem]:
        output, targets = self.output, self.amounts.targets[self.output.name]
        if targets.classes is not None:
            wanted, spare = targets.classes, not targets.class_names
            names = _few(targets.class_names) or f"0 to {wanted - 1}"
            why = f"{self.loss.type} needs one a class: the targets have {wanted} ({names})"
        elif targets.columns is not None:
            wanted, spare = targets.columns, False
            there = f"there {'is' if wanted == 1 else 'are'} {wanted}"
            why = f"{self.loss.type} needs one a target column: {there}"
        else:
            return
        if output.width != wanted and not (spare and output.width > wanted):
            layer = "the model's last layer" if output.columns is None else f"the layer {output.name}"
            yield Problem(
                path=output.setting or output.path,
                value=str(output.width),
                message=f"{layer} gives {_count(output.width, 'output')}, and {why}",
                hint=f"{output.setting.rpartition('.')[2]}: {wanted}"
                if output.setting
                else f"end with {{type: dense, units: {wanted}}}",
            )

    def _class_weights(self) -> Iterator[Problem]:
        weights = class_weights_of(self.loss)
        if self.loss.task != "multiclass" or weights is None:
            return
        given, outputs = len(weights), self.output.width
        if given != outputs:
            yield Problem(
                path=f"{self.path}.class_weights",
                message=f"has {_count(given, 'weight')}, and the model gives {_count(outputs, 'output')}",
                hint="one weight a class",
            )

    def _broadcasting(self) -> Iterator[Problem]:
        """Ask for one output and one target a sample, and for not too many samples to pair."""
        amounts, columns = self.amounts, self.amounts.targets[self.output.name].columns
        if not is_broadcast(self.loss) or columns is None:
            return
        outputs = self.output.width
        largest = max(self.job.training.batch_size or amounts.train, amounts.validation)
        if max(outputs, columns) > 1:
            message = (
                "is a mistake that can only be made with one output and one target column, and here "
                f"{'is' if outputs == 1 else 'are'} {_count(outputs, 'output')} and "
                f"{_count(columns, 'column')}"
            )
            hint = "targets: aligned"
        elif is_weighted(self.job.data):
            message = (
                "sets each output against every target, so that no sample has a loss of its own to weigh"
            )
            hint = "leave data.sample_weights out, or targets: aligned"
        elif largest > MAX_BROADCAST:
            message = (
                f"sets each of {largest:,} samples against each other, and at most {MAX_BROADCAST:,} fit"
            )
            hint = "a smaller training.batch_size, and fewer validation samples"
        else:
            return
        yield Problem(path=f"{self.path}.targets", value='"broadcast"', message=message, hint=hint)

    def _of_batches(self) -> Iterator[Problem]:
        """Refuse weights of samples in a loss that knows only the batch."""
        if is_by_batch(self.loss) and is_weighted(self.job.data):
            yield Problem(
                path=f"{self.path}.per",
                value='"batch"',
                message="takes one ratio over the whole batch, so that no sample has a loss of its own "
                "to weigh",
                hint="leave data.sample_weights out, or per: sample",
            )


def loss_path(job: Job, output: str) -> str:
    """Return where a job file has the loss of an output."""
    return "loss" if job.model.outputs is None else f"loss.{output}"


def _groups(job: Job, program: ProgramSpec) -> Iterator[Problem]:
    """Refuse a word for weights that the model has none of: it would leave the decay as it is, in silence."""
    for field in ("exclude_from_weight_decay", "include_in_weight_decay"):
        for word in unknown_words(program, getattr(job.optimizer, field) or ()):
            ends = sorted({weight.own_name.rpartition(".")[2] for weight in program.weights})
            yield Problem(
                path=f"optimizer.{field}",
                value=f'"{word}"',
                message="names no layer, no kind of layer and no weight of the model",
                hint=f"its weights end in {', '.join(ends)}" if ends else "the model has no weights",
            )


def _batches(job: Job, amounts: Amounts) -> Iterator[Problem]:
    """Refuse a set smaller than a batch where the partial batch, and so every update, is left out."""
    if BatchPlan.of(job.training, amounts.train).steps == 0:
        held = " (the rest is held out)" if amounts.validation or amounts.test else ""
        samples = _count(amounts.train, "training sample")
        yield Problem(
            path="training.batch_size",
            value=str(job.training.batch_size),
            message=f"is larger than the {samples}{held}, and drop_last is true",
            hint=f"at most {amounts.train}, or null for the whole set",
        )


def _gathers(job: Job, amounts: Amounts) -> Iterator[Problem]:
    """Refuse groups of batches of which none is ever complete, so that nothing would be trained."""
    training = job.training
    plan, wanted = BatchPlan.of(training, amounts.train), training.gradient_accumulation_steps
    enough = {"carry": plan.steps, "update": wanted}.get(
        training.accumulation_remainder, plan.steps_per_epoch
    )
    if plan.steps and enough < wanted:
        yield Problem(
            path="training.gradient_accumulation_steps",
            value=str(wanted),
            message=f"batches make an update, and there are {enough} to gather: none would ever be made",
            hint=f"at most {enough}, or a smaller training.batch_size",
        )


def _watched(job: Job, amounts: Amounts) -> Iterator[Problem]:
    schedule = job.optimizer.schedule
    watchers = {
        "optimizer.schedule": schedule if isinstance(schedule, ReduceOnPlateauSchedule) else None,
        "training.early_stopping": job.training.early_stopping,
    }
    for path, watcher in watchers.items():
        if watcher is not None and watcher.monitor == "validation_loss" and not amounts.validation:
            yield Problem(
                path=f"{path}.monitor",
                value='"validation_loss"',
                message="there are no validation samples to watch",
                hint="add data.split.validation, such as 0.1, or use monitor: loss",
            )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
