"""The torch.nn module of each normalization. Channels are the last axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it
from torch import nn

from likewise.shared.job.layers.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RmsNorm,
    UnitNormalization,
)
from likewise.shared.job.shape import axis_of
from likewise.shared.program import Stage
from likewise.worker.adapters.torch_adapter.weights import maker, stored

Tensor = Any
PADDED_EPSILON = 1e-7
"""What Keras adds to the number of steps that count, before batch normalization divides by it."""


class LayerNormalization(nn.Module):  # type: ignore[misc]
    """A LayerNorm over the last axes."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: LayerNorm = stage.layer
        make = maker(nn.LayerNorm, initializers=initializers)
        self.norm = make(layer.scaled_shape(stage.output), eps=layer.epsilon, **where)
        self.stored = {"gamma": stored(self.norm.weight), "beta": stored(self.norm.bias)}

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (b, …) to the same shape."""
        return self.norm(x)


class OverAxes(nn.Module):  # type: ignore[misc]
    """A normalization over any axes of a sample, written out: torch.nn's are over the last ones."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:  # noqa: ARG002 -- it starts alike
        super().__init__()
        layer: LayerNorm | RmsNorm = stage.layer
        places = layer.places(stage.output)
        self._dims = tuple(place + 1 for place in places)
        self._sizes = tuple(size if place in places else 1 for place, size in enumerate(stage.output))
        self._epsilon = layer.epsilon
        self.gamma = nn.Parameter(torch.ones(layer.scaled_shape(stage.output), **where))
        self.stored = {"gamma": stored(self.gamma)}
        self.beta = None
        if isinstance(layer, LayerNorm):
            self.beta = nn.Parameter(torch.zeros_like(self.gamma))
            self.stored["beta"] = stored(self.beta)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (b, …) to the same shape."""
        if self.beta is not None:
            x = x - x.mean(dim=self._dims, keepdim=True)
        root = ((x * x).mean(dim=self._dims, keepdim=True) + self._epsilon).rsqrt()
        scaled = x * (root * self.gamma.reshape(self._sizes))
        return scaled if self.beta is None else scaled + self.beta.reshape(self._sizes)


class ByGroup(nn.Module):  # type: ignore[misc]
    """A normalization over groups of channels and all other axes of a sample."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:  # noqa: ARG002 -- it starts alike
        super().__init__()
        layer: GroupNorm | InstanceNorm = stage.layer
        self._groups, self._epsilon = layer.count(stage.output), layer.epsilon
        self.gamma = self.beta = None
        self.stored = {}
        if stage.weights:
            self.gamma = nn.Parameter(torch.ones(stage.output[-1], **where))
            self.beta = nn.Parameter(torch.zeros(stage.output[-1], **where))
            self.stored = {"gamma": stored(self.gamma), "beta": stored(self.beta)}

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (b, …, channels) to the same shape."""
        grouped = x.unflatten(-1, (self._groups, -1))
        dims = (*range(1, grouped.ndim - 2), grouped.ndim - 1)
        centred = grouped - grouped.mean(dim=dims, keepdim=True)
        root = ((centred * centred).mean(dim=dims, keepdim=True) + self._epsilon).rsqrt()
        even = (centred * root).flatten(-2)
        return even if self.gamma is None else even * self.gamma + self.beta


class BatchNormalization(nn.Module):  # type: ignore[misc]
    """Batch normalization whose moving statistics move as the job says: nn.BatchNorm keeps the unbiased
    variance and refuses a single value a channel. Every framework starts its statistics alike, so that there
    are no initializers."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:  # noqa: ARG002 -- it starts alike
        super().__init__()
        layer: BatchNorm = stage.layer
        features = stage.output[-1]
        self._momentum, self._epsilon = layer.momentum, layer.epsilon
        self._unbiased = layer.moving_variance == "unbiased"
        self._uses_batch = layer.uses_batch
        self.gamma = nn.Parameter(torch.ones(features, **where))
        self.beta = nn.Parameter(torch.zeros(features, **where))
        self.register_buffer("moving_mean", torch.zeros(features, **where))
        self.register_buffer("moving_variance", torch.ones(features, **where))
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        self.stored = {name: stored(getattr(self, name)) for name in names}

    def forward(self, x: Tensor, *, training: bool, counted: Tensor | None = None) -> Tensor:
        """Normalize (…, channels) to the same shape; in training the moving statistics move."""
        if not (training and self._uses_batch):
            return self._scaled(x - self.moving_mean, self.moving_variance)
        if counted is None and x.numel() > x.shape[-1]:
            return self._by_pytorch(x)
        axes = tuple(range(x.ndim - 1))
        each = torch.ones_like(x, dtype=torch.bool) if counted is None else counted[..., None]
        spare = 0.0 if counted is None else PADDED_EPSILON
        zero = torch.zeros_like(x)
        count = each[..., :1].sum().to(x.dtype)
        mean = torch.where(each, x, zero).sum(dim=axes) / (count + spare)
        centred = x - mean
        variance = torch.where(each, centred * centred, zero).sum(dim=axes) / (count + spare)
        self._follow(mean, variance * (count / (count - 1).clamp(min=1)) if self._unbiased else variance)
        return self._scaled(centred, variance)

    def _by_pytorch(self, x: Tensor) -> Tensor:
        """Normalize by PyTorch's own operation; moving statistics that forget are those of the batch."""
        mean, unbiased = torch.zeros_like(self.moving_mean), torch.zeros_like(self.moving_variance)
        plane = x.unsqueeze(1) if x.ndim == 3 else x  # PyTorch reads planes in their order in memory
        normalized = F.batch_norm(
            plane.movedim(-1, 1),
            mean,
            unbiased,
            self.gamma,
            self.beta,
            training=True,
            momentum=1.0,
            eps=self._epsilon,
        )
        count = x.numel() // x.shape[-1]
        self._follow(mean, unbiased if self._unbiased else unbiased * ((count - 1) / count))
        return normalized.movedim(1, -1).reshape(x.shape)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        with torch.no_grad():
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.mul_(self._momentum).add_(batch * (1.0 - self._momentum))

    def _scaled(self, centred: Tensor, variance: Tensor) -> Tensor:
        return centred * ((variance + self._epsilon).rsqrt() * self.gamma) + self.beta


class OfUnitLength(nn.Module):  # type: ignore[misc]
    """Vectors along an axis, divided by their lengths."""

    def __init__(self, stage: Stage, **_: Any) -> None:
        super().__init__()
        layer: UnitNormalization = stage.layer
        self._dim = axis_of(layer.axis, stage.output) + 1
        self._epsilon = layer.epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x (b, *shape) to the same shape."""
        tiny = 2.0**-14 if x.dtype == torch.float16 else 2.0**-126  # the least normal number
        least = max(self._epsilon**2, tiny)
        return x * (x * x).sum(dim=self._dim, keepdim=True).clamp(min=least).rsqrt()


def _layer_norm(stage: Stage, **options: Any) -> Any:
    layer: LayerNorm = stage.layer
    rank = len(stage.output)
    last = layer.places(stage.output) == tuple(range(rank))[-len(layer.places(stage.output)) :]
    return (LayerNormalization if last else OverAxes)(stage, **options)


NORMALIZATIONS: dict[str, Callable[..., Any]] = {
    "layer_norm": _layer_norm,
    "rms_norm": OverAxes,
    "unit_normalization": OfUnitLength,
    "group_norm": ByGroup,
    "instance_norm": ByGroup,
    "batch_norm": BatchNormalization,
}
"""The module of each kind of stage."""
