"""The initializers: what a weight's first value is drawn from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.frozen import Frozen
from shared.spec.fields import Positive, Word


class _Distribution(Frozen):
    """An initializer's constants; each layer says what its fans are."""


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
