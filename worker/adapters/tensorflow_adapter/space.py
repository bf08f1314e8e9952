"""Zero padding, cropping and upsampling, as functions of a layer and its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from likewise.shared.job.layers.space import Cropping, Upsampling, ZeroPadding
from likewise.shared.job.layers.windows import by_axis, by_side
from likewise.worker.adapters.common import interpolation_weights

Tensor = Any


def _padded(layer: ZeroPadding, x: Tensor) -> Tensor:
    return tf.pad(x, ((0, 0), *by_side(layer.padding, layer.axes), (0, 0)))


def _cropped(layer: Cropping, x: Tensor) -> Tensor:
    sides = by_side(layer.cropping, layer.axes)
    inside = (slice(before, size - after) for size, (before, after) in zip(x.shape[1:-1], sides, strict=True))
    return x[(slice(None), *inside)]


def _upsampled(layer: Upsampling, x: Tensor) -> Tensor:
    """Lengthen axis after axis; a linear one is a product with the axis's weights."""
    for axis, factor in enumerate(by_axis(layer.size, layer.axes), start=1):
        if layer.is_linear:
            weights = interpolation_weights(x.shape[axis], factor, align_corners=layer.align_corners)
            y = tf.tensordot(x, tf.constant(weights, x.dtype), [[axis], [1]])
            order = list(range(len(x.shape) - 1))
            x = tf.transpose(y, (*order[:axis], len(order), *order[axis:]))
        else:
            x = tf.repeat(x, factor, axis=axis)
    return x


SPACES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    f"{word}{axes}d": function
    for word, function in (("zero_padding", _padded), ("cropping", _cropped), ("upsampling", _upsampled))
    for axes in (1, 2, 3)
}
"""What each kind of layer that changes the axes before the channels makes of its input."""
