"""Pooling, over inputs (length, channels) or (height, width, channels), each channel by itself.

Windows and padding stand as in `convolution`. Padding is never the maximum, and is no part of a mean
unless count_include_pad is true. Where several inputs of a window are the largest, the gradient of a
max_pooling goes to the first, that of global_max_pooling to each in equal parts.
"""

from __future__ import annotations

from typing import Literal

from shared.job.fields import Count
from shared.job.layers.base import BaseLayer, Shape, ShapeError, need_axes
from shared.job.layers.convolution import Padding, Pair, pair, windows


class _Pooling(BaseLayer):
    padding: Padding = "valid"

    def _pooled_1d(self, shape: Shape, window: int, strides: int | None) -> Shape:
        need_axes(shape, "length, channels")
        return (windows(shape[0], window, strides or window, self.padding), shape[-1])

    def _pooled_2d(self, shape: Shape, window: int | Shape, strides: int | Shape | None) -> Shape:
        need_axes(shape, "height, width, channels")
        axes = zip(shape, pair(window), pair(strides or window), strict=False)
        return (*(windows(*axis, self.padding) for axis in axes), shape[-1])


class MaxPooling1D(_Pooling):
    """The largest of each window."""

    type: Literal["max_pooling1d"]
    pool_size: Count = 2
    strides: Count | None = None
    """The pool size where null."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """The windows, and the channels."""
        return self._pooled_1d(inputs[0], self.pool_size, self.strides)


class MaxPooling2D(_Pooling):
    """The largest of each window."""

    type: Literal["max_pooling2d"]
    pool_size: Pair = 2
    strides: Pair | None = None
    """The pool size where null."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """The windows, and the channels."""
        return self._pooled_2d(inputs[0], self.pool_size, self.strides)


class _AveragePooling(_Pooling):
    count_include_pad: bool = False
    """Whether padding counts as zeros, so that a sum is divided by the whole window, as in PyTorch."""


class AveragePooling1D(_AveragePooling):
    """The mean of each window."""

    type: Literal["average_pooling1d"]
    pool_size: Count = 2
    strides: Count | None = None
    """The pool size where null."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """The windows, and the channels."""
        return self._pooled_1d(inputs[0], self.pool_size, self.strides)


class AveragePooling2D(_AveragePooling):
    """The mean of each window."""

    type: Literal["average_pooling2d"]
    pool_size: Pair = 2
    strides: Pair | None = None
    """The pool size where null."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """The windows, and the channels."""
        return self._pooled_2d(inputs[0], self.pool_size, self.strides)


class _GlobalPooling(BaseLayer):
    def output_shape(self, *inputs: Shape) -> Shape:
        """The channels."""
        (shape,) = inputs
        if len(shape) not in (2, 3):
            raise ShapeError(f"gets samples of shape {shape}, but needs one or two axes before the channels")
        return shape[-1:]


class GlobalAveragePooling(_GlobalPooling):
    """The mean of each channel over its one or two other axes."""

    type: Literal["global_average_pooling"]


class GlobalMaxPooling(_GlobalPooling):
    """The largest of each channel over its one or two other axes."""

    type: Literal["global_max_pooling"]
