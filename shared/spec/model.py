"""The layers, in order. Names and spellings are Keras's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.frozen import Frozen
from shared.spec.fields import Count, Fraction, Many, Positive, Word

Activation = Literal[
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "softsign", "tanh", "sigmoid", "softmax", "mish",
]  # fmt: skip
"""Formulas as in `worker.adapters.base`; leaky_relu has slope 0.2, elu alpha 1."""


class _Distribution(Frozen):
    """An initializer's constants; fans of a dense kernel are its input and output units."""


class Zeros(_Distribution):
    """All zeros."""

    type: Literal["zeros"]


class Ones(_Distribution):
    """All ones."""

    type: Literal["ones"]


class Constant(_Distribution):
    """One value everywhere."""

    type: Literal["constant"]
    value: float


class Uniform(_Distribution):
    """U(minval, maxval)."""

    type: Literal["random_uniform"]
    minval: float = -0.05
    maxval: float = 0.05

    @model_validator(mode="after")
    def _is_a_range(self) -> Uniform:
        if self.minval > self.maxval:
            raise ValueError(f"minval {self.minval:g} is above maxval {self.maxval:g}")
        return self


class Normal(_Distribution):
    """N(mean, stddev²), untruncated."""

    type: Literal["random_normal"]
    mean: float = 0.0
    stddev: Positive = 0.05


class FanScaled(_Distribution):
    """Glorot (Glorot & Bengio 2010), He (He et al. 2015) and LeCun, uniform or untruncated normal.

    Variance is 2/(fan_in+fan_out), 2/fan_in and 1/fan_in; uniform limits are √(3·variance).
    """

    type: Literal[
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"
    ]  # fmt: skip


class Orthogonal(_Distribution):
    """Rows or columns orthonormal, times `gain` (Saxe et al. 2013)."""

    type: Literal["orthogonal"]
    gain: Positive = 1.0


Initializer = Annotated[
    Zeros | Ones | Constant | Uniform | Normal | FanScaled | Orthogonal,
    Field(discriminator="type"),
    Word,
]


class _Layer(Frozen):
    name: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """A handle for overrides and reports; weights are named by it, or by `layers.<index>`."""


class Dense(_Layer):
    """activation(x·kernel + bias): kernel (inputs, units), bias (units,)."""

    type: Literal["dense"]
    units: Count
    activation: Activation = "linear"
    use_bias: bool = True
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    bias_initializer: Initializer = Zeros(type="zeros")


class Flatten(_Layer):
    """All axes but the first become one, last axis fastest."""

    type: Literal["flatten"]


class Dropout(_Layer):
    """In training each element is kept with probability 1 − rate and scaled by 1/(1 − rate).

    The masks come from NumPy, by (seed, layer, step), so every framework drops the same elements.
    """

    type: Literal["dropout"]
    rate: Fraction


class ActivationLayer(_Layer):
    """An activation function by itself."""

    type: Literal["activation"]
    activation: Activation


Layer = Annotated[
    Dense | Flatten | Dropout | ActivationLayer,
    Field(discriminator="type"),
    Word,
]


class Model(Frozen):
    """Layers applied one after another."""

    layers: Many[Layer] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Model:
        names = [layer.name for layer in self.layers if layer.name is not None]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two layers are named {twice[0]!r}; a name stands for one layer")
        return self

    def layer_path(self, index: int) -> str:
        """The prefix of a layer's weights: its name, or `layers.<index>`."""
        return self.layers[index].name or f"layers.{index}"
