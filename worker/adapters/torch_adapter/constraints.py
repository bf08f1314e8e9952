"""What keeps weights within bounds after an update: the formulas of `shared.job.regularizers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from likewise.shared.job.regularizers import (
    NORM_EPSILON,
    Constraint,
    MaxNorm,
    MinMaxNorm,
    NonNeg,
    UnitNorm,
)
from likewise.worker.adapters.torch_adapter.model import Network
from likewise.worker.adapters.torch_adapter.weights import Layout

Tensor = Any
Constrain = Callable[[Tensor], None]


def constrain_of(network: Network, layout: Layout) -> Constrain:
    """Return what changes the weights side by side (…, values) in place, each by its own constraint."""
    declared = {weight.name: weight.constraint for weight in network.program.weights}
    held = [
        (piece, network.stored[name], declared[name])
        for name, piece in zip(network.trained, layout.pieces, strict=True)
        if declared[name] is not None
    ]

    def constrain(flat: Tensor) -> None:
        for piece, place, constraint in held:

            def bounded(values: Tensor, place: Any = place, constraint: Any = constraint) -> Tensor:
                return place.to_torch(_bounded(constraint, place.to_keras(values)))

            values = piece.shaped(flat)
            several = flat.ndim > 1
            values.copy_(torch.vmap(bounded)(values) if several else bounded(values))

    return constrain


def _bounded(constraint: Constraint, w: Tensor) -> Tensor:
    """Return a weight in Keras's layout as its constraint has it."""
    if isinstance(constraint, NonNeg):
        return w.clamp(min=0.0)
    norms = (w * w).sum(dim=constraint.axes, keepdim=True).sqrt()
    match constraint:
        case UnitNorm():
            return w / (norms + NORM_EPSILON)
        case MaxNorm():
            wanted = norms.clamp(max=constraint.max_value)
        case MinMaxNorm():
            within = norms.clamp(min=constraint.min_value, max=constraint.max_value)
            wanted = constraint.rate * within + (1.0 - constraint.rate) * norms
    return w * (wanted / (norms + NORM_EPSILON))
