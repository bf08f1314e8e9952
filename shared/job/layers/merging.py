"""Layers of several inputs, for residual connections and branches."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from shared.job.fields import Many
from shared.job.layers.base import BaseLayer, Shape, ShapeError, listed


class _Merging(BaseLayer):
    takes_several: ClassVar[bool] = True

    inputs: Many[str] = Field(min_length=2)
    """The names of the layers whose outputs it takes; `input` is the model's input."""


class Add(_Merging):
    """The sum of outputs of one shape, added in the order given."""

    type: Literal["add"]

    def output_shape(self, *inputs: Shape) -> Shape:
        """As every input's."""
        if len(set(inputs)) > 1:
            raise ShapeError(f"adds outputs of one shape, and gets {listed(*inputs)}")
        return inputs[0]


class Concatenate(_Merging):
    """The outputs side by side on the last axis, in the order given; their other axes are the same."""

    type: Literal["concatenate"]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The last axes after each other."""
        if not all(inputs) or len({shape[:-1] for shape in inputs}) > 1:
            raise ShapeError(f"needs inputs alike but for the last axis, and gets {listed(*inputs)}")
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))
