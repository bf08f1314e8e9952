"""Layer and batch normalization over the last axis."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from shared.job.layers.basic import BatchNorm, LayerNorm
from worker.adapters.torch_adapter.stored import maker, stored

Tensor = Any


class LayerNormalization(nn.Module):  # type: ignore[misc]
    """A LayerNorm over the last axis."""

    def __init__(self, layer: LayerNorm, shape: tuple[int, ...], *, initializers: bool, **where: Any) -> None:
        super().__init__()
        make = maker(nn.LayerNorm, initializers=initializers)
        self.norm = make(shape[-1], eps=layer.epsilon, **where)
        self.stored = {"gamma": stored(self.norm.weight), "beta": stored(self.norm.bias)}

    def forward(self, x: Tensor) -> Tensor:
        """(…, features) → the same shape."""
        return self.norm(x)


class BatchNormalization(nn.Module):  # type: ignore[misc]
    """Written out: nn.BatchNorm keeps the unbiased variance and refuses a single value a channel."""

    def __init__(self, layer: BatchNorm, shape: tuple[int, ...], **where: Any) -> None:
        super().__init__()
        self._momentum, self._epsilon = layer.momentum, layer.epsilon
        self._unbiased = layer.moving_variance == "unbiased"
        self.gamma = nn.Parameter(torch.ones(shape[-1], **where))
        self.beta = nn.Parameter(torch.zeros(shape[-1], **where))
        self.register_buffer("moving_mean", torch.zeros(shape[-1], **where))
        self.register_buffer("moving_variance", torch.ones(shape[-1], **where))
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        self.stored = {name: stored(getattr(self, name)) for name in names}

    def forward(self, x: Tensor, *, training: bool) -> Tensor:
        """(…, channels) → the same shape; in training the moving statistics move."""
        if not training:
            return self._scaled(x - self.moving_mean, self.moving_variance)
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(dim=axes)
        centred = x - mean
        variance = (centred * centred).mean(dim=axes)
        count = x.numel() // x.shape[-1]
        followed = variance * (count / max(count - 1, 1)) if self._unbiased else variance
        with torch.no_grad():
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, followed)):
                moving.mul_(self._momentum).add_(batch * (1.0 - self._momentum))
        return self._scaled(centred, variance)

    def _scaled(self, centred: Tensor, variance: Tensor) -> Tensor:
        return centred * ((variance + self._epsilon).rsqrt() * self.gamma) + self.beta
