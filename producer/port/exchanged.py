"""What goes between a program that is hosted and whoever asks it: batches, recorded calls, trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class RecordedCall:
    """One call of a forward pass, with what entered and what left."""

    def __init__(self, told: Mapping[str, Any], entered: NDArray[Any] | None, left: NDArray[Any]) -> None:
        self.path: str | None = told["path"]
        self.kind: str = told["kind"]
        self.line: str | None = told["line"]
        self.zeros: list[list[int]] | None = told["zeros"]
        self.in_place: bool = told["in_place"]
        self.sites: list[DrawSite] = []
        self.entered = entered
        self.left = left


@dataclass(frozen=True)
class DrawSite:
    """A place where a program draws random numbers (see `worker.port.randomness`)."""

    key: str
    function: str
    shape: tuple[int, ...]
    rate: float | None
    path: str | None
    line: str | None
    call: int
    entered: NDArray[Any] | None = field(default=None, compare=False)
    """What enters a dropout."""

    @property
    def family(self) -> str:
        """Return what kind of numbers it draws: `dropout`, `uniform`, `normal` or `unpaired`."""
        return self.key.partition(":")[0]


@dataclass(frozen=True)
class FreeTraining:
    """What a training came to: each named loss step by step, the weights, the first step's gradients."""

    losses: dict[str, list[float]]
    weights: Arrays
    applied: list[Arrays]
    """The gradients that reached the optimizers in the first step, one entry an update."""
    passes: list[Arrays]
    """What each backward pass of the first step adds to the gradients, by weight, where that was asked."""
    rates: list[float]
    """The learning rate of each update of an optimizer, in order."""
    train_s: float
    """How long its steps took, in seconds."""


@dataclass(frozen=True)
class StepGradients:
    """Gradients by weight that replace those of a training's first step (see `worker.port.contract`)."""

    passes: Sequence[Arrays] = ()
    applied: Sequence[Arrays] = ()


@dataclass(frozen=True)
class RowOrder:
    """Which rows of the batch each step of a training takes, and the seed of its masks."""

    order: NDArray[np.int64] | None
    """The rows of each step, (steps, rows); None for all of them in each."""
    seed: int


@dataclass(frozen=True)
class TimedPlan:
    """Which batches a program is timed on."""

    loader: bool
    """Whether they come from the program's own data("train")."""
    size: int | None
    """How many rows an update takes of arrays; None for all."""
    order: NDArray[np.int64] | None
    """The rows of each update of the batch, (updates, rows); None for all of them in each."""


@dataclass(frozen=True)
class FedBatch:
    """Inputs by name, with the samples first, and the targets of the loss."""

    inputs: Arrays
    targets: NDArray[Any] | None
    target: str = "y"
    """The targets' name in the batch, for a step of the user's own."""
    note: str | None = None
    """This is what was assumed, where the user gave no batch."""
    more: Arrays = field(default_factory=dict)
    """Arrays that no model takes, but a step of the user's own."""

    def for_models(self, arguments: Sequence[str] | None) -> FedBatch:
        """Return the batch of a step whose model takes these inputs; its other arrays are the step's."""
        if arguments is None or len(arguments) >= len(self.inputs):
            return self
        named = all(name in self.inputs for name in arguments)
        taken = arguments if named else list(self.inputs)[: len(arguments)]
        rest = {name: array for name, array in self.inputs.items() if name not in taken}
        return replace(self, inputs={name: self.inputs[name] for name in taken}, more={**self.more, **rest})


@dataclass(frozen=True)
class LoadedSamples:
    """The first samples of a loader: arrays by name, the sizes of the batches, and whether it ended."""

    arrays: Arrays
    sizes: tuple[int, ...]
    ended: bool
    targets: tuple[str, ...] = ()
    """These arrays are its targets, where it has several."""


class RecordedPass(list[RecordedCall]):
    """The calls of a forward pass in order, and where it drew random numbers."""

    def __init__(self, calls: Sequence[RecordedCall], sites: Sequence[DrawSite]) -> None:
        super().__init__(calls)
        self.sites = tuple(sites)
        for site in sites:
            if site.call < len(calls):
                calls[site.call].sites.append(site)


def relative_difference(reference: NDArray[Any], other: NDArray[Any], *, least: float = 0.0) -> float:
    """Return the largest difference by the largest absolute value of the reference, or by `least` if that
    is more.

    It is infinite for other shapes. Equal infinities are equal, as in masks that are added to scores, and the
    rest is compared without them; what is no number equals nothing.
    """
    if reference.shape != other.shape:
        return float("inf")
    if reference.size == 0:
        return 0.0
    largest = max(float(np.max(np.abs(reference))), least)
    if not np.isfinite(largest):
        there = np.isfinite(reference)
        if not np.array_equal(reference[~there], other[~there]):
            return float("inf")
        return relative_difference(reference[there], other[there], least=least)
    apart = float(np.max(np.abs(reference - other)))
    if np.isnan(apart):
        return float("inf")
    return apart / largest if largest else apart
