"""What every kind of layer says of itself: its fields, and the rules that hold for them.

A kind of layer is one class. Its fields are what a job file declares; its methods say what follows from them
for inputs of given shapes: the output's shape, the weights, the cost. Whatever else asks about a layer asks
here, or the program that is compiled from the layers (`shared.program`). Shapes are of one sample, without
the batch, and the channels or features are the last axis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from pydantic import Field

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import HANDLE, Many
from likewise.shared.job.regularizers import ActivityRegularizer, Constraint, Regularizer
from likewise.shared.job.shape import Shape
from likewise.shared.job.weights import Initializer


@dataclass(frozen=True, kw_only=True)
class LayerWeight:
    """One weight of a layer. The fans scale its initializer; a bias has those of its layer's kernel."""

    name: str
    shape: Shape
    initializer: Initializer
    fan_in: int
    fan_out: int
    trainable: bool = True
    """Whether gradients change it; a moving average changes by itself."""
    ones: tuple[int, int] | None = None
    """Where the part of a vector begins and ends that starts at 1, whatever the initializer."""

    @property
    def word(self) -> str:
        """Return what the layer's fields on this weight begin with: `recurrent` of recurrent_initializer."""
        return self.name.rpartition(".")[2].removesuffix("_kernel")

    def renamed(self, name: str) -> LayerWeight:
        """Return the weight by another name."""
        return replace(self, name=name)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One direction of a recurrent layer: `kind` is its word in job files."""

    kind: str
    units: int
    steps: int
    gates: int
    """How many functions of input and state a step works out for each unit."""


class BaseLayer(Frozen):
    """A layer by itself."""

    takes_several: ClassVar[bool] = False
    """Whether the layer takes more than one input."""
    passes_gradient: ClassVar[bool] = True
    """Whether a gradient reaches what comes before the layer."""
    keeps_numbers: ClassVar[bool] = False
    """Whether the output holds the input's numbers as they are, at most in another shape."""
    works_on_elements: ClassVar[bool] = False
    """Whether the layer changes each element, or scales it, and leaves the shape as it is."""
    slides_windows: ClassVar[bool] = False
    """Whether the layer slides windows over its input's axes, as convolution and pooling do."""
    keeps_axes: ClassVar[bool] = False
    """Whether the output has the input's axes, each with its meaning."""
    convolves: ClassVar[bool] = False
    """Whether the layer is a convolution, whose cost decides whether seeds share a program."""
    keeps_steps: ClassVar[bool] = False
    """Whether steps of the output are padding where those of the input are; else all count from here on."""
    units_field: ClassVar[str | None] = None
    """The field that says how many features the output has, where it is one that a user would change."""

    @property
    def has_own_draws(self) -> bool:
        """Return whether the layer counts where draws are addressed.

        A function that can as well be written within the layer before it does not, so that both ways to write
        a model draw the same weights and masks.
        """
        return True

    name: str | None = Field(default=None, pattern=HANDLE)
    """A handle for overrides and reports; weights are named by it, or by `layers.<index>`."""
    inputs: Many[str] | None = None
    """Whose output the layer takes, by name; `input` is the model's input. Null is the layer before it."""
    activity_regularizer: ActivityRegularizer | None = None
    """What the loss adds for the layer's output: `l1`, or {type: l1, l1: 0.001}."""

    @property
    def trains(self) -> bool:
        """Return whether gradients change the layer's weights."""
        return True

    def regularizer(self, weight: LayerWeight) -> Regularizer | None:
        """Return what the loss adds for one of the layer's weights."""
        return None

    def constraint(self, weight: LayerWeight) -> Constraint | None:
        """Return what updates keep one of the layer's weights to."""
        return None

    @property
    def kind(self) -> str:
        """Return the layer's word in job files."""
        return str(self.__dict__["type"])

    @property
    def learns(self) -> bool:
        """Return whether the layer has weights."""
        return any(name.endswith("_initializer") for name in type(self).model_fields)

    @property
    def summary(self) -> str:
        """Return the layer in a word or three, for a line that names every layer."""
        return self.kind

    @property
    def last_activation(self) -> str | None:
        """Return the activation that the output has passed; None where the layer before decides it."""
        return None if self.keeps_numbers or self.works_on_elements else "linear"

    @property
    def drop_rate(self) -> float:
        """Return the part of the input's elements that training drops, by masks that are drawn for it."""
        return 0.0

    @property
    def drop_seed(self) -> int | None:
        """Return the seed of those masks, where the layer has one of its own."""
        return None

    @property
    def padding_value(self) -> float | None:
        """Return the number that says which steps of the input are padding, where the layer tells that."""
        return None

    @property
    def passes_padding(self) -> bool:
        """Return whether what says which steps are padding is true of the output, too."""
        return self.keeps_steps

    @property
    def minds_padding(self) -> bool:
        """Return whether the layer leaves out the steps of its input that are padding."""
        return False

    def padded_input(self, inputs: int) -> int:
        """Return of which of its inputs it leaves out the padding."""
        return 0

    @property
    def index_limit(self) -> tuple[str, int] | None:
        """Return the field that bounds the input's whole numbers, and its value, where it takes such."""
        return None

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the output's shape; raise ShapeError saying what the layer gets and would need."""
        if self.works_on_elements:
            return inputs[0]
        raise NotImplementedError

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        """Return the layer's weights in the order in which they are drawn."""
        return ()

    def uses(self, *inputs: Shape) -> int:
        """Return how often a sample meets each number of the layer's kernels on its way forward."""
        return prod(self.output_shape(*inputs)[:-1])

    def cells(self, *inputs: Shape) -> tuple[Cell, ...]:
        """Return the recurrent cells, one for each direction."""
        return ()

    def multiply_adds(self, *inputs: Shape) -> int:
        """Return one sample's products with the layer's kernels, on its way forward."""
        kernels = [weight.shape for weight in self.weights(*inputs) if len(weight.shape) > 1]
        return sum(map(prod, kernels)) * self.uses(*inputs) if kernels else 0


