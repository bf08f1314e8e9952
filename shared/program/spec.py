"""A ProgramSpec: the inputs, stages, weights, masks, outputs and cost of what a side trains.

It says nothing of how it was declared, so that whatever comes after it serves a program that was imported as
well. Shapes are of one sample, without the batch. Names and layouts of weights are Keras's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job.layers.base import Cell
from likewise.shared.job.regularizers import ActivityRegularizer, Constraint, Regularizer
from likewise.shared.job.shape import Shape
from likewise.shared.job.weights import Initializer

Target = Literal["columns", "classes"]
"""What the loss compares the outputs with: `columns` is (n, outputs) in the run's precision, `classes` int64
(n,), the number of each sample's class."""


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One weight: `stage`, counted over those with draws of their own, and `item` say where it is drawn.

    They are those of another program where this one is to draw as that does.
    """

    name: str
    """`<stage path>.<own name>`, such as `layers.0.kernel`."""
    own_name: str
    stage: int
    item: int
    shape: Shape
    initializer: Initializer
    fan_in: int
    fan_out: int
    trainable: bool
    """Whether gradients change it. What is not trained is the program's state: moving averages, and the
    weights of frozen layers."""
    moving: bool
    """Whether it is a statistic that the layer moves by itself, and that no initializer draws."""
    ones: tuple[int, int] | None
    """Where the part of a vector begins and ends that starts at 1, whatever the initializer."""
    regularizer: Regularizer | None = None
    """What the loss adds for it; nothing for one that is not trained."""
    constraint: Constraint | None = None
    """What it is kept to after each update; nothing for one that is not trained."""
    zero_gradient: bool = False
    """Whether an update takes its gradient for the zero that it is but for rounding, as a replay may ask."""

    @property
    def size(self) -> int:
        """Return how many numbers it has."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A stage that training gives a mask for its input, whose shape this is."""

    index: int
    """The stage's place among those with draws of their own, here or in the program it is to draw as; it
    addresses the draws."""
    path: str
    rate: float
    shape: Shape
    seed: int | None = None
    """The stage's own; None is the run's."""

    def seed_in(self, run_seed: int) -> int:
        """Return the seed of its masks."""
        return run_seed if self.seed is None else self.seed


