"""The activation functions. A word stands for one with its defaults: `activation: relu`.

    linear x; relu max(x, 0); leaky_relu x, or negative_slope·x below 0; elu x, or alpha·(exp(x) − 1) below 0
    selu 1.0507009873554805·(x, or 1.6732632423543772·(exp(x) − 1) below 0)
    gelu ½x(1 + erf(x/√2)); gelu_tanh ½x(1 + tanh(√(2/π)(x + 0.044715x³))); silu x·sigmoid(x)
    softplus log(1 + exp(beta·x))/beta; softsign x/(1 + |x|); tanh; sigmoid 1/(1 + exp(−x))
    softmax exp(x) over its sum on an axis; log_softmax log(softmax(x)); softmin softmax(−x)
    mish x·tanh(softplus(x))
    clipped_relu max_value from max_value on, x from threshold on, negative_slope·(x − threshold) below
    sparsemax max(x − τ, 0) over the last axis, with τ = (x₁ + … + xₖ − 1)/k of the k largest x, those with
    xⱼ > (x₁ + … + xⱼ − 1)/j, so that it sums to 1
    relu6 min(max(x, 0), 6); hard_sigmoid min(max(slope·x + ½, 0), 1); hard_silu x·min(max(x/6 + ½, 0), 1)
    hard_tanh min(max(x, min_value), max_value); log_sigmoid −log(1 + exp(−x)); tanh_shrink x − tanh(x)
    exponential exp(x)
    celu x, or alpha·(exp(x/alpha) − 1) below 0; squareplus ½(x + √(x² + b))
    soft_shrink x nearer to 0 by threshold, and 0 within it; hard_shrink x, or 0 within threshold
    threshold x, or value up to threshold; sparse_plus x from 1 on, 0 up to −1, ¼(x + 1)² between
    sparse_sigmoid 1 from 1 on, 0 up to −1, ½(x + 1) between

At exactly 0 the gradient of relu and relu6 is 0, of leaky_relu negative_slope, of elu and celu 1 and of selu
1.0507…; that of hard_tanh is 0 at both its ends, of hard_sigmoid slope, and of clipped_relu 0 at
max_value and negative_slope at threshold.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import NonNegative, Positive
from likewise.shared.job.kinds import Kinds


class PlainActivation(Frozen):
    """A function without settings."""

    type: Literal[
        "linear", "relu", "selu", "gelu", "gelu_tanh", "silu", "softsign", "tanh",
        "sigmoid", "mish", "relu6", "hard_silu",
        "log_sigmoid", "tanh_shrink", "exponential", "sparse_plus", "sparse_sigmoid",
    ]  # fmt: skip


class Softmax(Frozen):
    """exp(x) over its sum along an axis, its logarithm, or that of −x."""

    type: Literal["softmax", "log_softmax", "softmin"]
    axis: int = -1
    """Along which axis of the output: 1 is a sample's first, −1 its last; PyTorch's dim. Over the steps of
    (steps, features) it is 1."""

    @model_serializer(mode="wrap")
    def _without_the_last(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the last axis out, so that a softmax is written, and hashed, as it ever was."""
        written: dict[str, Any] = handler(self)
        return {name: value for name, value in written.items() if name != "axis" or self.axis != -1}


class LeakyRelu(Frozen):
    """x, or negative_slope·x below 0."""

    type: Literal["leaky_relu"]
    negative_slope: NonNegative = 0.2
    """Keras's word leaky_relu has 0.2, its layer LeakyReLU 0.3, PyTorch 0.01."""


class ClippedRelu(Frozen):
    """A relu that may end at max_value, begin at threshold and leak below it, as Keras's ReLU layer."""

    type: Literal["clipped_relu"]
    max_value: NonNegative | None = None
    """Null is no limit; 6 is PyTorch's ReLU6."""
    negative_slope: NonNegative = 0.0
    threshold: NonNegative = 0.0

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> ClippedRelu:
        if self.max_value is not None and self.max_value <= self.threshold:
            raise ValueError(f"max_value {self.max_value:g} is not above threshold {self.threshold:g}")
        return self


class Elu(Frozen):
    """x, or alpha·(exp(x) − 1) below 0 (Clevert et al. 2016)."""

    type: Literal["elu"]
    alpha: Positive = 1.0


class Celu(Frozen):
    """x, or alpha·(exp(x/alpha) − 1) below 0 (Barron 2017)."""

    type: Literal["celu"]
    alpha: Positive = 1.0


class HardSigmoid(Frozen):
    """min(max(slope·x + ½, 0), 1)."""

    type: Literal["hard_sigmoid"]
    slope: Positive = 1 / 6
    """1/6 in PyTorch and Keras 3; 0.2 in Keras 2."""


class Softplus(Frozen):
    """log(1 + exp(beta·x))/beta, a relu whose corner is round."""

    type: Literal["softplus"]
    beta: Positive = 1.0
    """PyTorch's; Keras has 1. PyTorch's threshold, from which on its own softplus is x, is not followed: the
    formula is that far."""


class HardTanh(Frozen):
    """min(max(x, min_value), max_value); from 0 on it is a relu with a limit."""

    type: Literal["hard_tanh"]
    min_value: float = -1.0
    max_value: float = 1.0

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> HardTanh:
        if self.min_value >= self.max_value:
            raise ValueError(f"min_value {self.min_value:g} is not below max_value {self.max_value:g}")
        return self


class Shrink(Frozen):
    """x moved towards 0 by threshold (soft), or x (hard); 0 within threshold."""

    type: Literal["soft_shrink", "hard_shrink"]
    threshold: NonNegative = 0.5


class Threshold(Frozen):
    """x above threshold, and value elsewhere."""

    type: Literal["threshold"]
    threshold: float
    value: float


class Squareplus(Frozen):
    """½(x + √(x² + b)) (Barron 2021)."""

    type: Literal["squareplus"]
    b: NonNegative = 4.0


class Sparsemax(Frozen):
    """The nearest row that sums to 1 with nothing below 0 (Martins & Astudillo 2016)."""

    type: Literal["sparsemax"]
    sums: Literal["largest", "cumulative"] = "largest"
    """What τ adds up: the k largest x, or their k cumulative sums x₁, x₁ + x₂, …, as Keras 3's own function
    does, whose rows do not sum to 1."""


Activation = Annotated[
    PlainActivation
    | Softmax
    | LeakyRelu
    | ClippedRelu
    | Elu
    | Celu
    | HardSigmoid
    | Softplus
    | HardTanh
    | Shrink
    | Threshold
    | Squareplus
    | Sparsemax,
    Kinds(),
]
LINEAR = PlainActivation(type="linear")


def word_over(activation: Activation, rank: int | None) -> str:
    """Return the function's word, which says the axis of a softmax that is not over an output's last.

    Args:
        activation: The function.
        rank: How many axes a sample's output has; None where that is not known.
    """
    if isinstance(activation, Softmax) and activation.axis not in (-1, rank):
        return f"{activation.type} over axis {activation.axis}"
    return activation.type
