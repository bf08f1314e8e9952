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


def listed(*shapes: Shape) -> str:
    """Return the shapes in a row, for a message."""
    return ", ".join(map(str, shapes))


def by(shape: Shape) -> str:
    """Return a shape in words, such as `8 x 8`."""
    return " x ".join(map(str, shape)) if shape else "a single number"
