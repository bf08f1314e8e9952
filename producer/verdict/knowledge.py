"""What is known of a setting that differs: how much it weighs and what it does to a training.

The general facts of the field, each with its formula; nothing is measured here. What needs no arithmetic
stands in the tables of the folder `known`: `causes.toml`, and how a framework's code is mended,
`fixes/<framework>.toml`. A setting is looked up by the most telling key that has a row: its kind and field
(`batch_norm.epsilon`), any layer's field (`layer.epsilon`), its path, and then the paths above it. A
framework without a file has no fixes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from producer.display import number, setting
from producer.job.resolve import SettingDifference
from shared.job import Job
from shared.job.loss import is_by_row

_WEIGHT = (
    "data", "model", "loss.type", "loss.targets", "loss.from_logits", "loss.reduction", "loss",
    "optimizer.type", "optimizer.learning_rate", "optimizer.schedule", "optimizer", "training",
    "initial_weights", "model.*_initializer", "model.*.bias_initializer",
    "model.*.momentum", "model.*.moving_variance", "model.*.epsilon",
    "optimizer.epsilon", "optimizer.epsilon_placement", "optimizer.clip_epsilon",
    "loss.ignore_index", "precision", "training.epoch_loss", "predict", "metrics", "execution", "device",
)  # fmt: skip
"""Settings from what changes a training most to what changes it least; the longest that fits counts.

What is learnt comes first, then how it is learnt, then where it starts, then constants that keep a divisor
from 0, then what leaves the training as it is.
"""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What the sizes of sums depend on; None where it is not known."""

    samples: int | None
    """How many samples are trained on."""
    outputs: int | None
    """How many loss elements a sample has."""


def weight_of(difference: SettingDifference) -> tuple[int, str]:
    """A sort key: what changes a training most comes first."""
    fitting = [known for known in _WEIGHT if _is_under(difference.path, known)]
    return (_WEIGHT.index(max(fitting, key=len)) if fitting else len(_WEIGHT), difference.path)


def _is_under(path: str, known: str) -> bool:
    return fnmatchcase(path, known) or fnmatchcase(path, f"{known}.*")


def conventions(differences: Iterable[SettingDifference]) -> list[list[SettingDifference]]:
    """The differences in groups: one field that differs alike in several layers is one convention."""
    groups: dict[str, list[SettingDifference]] = {}
    for difference in differences:
        groups.setdefault(convention(difference), []).append(difference)
    return list(groups.values())


def convention(difference: SettingDifference) -> str:
    """A key that is equal for the same field that differs in the same way in another layer."""
    parts = difference.path.split(".")
    in_layer = parts[:2] == ["model", "layers"] and len(parts) > 3
    return f"{parts[3:]} {difference.values}" if in_layer else difference.path


def together(group: Sequence[SettingDifference]) -> SettingDifference:
    """One difference for a group of `conventions`: `model.layers.0,2.epsilon`."""
    parts = [difference.path.split(".") for difference in group]
    if len(group) == 1:
        return group[0]
    path = ".".join(["model.layers", ",".join(part[2] for part in parts), *parts[0][3:]])
    return SettingDifference(path=path, values=group[0].values)


def statement(difference: SettingDifference) -> str:
    """`loss.reduction is mean in tensorflow and sum in torch`."""
    by_value: dict[str, list[str]] = {}
    for side, value in difference.values.items():
        by_value.setdefault(setting(value), []).append(side)
    told = [f"{value} in {' and '.join(names)}" for value, names in by_value.items()]
    return f"{difference.path} is {', '.join(told[:-1])} and {told[-1]}"


def effect(difference: SettingDifference, *, jobs: Mapping[str, Job], scale: Scale) -> str | None:
    """What the difference does, as the rest of a sentence; None where nothing general is known."""
    if difference.path == "loss.reduction" and set(difference.values.values()) == {"mean", "sum"}:
        return _reduction_effect(jobs, scale)
    if difference.path == "optimizer.learning_rate":
        return _learning_rate_effect(difference)
    known = _known(difference, jobs)
    return f"{known}." if known else None


def consequence(difference: SettingDifference, *, jobs: Mapping[str, Job], scale: Scale) -> str | None:
    """The effect as a clause without an end, as short as it can be said."""
    if difference.path == "loss.reduction" and set(difference.values.values()) == {"mean", "sum"}:
        return _reduction_in_short(jobs, scale)
    told = effect(difference, jobs=jobs, scale=scale)
    return told.removesuffix(".") if told else None


def fixes(
    difference: SettingDifference, *, jobs: Mapping[str, Job], frameworks: Mapping[str, str]
) -> dict[str, str]:
    """Return by side how its code is made to do as the other's; for two sides only.

    `frameworks` names the framework of each side.
    """
    if len(difference.values) != 2:
        return {}
    names = list(difference.values)
    wanted = {name: difference.values[other] for name, other in zip(names, reversed(names), strict=True)}
    found = {
        name: fix(difference.path, value, jobs[name], frameworks[name]) for name, value in wanted.items()
    }
    return {name: text for name, text in found.items() if text is not None}


def _known(difference: SettingDifference, jobs: Mapping[str, Job]) -> str | None:
    """The table's row, by the first of the jobs that has the setting."""
    for side in difference.values:
        if side in jobs:
            with suppress(IndexError):  # a layer that this job does not have
                return cause(difference.path, jobs[side])
    return None


