"""The whole job file (Experiment) and what one side makes of it (Job)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.data import Data
from likewise.shared.job.fields import ByName, Many, Positive, RowsToPredict
from likewise.shared.job.loss import Loss
from likewise.shared.job.metrics import Metric, fitting_metrics
from likewise.shared.job.model import Model
from likewise.shared.job.optimizer import Optimizer
from likewise.shared.job.several import ONLY_OUTPUT, AnyLoss, Losses
from likewise.shared.job.side import Device, Framework, Label, Side, SideSettings
from likewise.shared.job.training import RunLimits, Training
from likewise.shared.job.weights import InitialWeights, SharedWeights
from likewise.shared.names import environment_name

SCHEMA_VERSION: Literal[1] = 1
MAX_SEEDS = 10_000

Precision = Literal["float32", "float64"]
Execution = Literal["auto", "eager", "compiled", "stock"]
MAX_SIDES = 100
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Job(Frozen):
    """One training, fully resolved for one side: nothing is left to a framework's default."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(default="job", pattern=r"^[\w.-]+$", max_length=100)
    """A word for lists and reports."""
    data: Data
    """Where the samples come from."""
    model: Model
    """The layers that the samples pass."""
    loss: AnyLoss
    """The loss that training minimises, or a mapping with one for each output of the model."""
    optimizer: Optimizer
    """How the weights follow the gradient."""
    training: Training
    """How long and in which batches."""
    initial_weights: InitialWeights = SharedWeights(type="shared")
    """The weights that training starts from."""
    precision: Precision = "float32"
    """The precision of the data, the weights and every operation."""
    execution: Execution = "auto"
    """Step by step, or compiled; `auto` is what suits the framework, and the result says what ran. `stock`
    trains the plain program that `likewise code` prints, by its own loop."""
    device: Device = "auto"
    """`auto` takes a GPU where every side can have one; `cpu`, `cuda` or `mps` (Apple's) one of that kind,
    `cuda:1` the GPU of that number."""
    limits: RunLimits = RunLimits()
    """What a training may take at the most."""
    metrics: ByName[Many[Metric]] | None = None
    """Words (`mae`, `rmse`, `r2`, `accuracy`, `f1`, `auc`) or the types below, or a mapping with those of
    some outputs; null takes those that fit the loss."""
    predict: RowsToPredict | None = None
    """Rows whose outputs are wanted after training: lists of numbers (a flat list is one column), or for a
    table the values by column, as the file has them."""

    @model_validator(mode="after")
    def _each_output_has_a_loss(self) -> Self:
        outputs = self.model.outputs
        names = ", ".join(outputs or ())
        if not isinstance(self.loss, Losses) and self.loss.weight != 1.0:
            raise ValueError(
                "loss.weight is for one of several losses; an only one is scaled by the learning rate"
            )
        if outputs is None and isinstance(self.loss, Losses):
            raise ValueError(
                "loss is a mapping by output, and the model has one output; let model.outputs name those of "
                f"{', '.join(self.loss.root)}"
            )
        if outputs is not None and not isinstance(self.loss, Losses):
            raise ValueError(f"loss is for one output, and the model has {names}; give a mapping by output")
        if isinstance(self.loss, Losses) and self.loss.root.keys() != set(outputs or ()):
            raise ValueError(f"loss has {', '.join(self.loss.root)}, and the model's outputs are {names}")
        if isinstance(self.metrics, Mapping):
            unknown = [name for name in self.metrics if name not in (outputs or ())]
            if unknown:
                known = f"its outputs are {names}" if outputs else "it has one, without a name; give a list"
                raise ValueError(f"metrics names {unknown[0]}, which is no output of the model: {known}")
        elif self.metrics is not None and outputs is not None:
            raise ValueError(f"metrics is a list, and the model has {names}; give a mapping by output")
        return self

    @property
    def losses(self) -> dict[str, Loss]:
        """Return the loss of each output by name, in the model's order; an only one is `ONLY_OUTPUT`'s."""
        if not isinstance(self.loss, Losses):
            return {ONLY_OUTPUT: self.loss}
        return {name: self.loss.root[name] for name in self.model.outputs or ()}

    @property
    def only_loss(self) -> Loss:
        """Return the loss of a job of one output. Raises TypeError for one of several."""
        if isinstance(self.loss, Losses):
            raise TypeError("a job of several outputs has a loss for each")
        return self.loss

    @property
    def metrics_by_output(self) -> dict[str, tuple[Metric, ...]]:
        """Return the metrics of each output by name; those that fit its loss where none are named."""
        named = self.metrics if isinstance(self.metrics, Mapping) else {ONLY_OUTPUT: self.metrics}
        found = {name: named.get(name) for name in self.losses}
        return {
            name: fitting_metrics(self.losses[name]) if metrics is None else metrics
            for name, metrics in found.items()
        }

    @property
    def predicted_rows(self) -> tuple[Any, ...]:
        """Return the rows of `predict`, each as it is given; one by input is a mapping of rows."""
        given = self.predict
        if not isinstance(given, Mapping):
            return given or ()
        return tuple(dict(zip(given, rows, strict=True)) for rows in zip(*given.values(), strict=True))