@dataclass(frozen=True)
class Padding:
    """A step is padding where all its numbers at a place are `value`; said by several, where all say so."""

    place: int
    """Where the numbers are: 0 is the program's input, i + 1 the output of stage i. They are (steps,), or
    (steps, features)."""
    value: float


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step from inputs to an output that can be looked at by its path."""

    path: str
    kind: str
    summary: str
    sources: tuple[int, ...]
    """Where the inputs come from: 0 is the program's input, i + 1 the output of stage i."""
    inputs: tuple[Shape, ...]
    padding: tuple[Padding, ...] = ()
    """What says which steps of an input the stage leaves out; empty where all of them count."""
    output: Shape
    weights: tuple[Weight, ...]
    mask: Mask | None
    cells: tuple[Cell, ...]
    """The recurrent cells, one for each direction."""
    columns: tuple[int, int] | None = None
    """Where the numbers of a named input begin and end in a sample's row; None for any other stage."""
    activity: ActivityRegularizer | None = None
    """What the loss adds for its output."""
    convolves: bool
    multiply_adds: int
    """One sample's products with the stage's kernels, on its way forward."""
    layer: Any
    """What was declared, one of `shared.job.layers`, for the adapter's table of layers alone; the kind says
    which one."""

    @property
    def products(self) -> list[tuple[int, int]]:
        """Return one sample's multiply-adds in each product with a kernel, and how often that is done.

        A recurrent stage does it in each of its steps.
        """
        kernels = [weight.size for weight in self.weights if len(weight.shape) > 1]
        steps = max((cell.steps for cell in self.cells), default=1)
        return [(kernel * self.multiply_adds // (sum(kernels) * steps), steps) for kernel in kernels]

    @property
    def reads(self) -> tuple[int, ...]:
        """Return where all that it reads comes from: its inputs, then what says which steps are padding."""
        return (*self.sources, *(padding.place for padding in self.padding))

    @property
    def taken(self) -> slice:
        """Return which columns of a sample's row it takes: those of a named input, or all."""
        return slice(None) if self.columns is None else slice(*self.columns)


@dataclass(frozen=True, kw_only=True)
class ModelOutput:
    """One output, with a loss of its own: part of what the program gives for a sample, and of its targets."""

    name: str
    target: Target
    columns: tuple[int, int] | None
    """Where its numbers begin and end among those that the program gives; None for an only output: all."""
    targets: tuple[int, int] | None
    """Where its targets begin and end in a row of targets, classes in one column; None for an only output."""
    width: int
    """How many numbers it has."""
    path: str
    """The setting of the layer that gives it, such as `model.layers.2`."""
    setting: str | None
    """The path of the setting that says how many numbers it has, where there is one."""
    last_activation: str
    """What its numbers passed last, such as `softmax`."""

    def of(self, outputs: Any) -> Any:
        """Return its numbers (…, width) of those that the program gives (…, outputs), of any framework's."""
        return outputs if self.columns is None else outputs[..., slice(*self.columns)]

    def wanted(self, y: Any) -> Any:
        """Return its targets of rows y (…, targets), of any framework's: (…, columns), or classes (…)."""
        if self.targets is None:
            return y
        return y[..., self.targets[0]] if self.target == "classes" else y[..., slice(*self.targets)]


@dataclass(frozen=True, kw_only=True)
class IndexLimit:
    """A stage takes the data's own numbers for whole numbers from 0 to below `limit`."""

    path: str
    """The setting that says so, in the job file."""
    kind: str
    limit: int
    columns: tuple[int, int] | None = None
    """Where these numbers begin and end in a sample's row; None for all of a sample."""


@dataclass(frozen=True)
class Rescale:
    """How a sample's numbers become those that the first stage takes: (x − mean) / scale.

    Samples come in the dtype that they are stored in. They are cast to the run's precision first, and both
    operations are done in it, so that every framework gets the same bits. Each field has one number for all,
    or one a channel (the last axis, of named inputs all columns of a row); None leaves its operation out.
    """

    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None

    def apply(self, x: NDArray[Any], precision: str) -> NDArray[np.floating[Any]]:
        """Return samples (n, *features) in the precision and rescaled; `x` itself where nothing changes."""
        received: NDArray[np.floating[Any]] = x.astype(precision, copy=False)
        if self.mean is not None:
            received = received - np.array(self.mean, precision)
        if self.scale is not None:
            received = received / np.array(self.scale, precision)
        return received


@dataclass(frozen=True)
class ProgramSpec:
    """What a side trains.

    Several inputs lie side by side in one row a sample, and a stage for each takes its columns out. Several
    outputs lie side by side in what the last stage gives.
    """

    input_shape: Shape
    stages: tuple[Stage, ...]
    outputs: tuple[ModelOutput, ...]
    index_limits: tuple[IndexLimit, ...]
    rescale: Rescale = Rescale()
    """What is done to each batch before the first stage."""

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """Return every weight, in order."""
        return tuple(weight for stage in self.stages for weight in stage.weights)

    def with_zero_gradients(self, names: Collection[str]) -> ProgramSpec:
        """Return the program in which updates take the gradients of these weights for zero."""
        stages = (
            replace(
                stage,
                weights=tuple(
                    replace(weight, zero_gradient=weight.zero_gradient or weight.name in names)
                    for weight in stage.weights
                ),
            )
            for stage in self.stages
        )
        return replace(self, stages=tuple(stages)) if names else self

    @cached_property
    def trainable(self) -> tuple[str, ...]:
        """Return the names of the weights that the optimizer sees."""
        return tuple(weight.name for weight in self.weights if weight.trainable)

    @cached_property
    def state(self) -> tuple[str, ...]:
        """Return the names of the weights that no gradient changes: statistics and frozen ones."""
        return tuple(weight.name for weight in self.weights if not weight.trainable)

    @cached_property
    def weight_shapes(self) -> dict[str, Shape]:
        """Return the shape of each weight, by name."""
        return {weight.name: weight.shape for weight in self.weights}

    @cached_property
    def masks(self) -> tuple[Mask, ...]:
        """Return the stages that are given masks."""
        return tuple(stage.mask for stage in self.stages if stage.mask is not None)

    @property
    def output_shape(self) -> Shape:
        """Return the shape of one sample's output."""
        return self.stages[-1].output

    @property
    def target_shape(self) -> Shape:
        """Return the shape of one sample's targets: a row, or a single class number."""
        if len(self.outputs) > 1:
            return (sum(end - begin for begin, end in filter(None, (one.targets for one in self.outputs))),)
        return () if self.outputs[0].target == "classes" else self.output_shape

    @property
    def parameters(self) -> int:
        """Return how many numbers training changes by gradients."""
        return sum(weight.size for weight in self.weights if weight.trainable)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Return all recurrent cells."""
        return tuple(cell for stage in self.stages for cell in stage.cells)

    @property
    def multiply_adds(self) -> int:
        """Return one sample's products with all kernels, on its way forward."""
        return sum(stage.multiply_adds for stage in self.stages)

    @property
    def multiply_adds_at_once(self) -> float:
        """Return the size of a product, as `Stage.products` has it: the mean over all multiply-adds.

        So it is that of the products in which most of the work is, however many small ones stand beside them.
        """
        products = [product for stage in self.stages for product in stage.products]
        work = sum(size * times for size, times in products)
        return sum(size * size * times for size, times in products) / work if work else 0.0

    @property
    def convolved(self) -> int:
        """Return how many numbers one sample's convolutions give."""
        return sum(prod(stage.output) for stage in self.stages if stage.convolves)

    @property
    def activations(self) -> int:
        """Return how many numbers one sample becomes on its way: its input, and what every stage gives."""
        return prod(self.input_shape) + sum(prod(stage.output) for stage in self.stages)
