"""What all layers share: a name, and the activation functions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.spec.fields import Many

Activation = Literal[
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "softsign", "tanh", "sigmoid", "softmax", "mish",
]  # fmt: skip
"""Formulas as in `worker.adapters.base`; leaky_relu has slope 0.2, elu alpha 1."""


class BaseLayer(Frozen):
    """A layer by itself."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """A handle for overrides and reports; weights are named by it, or by `layers.<index>`."""
    inputs: Many[str] | None = None
    """Whose output the layer takes, by name; `input` is the model's input. Null is the layer before it."""
