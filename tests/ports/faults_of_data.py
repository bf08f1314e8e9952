"""Faults of loaders and evaluations."""

from __future__ import annotations

from .faults import Fault

FAULTS = [
    Fault("pictures", "/ 255", "/ 256", "data", "data.x", "mean_and_deviation"),
    Fault("pictures", "[0.2, 0.25, 0.3]", "[0.25, 0.2, 0.3]", "data", "data.x", "mean_and_deviation"),
    Fault("pictures", "self.y[i]", "self.y[i] + 1", "data", "data.y", "label_coding"),
]
