"""Batch normalization as Keras has it, but for the moving variance."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any


class UnbiasedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer with a moving variance that follows the batch's unbiased one, as PyTorch's does."""

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        """(b, …, channels) → the same shape; in training the moving statistics move."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        mean, variance = tf.nn.moments(inputs, axes=list(range(len(inputs.shape) - 1)))
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], inputs.dtype)
        one = tf.constant(1.0, inputs.dtype)
        unbiased = variance * (count / tf.maximum(count - one, one))
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return tf.nn.batch_normalization(
            inputs, mean, variance, offset=self.beta, scale=self.gamma, variance_epsilon=self.epsilon
        )
