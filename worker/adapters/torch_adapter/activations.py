"""The activation functions of `shared.job.activations` in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it

from likewise.shared.job.activations import Activation, Softmax

Tensor = Any


def _clipped_relu(x: Tensor, *, max_value: float | None, negative_slope: float, threshold: float) -> Tensor:
    leaks = torch.where(x > threshold, x, negative_slope * (x - threshold))
    return leaks if max_value is None else torch.where(x < max_value, leaks, max_value)


def _softmin(x: Tensor, *, dim: int) -> Tensor:
    return torch.softmax(-x, dim=dim)


def _elu(x: Tensor, *, alpha: float) -> Tensor:
    # F.elu has the gradient alpha at exactly 0, and torch.selu 1.758, where the formulas have 1 and 1.051;
    # clamp keeps the branch not taken finite, so that its gradient is 0 and not NaN
    return torch.where(x < 0, alpha * torch.expm1(x.clamp(max=0.0)), x)


def _selu(x: Tensor) -> Tensor:
    return 1.0507009873554805 * _elu(x, alpha=1.6732632423543772)


def _identity(x: Tensor) -> Tensor:
    return x


def _celu(x: Tensor, *, alpha: float) -> Tensor:
    return torch.where(x < 0, alpha * torch.expm1(x.clamp(max=0.0) / alpha), x)


def _hard_sigmoid(x: Tensor, *, slope: float) -> Tensor:
    return (slope * x + 0.5).clamp(0.0, 1.0)


def _softplus(x: Tensor, *, beta: float) -> Tensor:
    # from the default threshold of 20 on it is the identity, 2e-9 off; from 40 on nothing is lost
    return F.softplus(x, beta=beta, threshold=40.0)


def _hard_tanh(x: Tensor, *, min_value: float, max_value: float) -> Tensor:
    return F.hardtanh(x, min_value, max_value)


def _soft_shrink(x: Tensor, *, threshold: float) -> Tensor:
    return torch.where(x.abs() > threshold, x - threshold * x.sign(), 0.0)


def _hard_shrink(x: Tensor, *, threshold: float) -> Tensor:
    return torch.where(x.abs() > threshold, x, 0.0)


def _threshold(x: Tensor, *, threshold: float, value: float) -> Tensor:
    return torch.where(x > threshold, x, value)


def _squareplus(x: Tensor, *, b: float) -> Tensor:
    return 0.5 * (x + (x * x + b).sqrt())


def _sparse_plus(x: Tensor) -> Tensor:
    return torch.where(x < 1, 0.25 * (x.clamp(min=-1.0) + 1) ** 2, x)


def _sparse_sigmoid(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 1, 0.5 * (x + 1), (x > 0).to(x.dtype))


def _sparsemax(x: Tensor, *, sums: str) -> Tensor:
    largest = x.sort(dim=-1, descending=True).values
    cumulative = largest.cumsum(dim=-1)
    counts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    taken = largest > (cumulative - 1.0) / counts
    added = torch.where(taken, cumulative if sums == "cumulative" else largest, 0.0).sum(dim=-1, keepdim=True)
    return torch.relu(x - (added - 1.0) / taken.to(x.dtype).sum(dim=-1, keepdim=True))


def activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """Return the function with its settings."""
    settings = activation.model_dump(exclude={"type"})
    if isinstance(activation, Softmax):
        return partial(_SOFTMAX[activation.type], dim=activation.axis)
    return partial(_WITH_SETTINGS[activation.type], **settings) if settings else PLAIN[activation.type]


_SOFTMAX: dict[str, Callable[..., Tensor]] = {
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "softmin": _softmin,
}

_WITH_SETTINGS: dict[str, Callable[..., Tensor]] = {
    "leaky_relu": F.leaky_relu,
    "clipped_relu": _clipped_relu,
    "elu": _elu,
    "celu": _celu,
    "hard_sigmoid": _hard_sigmoid,
    "softplus": _softplus,
    "hard_tanh": _hard_tanh,
    "soft_shrink": _soft_shrink,
    "hard_shrink": _hard_shrink,
    "threshold": _threshold,
    "squareplus": _squareplus,
    "sparsemax": _sparsemax,
}

PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": _identity,
    "relu": torch.relu,
    "selu": _selu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "mish": F.mish,
    "relu6": F.relu6,
    "hard_silu": lambda x: x * _hard_sigmoid(x, slope=1 / 6),
    "log_sigmoid": F.logsigmoid,
    "tanh_shrink": lambda x: x - torch.tanh(x),
    "exponential": torch.exp,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
}
