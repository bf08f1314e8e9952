"""Numbers by axis, and where windows stand over the axes before the channels.

The digit in a layer's word says how many such axes there are: `conv1d` is over (length, channels), `conv2d`
over (height, width, channels), `conv3d` over (depth, height, width, channels).

A window reaches over (size − 1)·dilation + 1 numbers. Windows begin at the start of the padded input,
`strides` apart, and only whole ones count. Padding is

    valid      none
    same       ⌈size/stride⌉ windows; in all max((windows − 1)·stride + reach − size, 0), the
               smaller half before: TensorFlow's rule for any stride
    symmetric  ⌊reach/2⌋ before and after, such as PyTorch's padding=1 for a kernel of 3: with a stride
               above 1 it has the shape of `same`, and other windows
    numbers    as many on both sides of each axis, such as PyTorch's padding=(1, 2), or a pair an axis
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from likewise.shared.job.fields import Count, Many
from likewise.shared.job.layers.base import BaseLayer
from likewise.shared.job.shape import Shape, ShapeError, need_axes

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
Padding = Literal["valid", "same", "symmetric"] | BySide

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


class Windowed(Spatial):
    """A layer that makes each of its outputs of one window of its input."""

    @property
    def window(self) -> Shape:
        """Return how many numbers of each axis a window holds."""
        raise NotImplementedError

    @property
    def steps(self) -> Shape:
        """Return how far apart windows are on each axis."""
        raise NotImplementedError

    @property
    def reaches(self) -> Shape:
        """Return over how many numbers of each axis a window reaches."""
        dilation = by_axis(getattr(self, "dilation", 1), self.axes)
        return tuple((size - 1) * apart + 1 for size, apart in zip(self.window, dilation, strict=True))

    def sides(self, shape: Shape) -> Sides:
        """Return what stands before and after each axis of an input."""
        padding = getattr(self, "padding", "valid")
        if not isinstance(padding, str):
            return by_side(padding, self.axes)
        axes = zip(shape, self.reaches, self.steps, strict=False)
        return tuple(_sides(padding, *axis) for axis in axes)

    def grid(self, shape: Shape) -> Shape:
        """Return how many windows each axis of an input has; raise ShapeError where not even one fits."""
        self.need_axes(shape)
        found = []
        for size, reach, step, (before, after) in zip(
            shape, self.reaches, self.steps, self.sides(shape), strict=False
        ):
            if reach > size + before + after:
                raise ShapeError(
                    f"has a window of {reach} over {size + before + after} values; use padding: same or a "
                    "smaller window"
                )
            found.append((size + before + after - reach) // step + 1)
        return tuple(found)


def _sides(padding: str, size: int, reach: int, step: int) -> tuple[int, int]:
    if padding == "same":
        whole = max((-(-size // step) - 1) * step + reach - size, 0)
        return whole // 2, whole - whole // 2
    each = reach // 2 if padding == "symmetric" else 0
    return each, each
