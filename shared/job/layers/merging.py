"""Layers of several inputs: merged number by number, side by side, stacked or multiplied, and attention."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from likewise.shared.job.fields import Count, Many
from likewise.shared.job.layers.base import BaseLayer, HoldsBias, HoldsKernel, LayerWeight
from likewise.shared.job.shape import Shape, ShapeError, axis_of, listed, need_axes
from likewise.shared.job.weights import FanScaled, Initializer, Zeros


class _Merging(BaseLayer):
    takes_several: ClassVar[bool] = True
    keeps_axes: ClassVar[bool] = True

    inputs: Many[str] = Field(min_length=2)
    """The names of the layers whose outputs it takes; `input` is the model's input."""


class Merge(_Merging):
    """Outputs of one shape put together number by number, in the order given; an axis of size 1 is repeated.

    add  x + y + …      multiply  x·y·…      average  (x + y + …)/n      subtract  x − y, of two
    maximum, minimum    the largest or smallest; where two are equal the first has the gradient
    """

    keeps_steps: ClassVar[bool] = True

    type: Literal["add", "subtract", "multiply", "average", "maximum", "minimum"]

    @model_validator(mode="after")
    def _subtracts_one_from_one(self) -> Merge:
        if self.type == "subtract" and len(self.inputs) != 2:
            raise ValueError(f"subtract takes one output from another, and inputs names {len(self.inputs)}")
        return self

    def output_shape(self, *inputs: Shape) -> Shape:
        sizes = [set(axis) - {1} for axis in zip(*inputs, strict=False)]
        if len({len(shape) for shape in inputs}) > 1 or any(len(size) > 1 for size in sizes):
            raise ShapeError(f"needs outputs of one shape, and gets {listed(*inputs)}")
        return tuple(max(axis) for axis in zip(*inputs, strict=True))


class Concatenate(_Merging):
    """The outputs side by side on one axis, in the order given; their other axes are the same."""

    type: Literal["concatenate"]
    axis: int = -1
    """Which axis, counted as in Keras: 1 is a sample's first, −1 its last, where the channels are. PyTorch's
    images have the channels first, so that its dim=1 is this −1."""

    @property
    def passes_padding(self) -> bool:
        return self.axis == -1

    def output_shape(self, *inputs: Shape) -> Shape:
        place = axis_of(self.axis, inputs[0])
        others = {(*shape[:place], *shape[place + 1 :]) for shape in inputs}
        if len(others) > 1 or len({len(shape) for shape in inputs}) > 1:
            raise ShapeError(f"needs inputs alike but for axis {self.axis}, and gets {listed(*inputs)}")
        whole = sum(shape[place] for shape in inputs)
        return (*inputs[0][:place], whole, *inputs[0][place + 1 :])


class Stack(_Merging):
    """Outputs of one shape side by side on an axis of their own, in the order given."""

    keeps_axes: ClassVar[bool] = False

    type: Literal["stack"]
    axis: int = -1
    """Where the new axis stands in the output: 1 is a sample's first, −1 its last; axis 0 is the batch."""

    def output_shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) > 1:
            raise ShapeError(f"stacks outputs of one shape, and gets {listed(*inputs)}")
        place = axis_of(self.axis, (*inputs[0], 1))
        return (*inputs[0][:place], len(inputs), *inputs[0][place:])


class Dot(_Merging):
    """The sum of products over one axis of each of two outputs; the first's other axes, then the second's.

    Two vectors give one number a sample, (1,). With `normalize` each is divided by its length over its axis
    first, which is at least 1e-7, so that the sum is a cosine.
    """

    keeps_axes: ClassVar[bool] = False

    type: Literal["dot"]
    inputs: Many[str] = Field(min_length=2, max_length=2)
    """The names of the two layers whose outputs it takes; `input` is the model's input."""
    axes: int | Annotated[Many[int], Field(min_length=2, max_length=2)]
    """The axis of both, or of each: 1 is a sample's first, −1 its last; axis 0 is the batch."""
    normalize: bool = False
    """Whether both are scaled to length 1 along the axis."""

    def places(self, *inputs: Shape) -> tuple[int, int]:
        """Return which axis of each sample is summed over, counted from 0."""
        one, two = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return axis_of(one, inputs[0]), axis_of(two, inputs[1])

    def equation(self, *inputs: Shape) -> str:
        """Return the sums over batches as an einsum writes them, such as `zac,zbc->zab`."""
        letters = iter("abcdefghijklmnopqrstuvwxy")
        named = [
            ["" if axis == place else next(letters) for axis in range(len(shape))]
            for shape, place in zip(inputs, self.places(*inputs), strict=True)
        ]
        common = next(letters)
        terms = ["z" + "".join(name or common for name in names) for names in named]
        return f"{','.join(terms)}->z{''.join(name for names in named for name in names)}"

    def output_shape(self, *inputs: Shape) -> Shape:
        places = self.places(*inputs)
        if inputs[0][places[0]] != inputs[1][places[1]]:
            raise ShapeError(f"needs axes of one size to sum over, and gets {listed(*inputs)}")
        rest = (
            size
            for shape, place in zip(inputs, places, strict=True)
            for size in (*shape[:place], *shape[place + 1 :])
        )
        return tuple(rest) or (1,)


