"""Layers that keep to single samples' features: dense, activation, dropout and changes of shape."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from shared.spec.activations import LINEAR, Activation
from shared.spec.fields import Count, DataSeed, Fraction, Many
from shared.spec.initializers import FanScaled, Initializer, Zeros
from shared.spec.layers.base import BaseLayer


class Dense(BaseLayer):
    """activation(x·kernel + bias): kernel (inputs, units), bias (units,). Its fans are inputs and units."""

    type: Literal["dense"]
    units: Count
    activation: Activation = LINEAR
    use_bias: bool = True
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    bias_initializer: Initializer = Zeros(type="zeros")


class Flatten(BaseLayer):
    """All axes but the batch's become one, the last fastest."""

    type: Literal["flatten"]
    order: Literal["channels_last", "channels_first"] = "channels_last"
    """Whether the channels, the last axis, go fastest, or first of all axes and so slowest: PyTorch's order
    behind a convolution, in which a dense layer meets its rows in other places."""


class Dropout(BaseLayer):
    """In training each element is kept with probability 1 − rate and scaled by 1/(1 − rate).

    The masks come from NumPy, by (seed, layer, step), so every framework drops the same elements.
    """

    type: Literal["dropout"]
    rate: Fraction
    seed: DataSeed | None = None
    """The masks' own seed; null is the run's."""


class ActivationLayer(BaseLayer):
    """An activation function by itself."""

    type: Literal["activation"]
    activation: Activation


class Reshape(BaseLayer):
    """The sample's numbers in another shape, last axis fastest."""

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
