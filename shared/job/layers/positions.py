"""Where a step stands, added to its features, for layers that see no order by themselves, as attention."""

from __future__ import annotations

from typing import ClassVar, Literal

from likewise.shared.job.fields import Positive
from likewise.shared.job.layers.base import BaseLayer
from likewise.shared.job.shape import Shape, need_axes


class SinusoidalPosition(BaseLayer):
    """The input plus sines and cosines of each step's place p, counted from 0 (Vaswani et al. 2017):

        sin(p / max_wavelength^(2j/features)) and cos of the same, for j from 0 to below features/2

    Of an odd number of features the last pair has no cosine.
    """

    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    type: Literal["sinusoidal_position"]
    layout: Literal["interleaved", "halves"] = "interleaved"
    """Whether each cosine stands behind its sine, as in the paper, or all cosines behind all sines, as in
    tensor2tensor and many ports."""
    max_wavelength: Positive = 10_000.0
    """The base of the wavelengths, which reach 2π times this."""

    @property
    def summary(self) -> str:
        return "sinusoidal position"

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_axes(shape, "steps, features")
        return shape
