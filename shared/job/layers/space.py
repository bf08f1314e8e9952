"""Layers that change the size of the axes before the channels: zero padding, cropping and upsampling."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from likewise.shared.job.layers.windows import ByAxis, BySide, Spatial, by_axis, by_side
from likewise.shared.job.shape import Shape, ShapeError

Interpolation = Literal["nearest", "linear", "bilinear", "trilinear"]


class ZeroPadding(Spatial):
    """Zeros before and after each axis, as many as `padding` says."""

    type: Literal["zero_padding1d", "zero_padding2d", "zero_padding3d"]
    padding: BySide
    """A number for every side, one an axis, or a pair an axis: `[[0, 1], [0, 1]]` is none before and one
    after each of two. PyTorch's ZeroPad2d begins with the last axis: left, right, top, bottom."""

    @property
    def has_own_draws(self) -> bool:
        return False

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        self.need_axes(shape)
        pairs = by_side(self.padding, self.axes)
        return (
            *(size + before + after for size, (before, after) in zip(shape, pairs, strict=False)),
            shape[-1],
        )


class Cropping(Spatial):
    """The input without as many numbers before and after each axis as `cropping` says."""

    type: Literal["cropping1d", "cropping2d", "cropping3d"]
    cropping: BySide
    """A number for every side, one an axis, or a pair an axis: before and after."""

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        self.need_axes(shape)
        pairs = by_side(self.cropping, self.axes)
        left = tuple(size - before - after for size, (before, after) in zip(shape, pairs, strict=False))
        if min(left) < 1:
            raise ShapeError(f"crops samples of shape {shape} to nothing; crop less than an axis has")
        return (*left, shape[-1])


class Upsampling(Spatial):
    """Each axis `size` times as long. Nearest repeats each number; linear mixes the two nearest:

        y[i] = (1 − f)·x[⌊p⌋] + f·x[⌊p⌋ + 1], f = p − ⌊p⌋, along each axis in turn

    p is (i + ½)/size − ½ where corners are not aligned, held within the input, and
    i·(inputs − 1)/(outputs − 1) where they are, so that the first and last numbers keep their places.
    """

    keeps_axes: ClassVar[bool] = True

    type: Literal["upsampling1d", "upsampling2d", "upsampling3d"]
    size: ByAxis = 2
    """How many times as long each axis becomes."""
    interpolation: Interpolation = "nearest"
    """`nearest`, or `linear`, which is called `bilinear` over two axes and `trilinear` over three."""
    align_corners: bool = False
    """Whether the outermost numbers keep their places, as where PyTorch's align_corners is true; Keras has
    no such setting, and does not. Nearest has no corners to align."""

    @model_validator(mode="after")
    def _has_a_word_for_its_axes(self) -> Upsampling:
        word = {1: "linear", 2: "bilinear", 3: "trilinear"}[self.axes]
        if self.interpolation not in ("nearest", word):
            raise ValueError(
                f"interpolation {self.interpolation} is not for {self.type}; use nearest or {word}"
            )
        return self

    @property
    def is_linear(self) -> bool:
        """Return whether two numbers are mixed, and none is only repeated."""
        return self.interpolation != "nearest"

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        self.need_axes(shape)
        factors = by_axis(self.size, self.axes)
        return (*(size * factor for size, factor in zip(shape, factors, strict=False)), shape[-1])
