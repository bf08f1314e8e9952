"""The everyday layers: dense, activation, dropout, and changes of shape."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from likewise.shared.job.activations import LINEAR, Activation
from likewise.shared.job.fields import Count, DataSeed, Fraction, Handle, Many
from likewise.shared.job.layers.base import (
    BaseLayer,
    HoldsBias,
    HoldsKernel,
    LayerWeight,
    kernel_and_bias,
    with_activation,
)
from likewise.shared.job.regularizers import ActivityRegularizer
from likewise.shared.job.shape import Shape, ShapeError, need_features
from likewise.shared.job.weights import FanScaled, Initializer, Zeros


class Dense(HoldsBias, HoldsKernel):
    """activation(x·kernel + bias): kernel (inputs, units), bias (units,). Its fans are inputs and units."""

    units_field: ClassVar[str | None] = "units"
    keeps_steps: ClassVar[bool] = True

    type: Literal["dense"]
    units: Count
    activation: Activation = LINEAR
    use_bias: bool = True
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    bias_initializer: Initializer = Zeros(type="zeros")

    @property
    def summary(self) -> str:
        return with_activation(f"dense {self.units}", self.activation.type)

    @property
    def last_activation(self) -> str | None:
        return self.activation.type

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_features(shape)
        return (*shape[:-1], self.units)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        (shape,) = inputs
        initializers = (self.kernel_initializer, self.bias_initializer)
        return kernel_and_bias(
            (shape[-1], self.units), self.units, initializers=initializers, use_bias=self.use_bias
        )


class Input(BaseLayer):
    """One of several inputs: the numbers that `data.x` has under its name, in their shape.

    Where `data.x` is one array, the inputs take a sample's numbers one after another, in the layers' order.
    """

    keeps_numbers: ClassVar[bool] = True

    type: Literal["input"]
    name: Handle
    """The name that other layers, and the data, call it by."""
    shape: Many[Count] = Field(min_length=1, max_length=6)
    """The shape of one sample of it, without the batch: [20] for 20 numbers."""

    @property
    def has_own_draws(self) -> bool:
        return False

    @property
    def summary(self) -> str:
        return f"input {self.name}"

    @field_validator("inputs")
    @classmethod
    def _takes_the_data(cls, inputs: tuple[str, ...] | None) -> None:
        if inputs is not None:
            raise ValueError("an input takes the data, and no layer's output; leave inputs out")

    @field_validator("activity_regularizer")
    @classmethod
    def _is_no_output(cls, regularizer: ActivityRegularizer | None) -> None:
        if regularizer is not None:
            raise ValueError("an input's numbers are the data, of which a penalty would teach nothing")

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.shape


class Flatten(BaseLayer):
    """All axes but the batch's become one, the last fastest."""

    keeps_numbers: ClassVar[bool] = True

    type: Literal["flatten"]
    order: Literal["channels_last", "channels_first"] = "channels_last"
    """Whether the channels, the last axis, go fastest, or first of all axes and so slowest: PyTorch's order
    behind a convolution, in which a dense layer meets its rows in other places."""

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (prod(shape),)


class Dropout(BaseLayer):
    """Each element is kept in training with probability 1 − rate and scaled by 1/(1 − rate).

    The masks come from NumPy, by (seed, layer, step), so every framework drops the same elements.
    """

    works_on_elements: ClassVar[bool] = True
    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    type: Literal["dropout"]
    rate: Fraction
    seed: DataSeed | None = None
    """The masks' own seed; null is the run's."""

    @property
    def summary(self) -> str:
        return f"dropout {self.rate:g}"

    @property
    def drop_rate(self) -> float:
        return self.rate

    @property
    def drop_seed(self) -> int | None:
        return self.seed

    @property
    def has_own_draws(self) -> bool:
        return self.rate > 0


class ActivationLayer(BaseLayer):
    """An activation function by itself."""

    works_on_elements: ClassVar[bool] = True
    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    type: Literal["activation"]
    activation: Activation

    @property
    def has_own_draws(self) -> bool:
        return False

    @property
    def summary(self) -> str:
        return self.activation.type

    @property
    def last_activation(self) -> str | None:
        return self.activation.type


class Reshape(BaseLayer):
    """The sample's numbers in another shape, last axis fastest."""

    keeps_numbers: ClassVar[bool] = True

    type: Literal["reshape"]
    target_shape: Many[Annotated[int, Field(ge=-1)]] = Field(min_length=1, max_length=6)
    """One size may be -1: what is left."""

    @field_validator("target_shape")
    @classmethod
    def _is_a_shape(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if 0 in sizes:
            raise ValueError("a size of 0 leaves no numbers; sizes are 1 or more, or -1 for what is left")
        if sizes.count(-1) > 1:
            raise ValueError("only one size may be -1")
        return sizes

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        known, whole = prod(size for size in self.target_shape if size != -1), prod(shape)
        if whole != known and (-1 not in self.target_shape or whole % known):
            raise ShapeError(
                f"gets {whole} numbers a sample, of shape {shape}, which do not fill {self.target_shape}"
            )
        return tuple(whole // known if size == -1 else size for size in self.target_shape)


class RepeatVector(BaseLayer):
    """The same numbers `n` times over, each time as one step: (features,) becomes (n, features).

    It stands between the two halves of a sequence-to-sequence model, whose second half reads at each step
    what the first ended with.
    """

    type: Literal["repeat_vector"]
    n: Count
    """How many steps there are."""

    @property
    def has_own_draws(self) -> bool:
        return False

    @property
    def summary(self) -> str:
        return f"repeat_vector {self.n}"

    @property
    def last_activation(self) -> str | None:
        return None

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) != 1:
            raise ShapeError(f"gets samples of shape {shape}, and repeats one row of numbers; flatten them")
        return (self.n, *shape)


class Permute(BaseLayer):
    """The sample's axes in another order, such as (height, width, channels) as (channels, height, width)."""

    keeps_numbers: ClassVar[bool] = True

    type: Literal["permute"]
    dims: Many[Count] = Field(min_length=1, max_length=6)
    """Which axis of the input stands at each place of the output, counted from 1: [3, 1, 2]. PyTorch's
    permute counts from 0, and the batch's axis too."""

    @field_validator("dims")
    @classmethod
    def _names_each_axis_once(cls, dims: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(dims) != list(range(1, len(dims) + 1)):
            raise ValueError(f"{list(dims)} does not name each axis from 1 to {len(dims)} once")
        return dims

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) != len(self.dims):
            raise ShapeError(f"gets samples of shape {shape}, but dims puts {len(self.dims)} axes in order")
        return tuple(shape[axis - 1] for axis in self.dims)
