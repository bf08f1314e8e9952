"""A side's job in some wording, and how what its training returned is read in that wording. Pure.

A `Form` begins as the job that was declared. A rule changes the job into another wording of the same
computation, and notes in the `Translation` what that does to outputs, reported losses and weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Job
from likewise.shared.job.several import Losses
from likewise.shared.job.shape import Shape, ShapeError
from likewise.shared.program import ProgramSpec, compile_job
from likewise.shared.results.seed_table import Float64, Load
from likewise.shared.run import Dataset, Samples

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
EQUAL = 1e-12
"""Numbers of a job that differ by no more, relatively, are the same but for how a quotient was rounded."""
Scale = Literal["as they are", "softmax", "sigmoid", "centred"]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Renamed:
    """Weights have other names: each layer's old name is given with its new one."""

    layers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, layers: Mapping[str, str]) -> Renamed:
        """Return it from the new names of layers, by the old ones."""
        return cls(tuple(layers.items()))

    def apply(self, weights: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the weights by their new names."""
        return {self._name(name): array for name, array in weights.items()}

    def _name(self, name: str) -> str:
        for old, new in self.layers:
            if name.startswith(f"{old}."):
                return new + name[len(old) :]
        return name


@dataclass(frozen=True)
class BiasInMean:
    """A bias in front of a batch normalization is left out: the moving mean is of inputs without it."""

    bias: str
    mean: str

    def apply(self, weights: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the weights without the bias."""
        if self.bias not in weights or self.mean not in weights:
            return dict(weights)
        without = {name: array for name, array in weights.items() if name != self.bias}
        without[self.mean] = weights[self.mean] - weights[self.bias]
        return without


@dataclass(frozen=True)
class Centred:
    """A vector's mean is taken off it, which a softmax does not see."""

    name: str

    def apply(self, weights: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the weights with that vector centred."""
        if self.name not in weights:
            return dict(weights)
        vector = weights[self.name]
        return {**weights, self.name: vector - vector.mean(axis=-1, keepdims=True)}


@dataclass(frozen=True)
class InShape:
    """The same numbers of a weight are in another shape, in their order."""

    name: str
    shape: Shape

    def apply(self, weights: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the weights with that one in the shape."""
        if self.name not in weights:
            return dict(weights)
        seeds = len(weights[self.name])
        return {**weights, self.name: weights[self.name].reshape(seeds, *self.shape)}


@dataclass(frozen=True)
class LeftOut:
    """A weight is not there: it stays what it starts at, which the other wording has as a setting."""

    name: str

    def apply(self, weights: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the weights without that one."""
        return {name: array for name, array in weights.items() if name != self.name}


@dataclass(frozen=True)
class Called:
    """Weights have other names altogether: each old name is given with its new one."""

    names: tuple[tuple[str, str], ...]

    def apply(self, weights: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the weights by their new names."""
        new = dict(self.names)
        return {new.get(name, name): array for name, array in weights.items()}


WeightChange = Renamed | BiasInMean | Centred | InShape | LeftOut | Called


@dataclass(frozen=True, kw_only=True)
class Translation:
    """It says how what a training returned is read in another wording."""

    scale: Scale = "as they are"
    """What becomes of outputs and predictions, over their last axis."""
    scales: tuple[tuple[tuple[int, int], Scale], ...] = ()
    """What becomes of the numbers of some of several outputs: where they begin and end, and their scale."""
    loss_shift: float = 0.0
    loss_factor: float = 1.0
    """A reported loss is read as (loss + loss_shift)·loss_factor."""
    changes: tuple[WeightChange, ...] = ()
    """What becomes of the weights, in order."""

    def outputs(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return outputs or predictions (…, outputs) on the scale."""
        if self.scale != "as they are":
            return _on_scale(array, self.scale)
        if not self.scales:
            return array
        read = array.astype(np.float64)
        for (begin, end), scale in self.scales:
            read[..., begin:end] = _on_scale(array[..., begin:end], scale)
        return read

    def losses(self, curves: Float64) -> Float64:
        """Return reported losses (seeds, epochs)."""
        if self.loss_shift == 0 and self.loss_factor == 1:
            return curves
        return (curves + self.loss_shift) * self.loss_factor

    def weights(self, weights: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return weights (seeds, *shape) by name."""
        read = dict(weights)
        for change in self.changes:
            read = change.apply(read)
        return read


def _on_scale(array: NDArray[Any], scale: Scale) -> Float64:
    o = array.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        if scale == "sigmoid":
            e = np.exp(-np.abs(o))
            read: Float64 = np.where(o >= 0, 1.0, e) / (1.0 + e)
        elif scale == "softmax":
            e = np.exp(o - o.max(axis=-1, keepdims=True))
            read = e / e.sum(axis=-1, keepdims=True)
        else:
            read = o - o.mean(axis=-1, keepdims=True)
    return read


AS_IT_IS = Translation()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """It holds what is known of a side's samples."""

    dataset: Dataset | None = None
    arrays: Load | None = None

    @property
    def sample(self) -> Shape | None:
        """The shape of one sample; None where no data are known."""
        return None if self.dataset is None else tuple(self.dataset.train.x.shape[1:])

    @property
    def samples(self) -> int | None:
        """How many samples are trained on."""
        return None if self.dataset is None else self.dataset.train.x.shape[0]

    def part(self, name: Part) -> Samples | None:
        """Return one part of the data."""
        return None if self.dataset is None else getattr(self.dataset, name)

    def targets(self, name: Part) -> NDArray[Any] | None:
        """Return the targets of a part; None where there are none or they cannot be read."""
        part = self.part(name)
        return None if part is None or self.arrays is None else self.arrays(part.y)

    def weights(self, name: Part) -> NDArray[Any] | None:
        """Return the sample weights of a part, if it has any."""
        part = self.part(name)
        if part is None or part.weights is None or self.arrays is None:
            return None
        return self.arrays(part.weights)


@dataclass(frozen=True, kw_only=True)
class Form:
    """A job in some wording, with what is known of its data and how its results are read."""

    job: Job
    facts: Facts = field(default_factory=Facts)
    reading: Translation = AS_IT_IS
    other_draws: bool = False
    """Whether its weights are drawn the same only up to rounding, or some of them are not compared."""

    @property
    def program(self) -> ProgramSpec | None:
        """What the job trains; None where its shape is not known or does not fit."""
        if self.facts.sample is None:
            return None
        try:
            return compile_job(self.job, self.facts.sample)
        except ShapeError:
            return None

    @property
    def document(self) -> dict[str, Any]:
        """The job as plain values."""
        return self.job.model_dump(mode="json")

    def with_job(self, document: Mapping[str, Any]) -> Form:
        """Return the form with another job. Raises pydantic's ValidationError where that is none."""
        return replace(self, job=Job.model_validate(document))

    def with_section(self, section: str, **changes: Any) -> Form:
        """Return the form with some fields of a section of its job changed."""
        document = self.document
        return self.with_job(document | {section: document[section] | changes})

    def with_loss(self, name: str, **changes: Any) -> Form:
        """Return the form with some fields of an output's loss changed."""
        if not isinstance(self.job.loss, Losses):
            return self.with_section("loss", **changes)
        document = self.document
        loss = {**document["loss"], name: document["loss"][name] | changes}
        return self.with_job(document | {"loss": loss})

    def with_layer(self, index: int, **changes: Any) -> Form:
        """Return the form with some fields of a layer changed."""
        document = self.document
        layers = list(document["model"]["layers"])
        layers[index] = layers[index] | changes
        return self.with_layers(layers)

    def with_layers(self, layers: list[dict[str, Any]]) -> Form:
        """Return the form with other layers."""
        document = self.document
        return self.with_job(document | {"model": document["model"] | {"layers": layers}})

    def read(self, **changes: Any) -> Form:
        """Return the form with its reading changed."""
        return replace(self, reading=replace(self.reading, **changes))

    def weights_changed(self, change: WeightChange) -> Form:
        """Return the form with one more change of its weights."""
        return self.read(changes=(*self.reading.changes, change))