class MultiHeadAttention(HoldsBias, HoldsKernel):
    """Vaswani et al. 2017. For each head, with · over features and softmax over the steps of key:

        q = query·query.kernel + query.bias;  k and v from key and value alike
        output = Σ over heads softmax((q·1/√key_dim)·kᵀ)·v·attention_output.kernel + attention_output.bias

    1/√key_dim is taken in double precision and rounded to the run's. The kernels of query and key are
    (features, heads, key_dim), of value (features, heads, value_dim), of attention_output (heads, value_dim,
    features of query); biases have the last axes. Fans are the features and heads·dim, or the reverse.

    Steps of value that are padding are not seen, unless all are: they are then seen alike. A step of query
    that is padding attends as the others do.

    The gradient of key.bias is 0, which softmax does not see: rounding alone, which Adam makes steps of.
    """

    takes_several: ClassVar[bool] = True
    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    type: Literal["multi_head_attention"]
    num_heads: Count
    key_dim: Count
    """The size of a query and a key in each head: PyTorch's embed_dim is num_heads times as much."""
    value_dim: Count | None = None
    """The size of a value in each head; null is key_dim."""
    use_bias: bool = True
    use_causal_mask: bool = False
    """Whether a step of query sees only the steps of key up to its own."""
    use_padding_mask: bool = True
    """Whether steps of value that are padding are left out, as Keras does by itself, and PyTorch where it is
    given a key_padding_mask, whose true means left out."""
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    output_initializer: Initializer | None = None
    """What draws attention_output's kernel; null is kernel_initializer. PyTorch draws it by another rule."""
    bias_initializer: Initializer = Zeros(type="zeros")
    inputs: Many[str] | None = Field(default=None, min_length=1, max_length=3)
    """Names of query, value and key, in this order; without a third, key is value; one alone is all three.
    Null is the layer before it, for all three."""

    @property
    def minds_padding(self) -> bool:
        return self.use_padding_mask

    def padded_input(self, inputs: int) -> int:
        return min(1, inputs - 1)

    def output_shape(self, *inputs: Shape) -> Shape:
        query, *others = inputs
        for each in inputs:
            need_axes(each, "steps, features")
        if len({each[0] for each in others}) > 1:
            raise ShapeError(f"needs a value and a key of one length, and gets {listed(*others)}")
        return query

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        query, *others = inputs
        value, key = (others[0], others[-1]) if others else (query, query)
        heads, depth = self.num_heads, self.value_dim or self.key_dim
        parts = (
            ("query", (query[-1], heads, self.key_dim), 1, None),
            ("key", (key[-1], heads, self.key_dim), 1, None),
            ("value", (value[-1], heads, depth), 1, None),
            ("attention_output", (heads, depth, query[-1]), 2, self.output_initializer),
        )

        def weight(name: str, shape: Shape, initializer: Initializer, fans: Shape) -> LayerWeight:
            return LayerWeight(
                name=name, shape=shape, initializer=initializer, fan_in=fans[0], fan_out=fans[1]
            )

        found: list[LayerWeight] = []
        for name, shape, taken, own in parts:
            fans = (prod(shape[:taken]), prod(shape[taken:]))
            found.append(weight(f"{name}.kernel", shape, own or self.kernel_initializer, fans))
            if self.use_bias:
                found.append(weight(f"{name}.bias", shape[taken:], self.bias_initializer, fans))
        return tuple(found)
