"""What is known of a setting that differs: how much it weighs and what it does to a training.

The general facts of the field, each with its formula; nothing is measured here. What needs no arithmetic
stands in the table `known/causes.toml`. A setting is looked up by the most telling key that has a row: its
kind and field (`batch_norm.epsilon`), any layer's field (`layer.epsilon`), its path, and then the paths above
it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from likewise.producer.display import both, number, setting
from likewise.producer.job.resolve import SettingDifference
from likewise.producer.verdict.layer_lists import LAYERS, in_words, remarks
from likewise.producer.verdict.starts import PLACE, UNKNOWN, how_they_start
from likewise.producer.wording.gathering import gathered_as_many, what_parts
from likewise.shared.job import Job
from likewise.shared.job.loss import is_by_batch, is_by_row
from likewise.shared.job.shape import Shape, ShapeError
from likewise.shared.program import DrawAddresses, ProgramSpec, compile_job

_WEIGHT = (
    "data", "model", "loss.type", "loss.targets", "loss.from_logits", "loss.reduction", "loss",
    "optimizer.type", "optimizer.learning_rate", "optimizer.schedule", "optimizer", "training",
    "initial_weights", "model.*_initializer", "model.*.bias_initializer",
    "model.*.momentum", "model.*.moving_variance", "model.*.epsilon",
    "optimizer.epsilon", "optimizer.epsilon_placement", "optimizer.clip_epsilon",
    "loss.ignore_index", "precision", "training.epoch_loss", "training.report_penalty",
    "predict", "metrics", "limits",
    "execution", "device",
)  # fmt: skip
"""Settings from what changes a training most to what changes it least; the longest that fits counts.

What is learnt comes first, then how it is learnt, then where it starts, then constants that keep a divisor
from 0, then what leaves the training as it is.
"""
_KINDS = ("optimizer", "loss")
"""Sections whose fields go by the type's own name, too."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """It says what each side trains, as far as that decides what a setting does and how it is mended."""

    jobs: Mapping[str, Job]
    frameworks: Mapping[str, str]
    """The framework of each side."""
    programs: dict[str, ProgramSpec] = field(default_factory=dict)
    """What each job compiles to; a side whose data are not known has none."""
    samples: int | None = None
    """How many samples the first side trains on; None where that is not known."""

    @classmethod
    def of(
        cls,
        jobs: Mapping[str, Job],
        frameworks: Mapping[str, str],
        shapes: Mapping[str, Shape],
        draws: Mapping[str, DrawAddresses] | None = None,
    ) -> Setup:
        """Return it for training data of these shapes, (samples, *sample), by side.

        `draws` says where the sides draw that do not draw by their own layers' places.
        """
        programs = {}
        for side, shape in shapes.items():
            with suppress(ShapeError):  # its runs failed on that, which the reasons say
                programs[side] = compile_job(jobs[side], shape[1:], (draws or {}).get(side))
        samples = next((shape[0] for shape in shapes.values()), None)
        return cls(jobs=jobs, frameworks=frameworks, programs=programs, samples=samples)

    def outputs(self, side: str) -> int | None:
        """Return how many outputs a sample has; None where that is not known, or they have several axes."""
        program = self.programs.get(side)
        return program.output_shape[0] if program is not None and len(program.output_shape) == 1 else None


def weight_of(difference: SettingDifference) -> tuple[int, str]:
    """Return a sort key: what changes a training most comes first."""
    path = of_any_output(difference.path)
    fitting = [known for known in _WEIGHT if _is_under(path, known)]
    return (_WEIGHT.index(max(fitting, key=len)) if fitting else len(_WEIGHT), difference.path)


def of_any_output(path: str) -> str:
    """Return the path of a loss's setting without its output: `loss.price.type` as `loss.type`."""
    parts = path.split(".")
    return ".".join(["loss", *parts[2:]]) if parts[0] == "loss" and len(parts) > 2 else path


def _is_under(path: str, known: str) -> bool:
    return fnmatchcase(path, known) or fnmatchcase(path, f"{known}.*")


def conventions(differences: Iterable[SettingDifference]) -> list[list[SettingDifference]]:
    """Return the differences in groups: one field that differs alike in several layers is one convention."""
    groups: dict[str, list[SettingDifference]] = {}
    for difference in differences:
        groups.setdefault(convention(difference), []).append(difference)
    return list(groups.values())


def convention(difference: SettingDifference) -> str:
    """Return a key that is equal for the same field that differs in the same way in another layer."""
    parts = difference.path.split(".")
    in_layer = parts[:2] == ["model", "layers"] and len(parts) > 3
    return f"{parts[3:]} {difference.values}" if in_layer else difference.path


def together(group: Sequence[SettingDifference]) -> SettingDifference:
    """Return one difference for a group of `conventions`: `model.layers.0,2.epsilon`."""
    parts = [difference.path.split(".") for difference in group]
    if len(group) == 1:
        return group[0]
    path = ".".join(["model.layers", ",".join(part[2] for part in parts), *parts[0][3:]])
    return SettingDifference(path=path, values=group[0].values)


