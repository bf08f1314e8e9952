"""The shape of one sample or one weight, without the batch: where it does not fit, and in words."""

from __future__ import annotations

Shape = tuple[int, ...]


class ShapeError(ValueError):
    """A layer cannot take its input, or nothing can be compared with the output of a model."""


def need_features(shape: Shape) -> None:
    """Raise ShapeError where a sample is a single number."""
    if not shape:
        raise ShapeError("gets a single number a sample, but needs an axis of features")


def need_axes(shape: Shape, axes: str) -> None:
    """Raise ShapeError where a sample has another number of axes than the words name."""
    if len(shape) != axes.count(",") + 1:
        raise ShapeError(
            f"gets samples of shape {shape}, but needs the axes ({axes}); put a reshape layer before it"
        )


def axis_of(axis: int, shape: Shape) -> int:
    """Return the place of an axis in a sample's shape, counted from 0; `axis` counts the batch, as in Keras.

    Raises ShapeError for the batch's own axis, and for one that there is not.
    """
    place = axis - 1 if axis > 0 else len(shape) + axis
    if axis == 0 or not 0 <= place < len(shape):
        raise ShapeError(
            f"names axis {axis} of samples of shape {shape}, whose axes are 1 to {len(shape)}, "
            f"or −1 to −{len(shape)} from the last"
        )
    return place


def listed(*shapes: Shape) -> str:
    """Return the shapes in a row, for a message."""
    return ", ".join(map(str, shapes))


def by(shape: Shape) -> str:
    """Return a shape in words, such as `8 x 8`."""
    return " x ".join(map(str, shape)) if shape else "a single number"
