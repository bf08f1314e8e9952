"""Pooling, over inputs (length, channels) or (height, width, channels), each channel by itself.

Windows and padding stand as in `convolution`. Padding is never the maximum, and is no part of a mean
unless count_include_pad is true. Where several inputs of a window are the largest, the gradient of a
max_pooling goes to the first, that of global_max_pooling to each in equal parts.
"""

from __future__ import annotations

from typing import Literal

from shared.spec.fields import Count
from shared.spec.layers.base import BaseLayer
from shared.spec.layers.convolution import Padding, Pair


class _Pooling(BaseLayer):
    padding: Padding = "valid"


class MaxPooling1D(_Pooling):
    """The largest of each window."""

    type: Literal["max_pooling1d"]
    pool_size: Count = 2
    strides: Count | None = None
    """The pool size where null."""


class MaxPooling2D(_Pooling):
    """The largest of each window."""

    type: Literal["max_pooling2d"]
    pool_size: Pair = 2
    strides: Pair | None = None
    """The pool size where null."""


class _AveragePooling(_Pooling):
    count_include_pad: bool = False
    """Whether padding counts as zeros, so that a sum is divided by the whole window, as in PyTorch."""


class AveragePooling1D(_AveragePooling):
    """The mean of each window."""

    type: Literal["average_pooling1d"]
    pool_size: Count = 2
    strides: Count | None = None
    """The pool size where null."""


class AveragePooling2D(_AveragePooling):
    """The mean of each window."""

    type: Literal["average_pooling2d"]
    pool_size: Pair = 2
    strides: Pair | None = None
    """The pool size where null."""


class GlobalAveragePooling(BaseLayer):
    """The mean of each channel over its one or two other axes."""

    type: Literal["global_average_pooling"]


class GlobalMaxPooling(BaseLayer):
    """The largest of each channel over its one or two other axes."""

    type: Literal["global_max_pooling"]
