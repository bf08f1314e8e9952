"""What a weight's first value is: drawn by an initializer, the framework's own, or given."""

from __future__ import annotations

from math import erf, sqrt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import DataSeed, Numbers, Positive
from likewise.shared.job.kinds import Kinds


class _Distribution(Frozen):
    """An initializer's constants; each layer says what its fans are."""


class Zeros(_Distribution):
    """Every number is 0."""

    type: Literal["zeros"]


class Ones(_Distribution):
    """Every number is 1."""

    type: Literal["ones"]


class Constant(_Distribution):
    """Every number is `value`."""

    type: Literal["constant"]
    value: float


class Uniform(_Distribution):
    """Each number is drawn evenly from between minval and maxval."""

    type: Literal["random_uniform"]
    minval: float = -0.05
    maxval: float = 0.05

    @model_validator(mode="after")
    def _is_a_range(self) -> Uniform:
        if self.minval > self.maxval:
            raise ValueError(f"minval {self.minval:g} is above maxval {self.maxval:g}")
        return self


class Normal(_Distribution):
    """Each number is drawn from N(mean, stddev²), untruncated."""

    type: Literal["random_normal"]
    mean: float = 0.0
    stddev: Positive = 0.05


class TruncatedNormal(_Distribution):
    """Each number is drawn from N(mean, stddev²), anew while it is outside of the limits.

    It is not widened again: with limits of two deviations its own deviation is 0.88·stddev.
    """

    type: Literal["truncated_normal"]
    mean: float = 0.0
    stddev: Positive = 0.05
    low: float = -2.0
    high: float = 2.0
    limits: Literal["deviations", "absolute"] = "deviations"
    """Whether low and high count deviations from the mean, as the two of Keras's TruncatedNormal do, or are
    the numbers themselves, as the a and b of PyTorch's trunc_normal_, whose -2 and 2 cut nothing off a
    small deviation."""

    @property
    def cut(self) -> tuple[float, float]:
        """Return the limits in deviations from the mean."""
        if self.limits == "deviations":
            return self.low, self.high
        return (self.low - self.mean) / self.stddev, (self.high - self.mean) / self.stddev

    @model_validator(mode="after")
    def _leaves_enough(self) -> TruncatedNormal:
        low, high = self.cut
        if (erf(high / sqrt(2)) - erf(low / sqrt(2))) / 2 < _LEAST_LEFT:
            raise ValueError(
                f"between low {self.low:g} and high {self.high:g} lies less than {_LEAST_LEFT:.0%} of a "
                f"normal of mean {self.mean:g} and stddev {self.stddev:g}; widen the limits"
            )
        return self


_LEAST_LEFT = 0.01
"""The least part of a normal distribution that may be left of it: what lies outside is drawn in vain."""


class IdentityMatrix(_Distribution):
    """A matrix with `gain` on its diagonal and 0 elsewhere, which passes its inputs on where it is square.

    A kernel of a convolution has that matrix, of channels and filters, in the middle of its window.
    """

    type: Literal["identity"]
    gain: float = 1.0


class FanScaled(_Distribution):
    """Glorot (Glorot & Bengio 2010), He (He et al. 2015) and LeCun, uniform between ±√(3·variance).

    Variance is 2/(fan_in+fan_out), 2/fan_in and 1/fan_in.
    """

    type: Literal["glorot_uniform", "he_uniform", "lecun_uniform"]


class FanScaledNormal(_Distribution):
    """Glorot, He and LeCun, normal with mean 0 and the variances of their uniform kinds."""

    type: Literal["glorot_normal", "he_normal", "lecun_normal"]
    truncated: bool = False
    """Cut at two standard deviations and widened again to the variance, as in Keras."""


class VarianceScaling(_Distribution):
    """Mean 0 and variance scale/n, where n is the fan_in, the fan_out or their mean, fan_avg.

    `uniform` lies between ±√(3·variance). `triangular`, between ±√(6·variance), is the sum of two equal
    uniforms, as where PyTorch's recurrent layers have two biases and one stands here. `truncated_normal`
    is cut at two standard deviations and then widened to the variance.
    """

    type: Literal["variance_scaling"]
    scale: Positive = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["uniform", "triangular", "truncated_normal", "untruncated_normal"] = (
        "truncated_normal"
    )


class Orthogonal(_Distribution):
    """Rows or columns orthonormal, times `gain` (Saxe et al. 2013)."""

    type: Literal["orthogonal"]
    gain: Positive = 1.0


Initializer = Annotated[
    Zeros
    | Ones
    | Constant
    | Uniform
    | Normal
    | TruncatedNormal
    | FanScaled
    | FanScaledNormal
    | VarianceScaling
    | Orthogonal
    | IdentityMatrix,
    Kinds(),
]


class SharedWeights(Frozen):
    """Drawn from the seed by each layer's declared initializer, so that every side gets the same arrays.

    Weights are drawn by the places of their layers in the first side's model. Another side's are paired with
    them in their order, where they have as many numbers each, so that a layer more without weights, such as a
    flatten, changes no start; where they do not pair, each side draws by the places of its own layers.
    """

    type: Literal["shared"]
    seed: DataSeed | None = None
    """The seed they are drawn from; null is the run's own, so that each seed has its start."""


class InitializerWeights(Frozen):
    """Drawn from the seed by each side's own initializers, where these differ from side to side."""

    type: Literal["initializers"]
    seed: DataSeed | None = None
    """The seed they are drawn from; null is the run's own."""


class FrameworkWeights(Frozen):
    """Each framework's own default initializer, seeded."""

    type: Literal["framework"]


class GivenWeights(Frozen):
    """Written in the job file: `layers.0.kernel: [[0.37]]`, in Keras's layouts."""

    type: Literal["values"]
    weights: dict[str, Numbers] = Field(min_length=1)


class NpzWeights(Frozen):
    """Arrays of a NumPy archive, named `layers.0.kernel` and so on, in Keras's layouts."""

    type: Literal["npz"]
    path: str = Field(min_length=1)


InitialWeights = Annotated[
    SharedWeights | InitializerWeights | FrameworkWeights | GivenWeights | NpzWeights,
    Kinds(),
]
