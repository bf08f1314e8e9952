"""Pooling over one, two or three axes, each channel by itself: where its windows stand is in `windows`.

Padding is never the maximum, and no part of a mean unless count_include_pad is true. Where several inputs of
a window are the largest, the gradient of a max_pooling goes to the first, that of global_max_pooling to each
in equal parts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from likewise.shared.job.fields import Many
from likewise.shared.job.layers.base import BaseLayer
from likewise.shared.job.layers.windows import Amount, ByAxis, Windowed, by_axis
from likewise.shared.job.shape import Shape, ShapeError


class _Pooling(Windowed):
    pool_size: ByAxis = 2
    strides: ByAxis | None = None
    """The distance between windows; null is the pool size."""
    padding: Literal["valid", "same", "symmetric"] | Amount | Many[Amount] = Field(default="valid")
    """Where windows may stand, as in a convolution; a number, or one an axis, is what stands on both sides,
    at most half of pool_size, as in PyTorch."""

    @property
    def window(self) -> Shape:
        return by_axis(self.pool_size, self.axes)

    @property
    def steps(self) -> Shape:
        return by_axis(self.strides or self.pool_size, self.axes)

    @model_validator(mode="after")
    def _has_something_in_each_window(self) -> _Pooling:
        if not isinstance(self.padding, str):
            for amount, size in zip(by_axis(self.padding, self.axes), self.window, strict=True):
                if 2 * amount > size:
                    raise ValueError(f"padding {amount} is more than half of pool_size, {size}")
        return self

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (*self.grid(shape), shape[-1])


class MaxPooling(_Pooling):
    """The largest of each window."""

    type: Literal["max_pooling1d", "max_pooling2d", "max_pooling3d"]


class AveragePooling(_Pooling):
    """The mean of each window."""

    type: Literal["average_pooling1d", "average_pooling2d", "average_pooling3d"]
    count_include_pad: bool = False
    """Whether padding counts as zeros, so that a sum is divided by the whole window, as in PyTorch."""


class GlobalPooling(BaseLayer):
    """The mean, or the largest, of each channel over its one, two or three other axes.

    A mean is without steps that are padding, and 0 of none.
    """

    type: Literal["global_average_pooling", "global_max_pooling"]

    @property
    def minds_padding(self) -> bool:
        return self.type == "global_average_pooling"

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) not in (2, 3, 4):
            raise ShapeError(
                f"gets samples of shape {shape}, but needs one to three axes before the channels"
            )
        return shape[-1:]
