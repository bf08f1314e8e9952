"""The activation functions. A word stands for one with its defaults: `activation: relu`.

    linear x; relu max(x, 0); leaky_relu x, or negative_slope·x below 0; elu x, or alpha·(exp(x) − 1) below 0
    selu 1.0507009873554805·(x, or 1.6732632423543772·(exp(x) − 1) below 0)
    gelu ½x(1 + erf(x/√2)); gelu_tanh ½x(1 + tanh(√(2/π)(x + 0.044715x³))); silu x·sigmoid(x)
    softplus log(1 + exp(x)); softsign x/(1 + |x|); tanh; sigmoid 1/(1 + exp(−x))
    softmax over the last axis; mish x·tanh(softplus(x))

At exactly 0 the gradient of relu is 0, of leaky_relu negative_slope, of elu 1 and of selu 1.0507…
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import NonNegative, Positive, Word


class PlainActivation(Frozen):
    """A function without settings."""

    type: Literal[
        "linear", "relu", "selu", "gelu", "gelu_tanh", "silu", "softplus", "softsign", "tanh",
        "sigmoid", "softmax", "mish",
    ]  # fmt: skip


class LeakyRelu(Frozen):
    """x, or negative_slope·x below 0."""

    type: Literal["leaky_relu"]
    negative_slope: NonNegative = 0.2
    """Keras's word leaky_relu has 0.2, its layer LeakyReLU 0.3, PyTorch 0.01."""


class Elu(Frozen):
    """x, or alpha·(exp(x) − 1) below 0 (Clevert et al. 2016)."""

    type: Literal["elu"]
    alpha: Positive = 1.0


Activation = Annotated[PlainActivation | LeakyRelu | Elu, Field(discriminator="type"), Word]
LINEAR = PlainActivation(type="linear")
