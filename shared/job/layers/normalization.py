"""Normalization over a batch, a sample's axes, or groups of its channels. Channels are the last axis."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from likewise.shared.job.fields import Count, Fraction, Many, Positive
from likewise.shared.job.layers.base import BaseLayer, LayerWeight, LearningLayer
from likewise.shared.job.regularizers import Constraint, Regularizer
from likewise.shared.job.shape import Shape, ShapeError, axis_of, need_features
from likewise.shared.job.weights import Initializer, Ones, Zeros

Axes = int | Annotated[Many[int], Field(min_length=1)]


class _Scaled(LearningLayer):
    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    epsilon: Positive = 1e-3
    """It joins the variance under the root."""
    gamma_initializer: Initializer = Ones(type="ones")
    gamma_regularizer: Regularizer | None = None
    """What the loss adds for gamma."""
    gamma_constraint: Constraint | None = None
    """What gamma is kept to after each update."""

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_features(shape)
        return shape


class _Normalization(_Scaled):
    beta_initializer: Initializer = Zeros(type="zeros")
    beta_regularizer: Regularizer | None = None
    """What the loss adds for beta."""
    beta_constraint: Constraint | None = None
    """What beta is kept to after each update."""

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        return self._scaling(inputs[0][-1:])

    def _scaling(self, shape: Shape) -> tuple[LayerWeight, ...]:
        return (
            _weight("gamma", shape, self.gamma_initializer),
            _weight("beta", shape, self.beta_initializer),
        )


class _OverAxes(_Scaled):
    axis: Axes = -1
    """Over which axes: 1 is a sample's first, −1 its last. PyTorch's normalized_shape is the sizes of the
    last axes."""

    def places(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of a sample in order, counted from 0; raise ShapeError for one it has not."""
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return tuple(sorted({axis_of(axis, shape) for axis in axes}))

    def output_shape(self, *inputs: Shape) -> Shape:
        shape = super().output_shape(*inputs)
        self.places(shape)
        return shape

    def scaled_shape(self, shape: Shape) -> Shape:
        """Return the shape of gamma and beta: the sizes of the axes."""
        return tuple(shape[place] for place in self.places(shape))


class LayerNorm(_OverAxes, _Normalization):
    """gamma·(x − mean)/√(variance + epsilon) + beta, mean and biased variance over the axes of each sample.

    gamma and beta have the axes that are normalized over.
    """

    type: Literal["layer_norm"]

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        return self._scaling(self.scaled_shape(*inputs))


class RmsNorm(_OverAxes):
    """gamma·x/√(mean of x² + epsilon), over the axes of each sample; Keras calls gamma the scale."""

    type: Literal["rms_norm"]
    epsilon: Positive = 1e-6
    """It joins the mean of the squares under the root."""

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        return (_weight("gamma", self.scaled_shape(*inputs), self.gamma_initializer),)


class GroupNorm(_Normalization):
    """gamma·(x − mean)/√(variance + epsilon) + beta, over a group of a sample's channels and all other axes.

    Groups are of channels side by side. gamma and beta are one number a channel (Wu & He 2018).
    """

    type: Literal["group_norm"]
    groups: Literal[-1] | Count = 32
    """How many groups the channels fall into; −1 is one a channel, as in Keras."""

    def output_shape(self, *inputs: Shape) -> Shape:
        shape = super().output_shape(*inputs)
        if self.groups > 0 and shape[-1] % self.groups:
            raise ShapeError(f"gets {shape[-1]} channels, which do not divide into {self.groups} groups")
        return shape

    def count(self, shape: Shape) -> int:
        """Return how many groups there are."""
        return shape[-1] if self.groups == -1 else self.groups


class InstanceNorm(_Normalization):
    """gamma·(x − mean)/√(variance + epsilon) + beta, over each sample's channels by themselves.

    That is group_norm with a group a channel. PyTorch's InstanceNorm keeps no moving statistics either,
    unless it is asked to.
    """

    type: Literal["instance_norm"]
    affine: bool = True
    """Whether there are gamma and beta: PyTorch has none unless asked for."""

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        return super().weights(*inputs) if self.affine else ()

    def count(self, shape: Shape) -> int:
        """Return how many groups of channels there are: as many as channels."""
        return shape[-1]


class UnitNormalization(BaseLayer):
    """x/√(the sum of x² over an axis), so that each vector along the axis has the length 1.

    One that is shorter than epsilon is divided by epsilon. That is PyTorch's normalize.
    """

    keeps_axes: ClassVar[bool] = True
    keeps_steps: ClassVar[bool] = True

    type: Literal["unit_normalization"]
    axis: int = -1
    """Along which axis vectors lie: 1 is a sample's first, −1 its last."""
    epsilon: Positive = 1e-12
    """The least length that is divided by. TensorFlow's l2_normalize has the square of it as its epsilon."""

    @property
    def has_own_draws(self) -> bool:
        return False

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        axis_of(self.axis, shape)
        return shape


class BatchNorm(_Normalization):
    """gamma·(x − mean)/√(variance + epsilon) + beta, for each channel: each place on the last axis.

    In training mean and biased variance are the batch's, over all other axes, and after each step

        moving ← momentum·moving + (1 − momentum)·batch

    for both, with the variance that moving_variance names. Afterwards the moving ones, which no gradient
    changes, take their place. They start at moving_mean 0 and moving_variance 1. Of a layer with
    `trainable: false`, frozen_mode says whether training takes the batch's or the moving ones. Steps that
    are padding are left out of the batch's, whose sums are divided by the number of the others plus 1e-7, as
    in Keras.
    """

    type: Literal["batch_norm"]
    momentum: Fraction = 0.99
    """The part of the moving statistics that stays; PyTorch's momentum is 1 minus this."""
    moving_variance: Literal["biased", "unbiased"] = "biased"
    """Which variance the moving one follows: Keras's, a sum over the channel's n values divided by n, or
    PyTorch's, divided by n − 1. A single value has the variance 0 in both."""
    frozen_mode: Literal["inference", "training"] = "inference"
    """What a frozen layer does in training: take the moving statistics and leave them, as Keras's with
    trainable=False, or take the batch's and move them, as PyTorch's with requires_grad=False alone."""

    @property
    def uses_batch(self) -> bool:
        """Return whether training normalizes by the batch's statistics, and moves the moving ones."""
        return self.trainable or self.frozen_mode == "training"

    @property
    def minds_padding(self) -> bool:
        return True

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        channels = inputs[0][-1:]
        return (
            *super().weights(*inputs),
            _weight("moving_mean", channels, Zeros(type="zeros"), trainable=False),
            _weight("moving_variance", channels, Ones(type="ones"), trainable=False),
        )


def _weight(name: str, shape: Shape, initializer: Initializer, *, trainable: bool = True) -> LayerWeight:
    return LayerWeight(
        name=name,
        shape=shape,
        initializer=initializer,
        fan_in=prod(shape),
        fan_out=prod(shape),
        trainable=trainable,
    )