def statement(difference: SettingDifference) -> str:
    """Return such as `loss.reduction is mean in tensorflow and sum in torch`."""
    path, values = _where_they_part(difference.path, difference.values)
    by_value: dict[str, list[str]] = {}
    for side, text in in_words(path, values).items():
        by_value.setdefault(text, []).append(side)
    parts = [f"{value} in {' and '.join(names)}" for value, names in by_value.items()]
    if len(parts) == 1:
        return f"{path} is not the same in {both(list(values))}"
    return f"{path} is {', '.join(parts[:-1])} and {parts[-1]}"


def _where_they_part(path: str, values: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a path and its values; of long lists that look alike, those of the first item that differs."""
    every = list(values.values())
    shown = [setting(value) for value in every]
    lists = all(isinstance(value, list | tuple) for value in every)
    told_apart = all(
        (one == two) == (said == as_well)
        for one, said in zip(every, shown, strict=True)
        for two, as_well in zip(every, shown, strict=True)
    )
    if not lists or told_apart:
        return path, values
    for place, items in enumerate(zip(*every, strict=False)):
        if any(item != items[0] for item in items):
            return _where_they_part(f"{path}.{place}", dict(zip(values, items, strict=True)))
    return path, values


def effect(difference: SettingDifference, setup: Setup) -> str | None:
    """Return what the difference does, as the rest of a sentence; None where nothing general is known."""
    if _is_of_mean_and_sum(difference):
        return _reduction_effect(setup)
    if difference.path == "optimizer.learning_rate":
        return _learning_rate_effect(difference)
    if difference.path in _GATHERED and (said := _gathering_effect(difference, setup)):
        return said
    if difference.path == "optimizer.clip" and (said := _clipping_effect(difference)):
        return said
    known = _known(difference, setup)
    if known and difference.path == LAYERS:
        known = "; ".join([known, *remarks(difference.values, setup.programs)])
    return f"{known}." if known else None


def consequence(difference: SettingDifference, setup: Setup) -> str | None:
    """Return the effect as a clause without an end, as short as it can be said."""
    if _is_of_mean_and_sum(difference):
        return _reduction_in_short(setup)
    said = effect(difference, setup)
    return said.removesuffix(".") if said else None


def _known(difference: SettingDifference, setup: Setup) -> str | None:
    """Return the table's row, by the first of the sides that has the setting."""
    for side in difference.values:
        if side in setup.jobs:
            with suppress(IndexError):  # a layer that this side does not have
                said = cause(difference.path, setup.jobs[side], setup.programs.get(side))
                return said and said.replace(PLACE, _how_they_start(difference, setup))
    return None


def _how_they_start(difference: SettingDifference, setup: Setup) -> str:
    """Return how the weights start in the sides that an initializer parts."""
    path = difference.path
    end = path.find("_initializer")
    jobs = {side: setup.jobs[side] for side in difference.values if side in setup.jobs}
    if end < 0 or not path.startswith("model.layers."):
        return UNKNOWN
    whole = path[: end + len("_initializer")]
    return how_they_start(whole, jobs, setup.programs, setup.frameworks)


def _is_of_mean_and_sum(difference: SettingDifference) -> bool:
    return difference.path == "loss.reduction" and set(difference.values.values()) == {"mean", "sum"}


def _reduction_effect(setup: Setup) -> str:
    side = _summing(setup)
    optimizer = setup.jobs[side].optimizer
    elements = _loss_elements(setup, side)
    size = "larger than a mean by the number of a batch's loss elements"
    if elements:
        size = f"{number(elements)} times as large as a mean"
    with_samples = _with_samples(setup, side)
    if optimizer.type != "sgd":
        return (
            f"{with_samples}a sum makes gradients {size}; {optimizer.type} "
            "divides most of that out again, so that only epsilon, clipping and weight decay see it. The "
            "losses themselves are on different scales."
        )
    sentence = f"{with_samples}a sum makes every step {size}"
    if not elements:
        return f"{sentence}, as if the learning rate were higher by that factor."
    if optimizer.schedule is not None:
        return f"{sentence}, as if every learning rate were {number(elements)} times as high."
    return f"{sentence}, as if the learning rate were {number(optimizer.learning_rate * elements)}."


def _reduction_in_short(setup: Setup) -> str:
    """Return such as `with 6 points a sum is a learning rate 6 times higher`."""
    side = _summing(setup)
    job = setup.jobs[side]
    elements = _loss_elements(setup, side)
    if not elements:
        return "a sum is a learning rate that is multiplied by the number of a batch's loss elements"
    points = f"batches of {elements:,}" if job.training.batch_size else f"{elements:,} points"
    if job.optimizer.type == "sgd":
        return f"with {points} a sum is a learning rate {number(elements)} times higher"
    return (
        f"with {points} a sum makes gradients {number(elements)} times as large, most of which "
        f"{job.optimizer.type} divides out again"
    )


def _summing(setup: Setup) -> str:
    """Return the first side that sums its loss."""
    return next(side for side, job in setup.jobs.items() if job.loss.reduction == "sum")


def _with_samples(setup: Setup, side: str) -> str:
    job, outputs = setup.jobs[side], setup.outputs(side)
    samples = job.training.batch_size or setup.samples
    if not samples:
        return ""
    each = " a batch" if job.training.batch_size else ""
    several = not is_by_row(job.only_loss) and outputs and outputs > 1
    return f"with {samples:,} samples{each}{f' of {outputs} outputs' if several else ''} "


def _loss_elements(setup: Setup, side: str) -> int | None:
    """Return how many elements a full batch's loss adds up: samples × outputs (one a sample for classes)."""
    job = setup.jobs[side]
    samples = job.training.batch_size or setup.samples
    outputs = 1 if is_by_row(job.only_loss) else setup.outputs(side)
    if is_by_batch(job.only_loss):
        return 1
    return samples * outputs if samples and outputs else None


def _learning_rate_effect(difference: SettingDifference) -> str | None:
    rates = [value for value in difference.values.values() if isinstance(value, int | float) and value > 0]
    if len(rates) < 2:
        return None
    return f"the larger one makes every step {number(max(rates) / min(rates))} times as large."


_GATHERED = ("training.batch_size", "training.gradient_accumulation_steps")


def _gathering_effect(difference: SettingDifference, setup: Setup) -> str | None:
    """Return what parts updates that are made of as many samples; None where they are not."""
    jobs = [setup.jobs[side] for side in difference.values if side in setup.jobs]
    if len(jobs) != 2 or setup.samples is None:
        return None
    size = gathered_as_many(jobs[0], jobs[1], setup.samples)
    steps = {job.training.gradient_accumulation_steps for job in jobs}
    parting = [said for job in jobs if (said := what_parts(job, setup.samples))]
    if size is None or len(steps) == 1:
        return None
    if difference.path == _GATHERED[0] or not parting:
        return f"with the batches that are gathered an update is of {size:,} samples in both."
    return f"it is not one batch of {size:,} taken in parts: {'; '.join(dict.fromkeys(parting))}."


def _clipping_effect(difference: SettingDifference) -> str | None:
    """Return what each side's kind of clipping does, where both clip and by other kinds."""
    kinds = {
        side: next(iter(value)) for side, value in difference.values.items() if isinstance(value, Mapping)
    }
    if len(kinds) < len(difference.values) or len(set(kinds.values())) == 1:
        return None
    said = [f"in {side} {_table('causes.toml')[f'optimizer.{kind}']}" for side, kind in kinds.items()]
    return f"{'; '.join(said)}."


def cause(path: str, job: Job, program: ProgramSpec | None) -> str | None:
    """Return what a difference in this setting does to a training, as the rest of a sentence."""
    table = _table("causes.toml")
    return next((table[key] for key in keys(path, job, program) if key in table), None)


def keys(path: str, job: Job, program: ProgramSpec | None) -> Iterator[str]:
    """Yield the keys a setting may stand under, the most telling first.

    Raises IndexError for a stage that the program does not have.
    """
    parts = path.split(".")
    if _is_of_a_stage(parts):
        kind, field_of = _stage(parts, program)
        for end in range(len(field_of), 0, -1):
            if kind is not None:
                yield f"{kind}.{'.'.join(field_of[:end])}"
            yield f"layer.{'.'.join(field_of[:end])}"
        yield "model"
        return
    if parts[0] == "loss" and job.model.outputs is not None and len(parts) > 2:
        loss = job.losses.get(parts[1])
        parts = ["loss", *parts[2:]]
        if loss is not None:
            yield f"{loss.type}.{'.'.join(parts[1:])}"
    elif parts[0] in _KINDS and len(parts) > 1:
        yield f"{getattr(job, parts[0]).type}.{'.'.join(parts[1:])}"
    if parts[:2] == ["optimizer", "schedule"] and len(parts) > 2 and job.optimizer.schedule is not None:
        yield f"{job.optimizer.schedule.type}.{'.'.join(parts[2:])}"
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end])


def _is_of_a_stage(parts: Sequence[str]) -> bool:
    return parts[:2] == ["model", "layers"] and len(parts) > 3


def _stage(parts: list[str], program: ProgramSpec | None) -> tuple[str | None, list[str]]:
    """Return a stage's kind and the field's path in it; of several stages (`0,2`) the first's."""
    field_of = parts[3:]
    if program is None:
        return None, field_of
    stage = program.stages[int(parts[2].split(",")[0])]
    if field_of[0] == "layer" and stage.cells:
        return stage.cells[0].kind, field_of[1:] or ["type"]
    return stage.kind, field_of


@cache
def _table(name: str) -> Mapping[str, Any]:
    file = files("likewise.producer.verdict").joinpath("known", *name.split("/"))
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
