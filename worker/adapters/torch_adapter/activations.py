"""The activation functions of `worker.adapters.base` in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it

Tensor = Any


def _selu(x: Tensor) -> Tensor:
    # torch.selu has the gradient 1.758 at exactly 0, where the pinned formula has 1.051;
    # clamp keeps the branch not taken finite, so that its gradient is 0 and not NaN
    below = 1.6732632423543772 * torch.expm1(x.clamp(max=0.0))
    return 1.0507009873554805 * torch.where(x < 0, below, x)


def _identity(x: Tensor) -> Tensor:
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": _identity,
    "relu": torch.relu,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.2),
    "elu": F.elu,
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