class Experiment(Job):
    """What the user declared: a job, the sides that train it, the seeds and the overrides."""

    frameworks: Many[Framework] = Field(default=("tensorflow", "torch"), min_length=1, max_length=MAX_SIDES)
    """The frameworks that train it, each as a side of that name: short for `sides`. The first side is the
    one that the others are compared with."""
    sides: Annotated[dict[Label, SideSettings], Field(min_length=1, max_length=MAX_SIDES)] | None = None
    """The sides that train it, by label, instead of `frameworks`; they may be of one framework."""
    seeds: (
        Annotated[int, Field(ge=1, le=MAX_SEEDS)]
        | Annotated[Many[Seed], Field(min_length=1, max_length=MAX_SEEDS)]
    ) = 1
    """A count n stands for the seeds 0 … n − 1."""
    defaults: Literal["shared", "native"] = "shared"
    """What stands for settings that are left out: `shared`, the ones of this page, in every framework;
    `native`, each framework's own defaults and conventions, as a naive port would have them."""
    margin: Positive | None = None
    """How far the sides' means over seeds may lie apart and count as the same results, relative to the
    mean of the first side, such as 0.01. Null asks whether they compute the same, and derives a margin
    from the spread over seeds where that cannot be answered seed by seed."""
    overrides: dict[Label, dict[str, Any]] = Field(default_factory=dict)
    """What replaces the job's values: dotted paths with their values, by side, or by framework for all its
    sides that have no entry of their own."""
    grid: dict[str, Annotated[Many[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """What `likewise sweep` varies: dotted paths, each with the values it takes; every combination is
    trained. `overrides.torch.…` varies a setting of one side alone. `--grid` adds to it."""

    @model_validator(mode="after")
    def _sides_fit(self) -> Experiment:
        if self.sides is not None and "frameworks" in self.model_fields_set:
            raise ValueError("sides is given beside frameworks, which is short for it; keep one of them")
        framework, times = Counter(self.frameworks).most_common(1)[0]
        if times > 1:
            raise ValueError(
                f"frameworks names {framework} {'twice' if times == 2 else f'{times} times'}; "
                "sides of one framework have labels of their own, in sides"
            )
        for label, side in (self.sides or {}).items():
            if side.obstacle is not None:
                raise ValueError(f"sides.{label}.{side.obstacle[0]} {side.obstacle[1]}")
        names = {*self.labels, *self.frameworks_needed}
        for name in self.overrides:
            if name not in names:
                listed = ", ".join(self.labels)
                raise ValueError(
                    f"overrides.{name} is for a framework that is not in frameworks ({listed})"
                    if self.sides is None
                    else f"overrides.{name} is neither one of the sides ({listed}) nor the framework of one"
                )
        seed, times = Counter(self.seed_list).most_common(1)[0]
        if times > 1:
            raise ValueError(f"seeds names {seed} twice")
        return self

    @property
    def seed_list(self) -> tuple[int, ...]:
        """Return the seeds to train with, in order."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def side_list(self) -> tuple[Side, ...]:
        """Return the sides in order; the first is the one that the others are compared with."""
        if self.sides is None:
            return tuple(Side(label=name, framework=name) for name in self.frameworks)
        return tuple(Side(label=label, **dict(side)) for label, side in self.sides.items())

    @property
    def labels(self) -> tuple[Label, ...]:
        """Return the labels of the sides, in order."""
        return tuple(side.label for side in self.side_list)

    @property
    def frameworks_needed(self) -> tuple[Framework, ...]:
        """Return each framework that some side is of, once."""
        return tuple(dict.fromkeys(side.framework for side in self.side_list))

    @property
    def environments_needed(self) -> tuple[str, ...]:
        """Return each environment that some side asks for, once, as `environment_name` writes it.

        A side that asks for a device has it at the end: `torch==2.13.0@cuda`.
        """
        found = []
        for side in self.side_list:
            device = self.changes_of(side).get("device", self.device)
            name = environment_name(side.framework, side.version, side.requirements)
            found.append(name if device == "auto" else f"{name}@{device}")
        return tuple(dict.fromkeys(found))

    def overridden_by(self, side: Side) -> tuple[str, ...]:
        """Return the keys of `overrides` that reach a side: its label, else its framework."""
        own = side.label in self.overrides or side.overrides is not None
        return (side.label if own else side.framework,)

    def changes_of(self, side: Side) -> dict[str, Any]:
        """Return what a side has instead of the job's settings, by path: its own and its overrides."""
        reaching = (self.overrides.get(name, {}) for name in self.overridden_by(side))
        overrides = {path: value for one in reaching for path, value in one.items()}
        return {**side.settings, **(side.overrides or {}), **overrides}

    def with_sides(self, labels: Iterable[Label], **changes: Any) -> Experiment:
        """Return the experiment of these sides alone, with other changes."""
        wanted = set(labels)
        kept = [side for side in self.side_list if side.label in wanted]
        if self.sides is None:
            changes["frameworks"] = tuple(side.label for side in kept)
        else:
            changes["sides"] = {side.label: self.sides[side.label] for side in kept}
        names = {name for side in kept for name in (side.label, side.framework)}
        overrides = {name: one for name, one in self.overrides.items() if name in names}
        return self.model_copy(update={"overrides": overrides, **changes})

    def in_precision(self, precision: Precision, **changes: Any) -> Experiment:
        """Return the experiment with every side in this precision, and with other changes."""

        def without(paths: dict[str, Any]) -> dict[str, Any]:
            return {path: value for path, value in paths.items() if path != "precision"}

        if self.sides is not None:
            changes["sides"] = {
                label: side.model_copy(
                    update={
                        "precision": None,
                        "overrides": None if side.overrides is None else without(side.overrides),
                    }
                )
                for label, side in self.sides.items()
            }
        overrides = {name: without(one) for name, one in self.overrides.items()}
        return self.model_copy(update={"precision": precision, "overrides": overrides, **changes})
