"""Numbers by axis, and the layers that have an axis or several before the channels.

The digit in such a layer's word says how many: `conv1d` is over (length, channels), `conv2d` over
(height, width, channels), `conv3d` over (depth, height, width, channels).
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from likewise.shared.job.fields import Count, Many
from likewise.shared.job.layers.base import BaseLayer
from likewise.shared.job.shape import Shape, need_axes

Amount = Annotated[int, Field(ge=0)]
Sides = tuple[tuple[int, int], ...]
"""What stands before and after each axis."""

ByAxis = Count | Annotated[Many[Count], Field(min_length=1, max_length=3)]
"""One number for every axis, or one an axis, the channels left out."""
BySide = (
    Amount
    | Annotated[
        Many[Amount | Annotated[Many[Amount], Field(min_length=2, max_length=2)]],
        Field(min_length=1, max_length=3),
    ]
)
"""One number for both sides of every axis, one an axis, or a pair an axis: before and after."""

AXES = {1: "length, channels", 2: "height, width, channels", 3: "depth, height, width, channels"}


def by_axis(value: int | Shape, axes: int) -> Shape:
    """Return the numbers of a ByAxis, one an axis."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def by_side(value: int | tuple[int | Shape, ...], axes: int) -> Sides:
    """Return the numbers of a BySide, a pair an axis; two numbers of a single axis are its two sides."""
    if isinstance(value, int):
        value = (value,) * axes
    if axes == 1 and len(value) == 2:
        value = (value,)  # type: ignore[assignment]
    return tuple((one, one) if isinstance(one, int) else (one[0], one[1]) for one in value)


class Spatial(BaseLayer):
    """A layer over as many axes before the channels as its word says."""

    slides_windows: ClassVar[bool] = True

    @property
    def axes(self) -> int:
        """Return how many axes there are before the channels."""
        return int(re.sub(r"\D", "", self.kind))

    def need_axes(self, shape: Shape) -> None:
        """Raise ShapeError where a sample has other axes."""
        need_axes(shape, AXES[self.axes])

    @model_validator(mode="after")
    def _has_a_number_an_axis(self) -> Spatial:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if not isinstance(value, tuple) or name == "inputs":
                continue
            sides_of_one = self.axes == 1 and len(value) == 2 and name in ("padding", "cropping")
            if len(value) != self.axes and not sides_of_one:
                axes = f"{self.axes} {'axis' if self.axes == 1 else 'axes'} before the channels"
                raise ValueError(
                    f"{name} is for {len(value)}, and {self.kind} has {axes}; give one number for all, or "
                    "one an axis"
                )
        return self
