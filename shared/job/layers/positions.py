"""Where a step stands, added to its features, for layers that see no order by themselves, as attention."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from likewise.shared.job.fields import Count, Positive
from likewise.shared.job.layers.base import BaseLayer, LayerWeight, LearningLayer
from likewise.shared.job.regularizers import Constraint, Regularizer
from likewise.shared.job.shape import Shape, ShapeError, need_axes
from likewise.shared.job.weights import Initializer, Uniform


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


class PositionEmbedding(LearningLayer):
    """The input plus a row of embeddings for each step's place, which are learnt."""

    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    type: Literal["position_embedding"]
    sequence_length: Count
    """How many rows there are, at least as many as steps; those beyond the last step learn nothing."""
    offset: Annotated[int, Field(ge=0)] = 0
    """Which row the first step has: 0 in BERT and GPT-2, 2 in RoBERTa and OPT."""
    embeddings_initializer: Initializer = Uniform(type="random_uniform")
    embeddings_regularizer: Regularizer | None = None
    """What the loss adds for all rows."""
    embeddings_constraint: Constraint | None = None
    """What the rows are kept to after each update."""

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_axes(shape, "steps, features")
        if self.offset + shape[0] > self.sequence_length:
            raise ShapeError(
                f"has {self.sequence_length} places, and {shape[0]} steps from place {self.offset} on need "
                f"{self.offset + shape[0]}"
            )
        return shape

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        shape = (self.sequence_length, inputs[0][-1])
        table = LayerWeight(
            name="embeddings",
            shape=shape,
            initializer=self.embeddings_initializer,
            fan_in=shape[0],
            fan_out=shape[1],
        )
        return (table,)

    def uses(self, *inputs: Shape) -> int:
        return 0
