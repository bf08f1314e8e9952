"""The activation functions of `shared.job.activations` in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it

from likewise.shared.job.activations import Activation, Elu, LeakyRelu

Tensor = Any


def _elu(x: Tensor, *, alpha: float) -> Tensor:
    # F.elu has the gradient alpha at exactly 0, and torch.selu 1.758, where the formulas have 1 and 1.051;
    # clamp keeps the branch not taken finite, so that its gradient is 0 and not NaN
    return torch.where(x < 0, alpha * torch.expm1(x.clamp(max=0.0)), x)


def _selu(x: Tensor) -> Tensor:
    return 1.0507009873554805 * _elu(x, alpha=1.6732632423543772)


def _identity(x: Tensor) -> Tensor:
    return x


def activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """Return the function with its settings."""
    match activation:
        case LeakyRelu(negative_slope=slope):
            return partial(F.leaky_relu, negative_slope=slope)
        case Elu(alpha=alpha):
            return partial(_elu, alpha=alpha)
        case _:
            return PLAIN[activation.type]


PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": _identity,
    "relu": torch.relu,
    "selu": _selu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    # from the default threshold of 20 on it is the identity, 2e-9 off; from 40 on nothing is lost
    "softplus": partial(F.softplus, threshold=40.0),
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": partial(torch.softmax, dim=-1),
    "mish": F.mish,
}
