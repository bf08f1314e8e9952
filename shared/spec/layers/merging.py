"""Layers of several inputs, for residual connections and branches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.spec.fields import Many
from shared.spec.layers.base import BaseLayer


class _Merging(BaseLayer):
    inputs: Many[str] = Field(min_length=2)
    """The names of the layers whose outputs it takes; `input` is the model's input."""


class Add(_Merging):
    """The sum of outputs of one shape, added in the order given."""

    type: Literal["add"]


class Concatenate(_Merging):
    """The outputs side by side on the last axis, in the order given; their other axes are the same."""

    type: Literal["concatenate"]
