"""Normalizations over the last axis' features. γ, β and the moving statistics are weights by these names."""

from __future__ import annotations

from typing import Literal

from shared.spec.fields import Fraction, Positive
from shared.spec.initializers import Initializer, Ones, Zeros
from shared.spec.layers.base import BaseLayer


class _Normalization(BaseLayer):
    epsilon: Positive = 1e-3
    """Joins the variance under the root."""
    beta_initializer: Initializer = Zeros(type="zeros")
    gamma_initializer: Initializer = Ones(type="ones")


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
