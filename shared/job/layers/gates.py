"""Functions with weights or two halves: prelu, and the gates of feed-forward blocks."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from likewise.shared.job.activations import Activation, PlainActivation
from likewise.shared.job.fields import Many
from likewise.shared.job.layers.base import BaseLayer, LayerWeight, LearningLayer
from likewise.shared.job.regularizers import Constraint, Regularizer
from likewise.shared.job.shape import Shape, ShapeError, axis_of, need_features
from likewise.shared.job.weights import Initializer, Zeros


class Prelu(LearningLayer):
    """max(x, 0) − alpha·max(−x, 0), with an alpha that is learnt (He et al. 2015)."""

    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    type: Literal["prelu"]
    shared_axes: Literal["all"] | Annotated[Many[int], Field(min_length=1)] | None = None
    """Axes over which there is one alpha: none in Keras, which has one for each number; [1, 2] of an image is
    one a channel, as PyTorch's num_parameters=channels; `all` is a single number, PyTorch's default."""
    alpha_initializer: Initializer = Zeros(type="zeros")
    """What draws alpha: 0 in Keras, 0.25 in PyTorch."""
    alpha_regularizer: Regularizer | None = None
    """What the loss adds for alpha."""
    alpha_constraint: Constraint | None = None
    """What alpha is kept to after each update."""

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_features(shape)
        self._shared(shape)
        return shape

    def _shared(self, shape: Shape) -> set[int]:
        if self.shared_axes == "all":
            return set(range(len(shape)))
        return {axis_of(axis, shape) for axis in self.shared_axes or ()}

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        (shape,) = inputs
        shared = self._shared(shape)
        sizes = tuple(1 if place in shared else size for place, size in enumerate(shape))
        alpha = LayerWeight(
            name="alpha", shape=sizes, initializer=self.alpha_initializer, fan_in=shape[-1], fan_out=shape[-1]
        )
        return (alpha,)


class _Gate(BaseLayer):
    keeps_steps: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_features(shape)
        if shape[-1] % 2:
            raise ShapeError(f"halves the last axis, and gets {shape[-1]} features")
        return (*shape[:-1], shape[-1] // 2)


class Glu(_Gate):
    """One half of the features times activation(the other half), the gate (Dauphin et al. 2017)."""

    type: Literal["glu"]
    activation: Activation = PlainActivation(type="sigmoid")
    """What the gate passes: `gelu` makes geglu, `relu` reglu."""
    gate: Literal["first", "second"] = "second"
    """Which half is the gate: the second in the glu of Keras and PyTorch."""


class Swiglu(_Gate):
    """silu(one half of the features) times the other half (Shazeer 2020)."""

    type: Literal["swiglu"]
    gate: Literal["first", "second"] = "first"
    """Which half silu takes: the first in the paper and in LLaMA's gate_proj, up_proj; with the second it is
    a glu whose activation is silu."""

    @property
    def activation(self) -> PlainActivation:
        """Return what the gate passes."""
        return PlainActivation(type="silu")
