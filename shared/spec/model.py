"""A model: layers in order. Each layer's meaning is in `shared.spec.layers`."""

from __future__ import annotations

from pydantic import Field, model_validator

from shared.frozen import Frozen
from shared.spec.fields import Many
from shared.spec.initializers import (
    Constant,
    FanScaled,
    Initializer,
    Normal,
    Ones,
    Orthogonal,
    Uniform,
    Zeros,
)
from shared.spec.layers import Layer
from shared.spec.layers.base import Activation
from shared.spec.layers.basic import ActivationLayer, Dense, Dropout, Flatten

__all__ = [
    "Activation",
    "ActivationLayer",
    "Constant",
    "Dense",
    "Dropout",
    "FanScaled",
    "Flatten",
    "Initializer",
    "Layer",
    "Model",
    "Normal",
    "Ones",
    "Orthogonal",
    "Uniform",
    "Zeros",
]


class Model(Frozen):
    """Layers applied one after another."""

    layers: Many[Layer] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Model:
        names = [layer.name for layer in self.layers if layer.name is not None]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two layers are named {twice[0]!r}; a name stands for one layer")
        return self

    def layer_path(self, index: int) -> str:
        """The prefix of a layer's weights: its name, or `layers.<index>`."""
        return self.layers[index].name or f"layers.{index}"
