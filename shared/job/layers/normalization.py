"""Normalizations over the last axis' features. γ, β and the moving statistics are weights by these names."""

from __future__ import annotations

from typing import Literal

from shared.job.fields import Fraction, Positive
from shared.job.initializers import Initializer, Ones, Zeros
from shared.job.layers.base import BaseLayer, LayerWeight, Shape, need_features


class _Normalization(BaseLayer):
    epsilon: Positive = 1e-3
    """Joins the variance under the root."""
    beta_initializer: Initializer = Zeros(type="zeros")
    gamma_initializer: Initializer = Ones(type="ones")

    def output_shape(self, *inputs: Shape) -> Shape:
        """As it was."""
        (shape,) = inputs
        need_features(shape)
        return shape

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        """Gamma and beta, one number a feature."""
        features = inputs[0][-1]
        return (
            _weight("gamma", features, self.gamma_initializer),
            _weight("beta", features, self.beta_initializer),
        )


class LayerNorm(_Normalization):
    """gamma·(x − mean)/√(variance + epsilon) + beta, mean and biased variance over the last axis."""

    type: Literal["layer_norm"]


class BatchNorm(_Normalization):
    """gamma·(x − mean)/√(variance + epsilon) + beta, for each channel: each place on the last axis.

    In training mean and biased variance are the batch's, over all other axes, and after each step

        moving ← momentum·moving + (1 − momentum)·batch

    for both, with the variance that moving_variance names. Afterwards the moving ones, which no gradient
    changes, take their place. They start at moving_mean 0 and moving_variance 1.
    """

    type: Literal["batch_norm"]
    momentum: Fraction = 0.99
    """The part of the moving statistics that stays; PyTorch's momentum is 1 minus this."""
    moving_variance: Literal["biased", "unbiased"] = "biased"
    """Which variance the moving one follows: Keras's, a sum over the channel's n values divided by n, or
    PyTorch's, divided by n − 1. A single value has the variance 0 in both."""

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        """Gamma and beta, and the moving statistics, which no gradient changes."""
        features = inputs[0][-1]
        return (
            *super().weights(*inputs),
            _weight("moving_mean", features, Zeros(type="zeros"), trainable=False),
            _weight("moving_variance", features, Ones(type="ones"), trainable=False),
        )


def _weight(name: str, features: int, initializer: Initializer, *, trainable: bool = True) -> LayerWeight:
    return LayerWeight(
        name=name,
        shape=(features,),
        initializer=initializer,
        fan_in=features,
        fan_out=features,
        trainable=trainable,
    )