class LearningLayer(BaseLayer):
    """A layer with weights, which may be frozen."""

    trainable: bool = True
    """Whether training changes the weights: neither gradients nor decay touch those of a frozen layer."""

    @property
    def trains(self) -> bool:
        return self.trainable

    def regularizer(self, weight: LayerWeight) -> Regularizer | None:
        return getattr(self, f"{weight.word}_regularizer", None)

    def constraint(self, weight: LayerWeight) -> Constraint | None:
        return getattr(self, f"{weight.word}_constraint", None)


class HoldsKernel(LearningLayer):
    """A layer with a kernel that may be kept small."""

    kernel_regularizer: Regularizer | None = None
    """What the loss adds for the kernel: `l2`, or {type: l2, l2: 0.001}."""
    kernel_constraint: Constraint | None = None
    """What the kernel is kept to after each update: `max_norm`, or {type: max_norm, max_value: 3.0}."""


class HoldsBias(LearningLayer):
    """A layer with a bias that may be kept small."""

    bias_regularizer: Regularizer | None = None
    """What the loss adds for the bias."""
    bias_constraint: Constraint | None = None
    """What the bias is kept to after each update."""


def with_activation(summary: str, activation: str) -> str:
    """Return the summary of a layer followed by its activation, unless that is linear."""
    return summary if activation == "linear" else f"{summary} {activation}"


def kernel_and_bias(
    shape: Shape, outputs: int, *, initializers: tuple[Initializer, Initializer], use_bias: bool
) -> tuple[LayerWeight, ...]:
    """Return a kernel of this shape and its bias, of which `initializers` are.

    The fans are the kernel's last two axes, each times the size of its window.
    """
    fan_in, fan_out = (prod(shape[:-2]) * size for size in shape[-2:])
    kernel, bias = (
        LayerWeight(name=name, shape=size, initializer=initializer, fan_in=fan_in, fan_out=fan_out)
        for name, size, initializer in zip(("kernel", "bias"), (shape, (outputs,)), initializers, strict=True)
    )
    return (kernel, bias) if use_bias else (kernel,)