def _reduction_effect(jobs: Mapping[str, Job], scale: Scale) -> str:
    summing = next(job for job in jobs.values() if job.loss.reduction == "sum")
    elements = _loss_elements(summing, scale)
    size = f"{number(elements)} times" if elements else "as many times, as a batch has loss elements,"
    with_samples = _with_samples(summing, scale)
    if summing.optimizer.type != "sgd":
        return (
            f"{with_samples}a sum makes gradients {size} as large as a mean; {summing.optimizer.type} "
            "divides most of that out again, so that only epsilon, clipping and weight decay see it. The "
            "losses themselves are on different scales."
        )
    told = f"{with_samples}a sum makes every step {size} as large as a mean"
    if not elements:
        return f"{told}, as if the learning rate were higher by that factor."
    if summing.optimizer.schedule is not None:
        return f"{told}, as if every learning rate were {number(elements)} times as high."
    return f"{told}, as if the learning rate were {number(summing.optimizer.learning_rate * elements)}."


def _reduction_in_short(jobs: Mapping[str, Job], scale: Scale) -> str:
    """`with 6 points a sum is a learning rate 6 times higher`."""
    summing = next(job for job in jobs.values() if job.loss.reduction == "sum")
    elements = _loss_elements(summing, scale)
    if not elements:
        return "a sum is a learning rate as many times higher as a batch has loss elements"
    points = f"batches of {elements:,}" if summing.training.batch_size else f"{elements:,} points"
    if summing.optimizer.type == "sgd":
        return f"with {points} a sum is a learning rate {number(elements)} times higher"
    return (
        f"with {points} a sum makes gradients {number(elements)} times as large, most of which "
        f"{summing.optimizer.type} divides out again"
    )


def _with_samples(job: Job, scale: Scale) -> str:
    samples = job.training.batch_size or scale.samples
    if not samples:
        return ""
    each = " a batch" if job.training.batch_size else ""
    several = not is_by_row(job.loss) and scale.outputs and scale.outputs > 1
    outputs = f" of {scale.outputs} outputs" if several else ""
    return f"with {samples:,} samples{each}{outputs} "


def _loss_elements(job: Job, scale: Scale) -> int | None:
    """Elements the loss of one full batch adds up: samples × outputs (one a sample for classes)."""
    samples = job.training.batch_size or scale.samples
    outputs = 1 if is_by_row(job.loss) else scale.outputs
    return samples * outputs if samples and outputs else None


def _learning_rate_effect(difference: SettingDifference) -> str | None:
    rates = [value for value in difference.values.values() if isinstance(value, int | float) and value > 0]
    if len(rates) < 2:
        return None
    return f"the larger one makes every step {number(max(rates) / min(rates))} times as large."


_KINDS = ("optimizer", "loss")
"""Sections whose fields go by the type's own name, too."""


def cause(path: str, job: Job) -> str | None:
    """What a difference in this setting does to a training, as the rest of a sentence."""
    table = _table("causes.toml")
    return next((table[key] for key in keys(path, job) if key in table), None)


def fix(path: str, value: Any, job: Job, framework: str) -> str | None:
    """How the framework's code is made to have this value; None where that is not known.

    `job` is the framework's own: it says which loss, optimizer and layer there are.
    """
    table = _table(f"fixes/{framework}.toml")
    known = table.get("fixes", {})
    found = next((known[key] for key in keys(path, job) if key in known), None)
    if isinstance(value, Mapping):
        value = value.get("type")
    if isinstance(found, Mapping):
        found = found.get(str(value).lower())
    if found is None:
        return None
    if path.endswith(".type") and path.startswith("optimizer"):
        return _filled(found, value, {"optimizer": table["names"]["optimizer"].get(value)})
    return _filled(found, value, _names(table["names"], path, job))


def keys(path: str, job: Job) -> Iterator[str]:
    """The keys a setting may stand under, the most telling first."""
    parts = path.split(".")
    if parts[:2] == ["model", "layers"] and len(parts) > 3:
        kind, field = _layer(parts, job)
        for end in range(len(field), 0, -1):
            yield f"{kind}.{'.'.join(field[:end])}"
            yield f"layer.{'.'.join(field[:end])}"
        yield "model"
        return
    if parts[0] in _KINDS and len(parts) > 1:
        yield f"{getattr(job, parts[0]).type}.{'.'.join(parts[1:])}"
    if parts[:2] == ["optimizer", "schedule"] and len(parts) > 2 and job.optimizer.schedule is not None:
        yield f"{job.optimizer.schedule.type}.{'.'.join(parts[2:])}"
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end])


def _layer(parts: list[str], job: Job) -> tuple[str, list[str]]:
    """A layer's type and the field's path in it; of several layers (`0,2`) the first's."""
    layer: Any = job.model.layers[int(parts[2].split(",")[0])]
    field = parts[3:]
    if field[0] == "layer" and hasattr(layer, "layer"):
        return str(layer.layer.type), field[1:] or ["type"]
    return str(layer.type), field


def _names(names: Mapping[str, Mapping[str, str]], path: str, job: Job) -> dict[str, str | None]:
    """What the framework calls the job's loss, optimizer and the path's layer."""
    parts = path.split(".")
    kinds: dict[str, str] = {"loss": job.loss.type, "optimizer": job.optimizer.type}
    if parts[:2] == ["model", "layers"] and len(parts) > 3:
        kinds["layer"] = _layer(parts, job)[0]
    return {name: names.get(name, {}).get(kind) for name, kind in kinds.items()}


def _filled(text: str, value: Any, names: Mapping[str, str | None]) -> str | None:
    """The text with the value and the names in it; None where it needs a name that there is not."""
    fields: dict[str, Any] = {"value": value, **{name: known for name, known in names.items() if known}}
    if isinstance(value, int | float) and not isinstance(value, bool):
        fields["complement"] = f"{1 - value:.12g}"
    try:
        return text.format_map(fields)
    except KeyError:
        return None


@cache
def _table(name: str) -> Mapping[str, Any]:
    file = files("producer.verdict").joinpath("known", *name.split("/"))
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
