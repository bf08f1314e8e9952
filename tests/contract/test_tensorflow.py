"""What only TensorFlow can get wrong: tracing too often, a GPU left in sight, Keras's own initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

LAYERS = [{"type": "flatten"}, {"type": "dense", "units": 50}, {"type": "dense", "units": 20}]


@pytest.fixture(autouse=True)
def _only_tensorflow(framework: str) -> None:
    if framework != "tensorflow":
        pytest.skip("about TensorFlow alone")


def test_a_job_is_traced_once_whatever_the_blocks_lengths_and_batches(kit: Any) -> None:
    assert kit.adapter.name == "tensorflow"
    trainer = kit.build(kit.job())
    for first_step, (steps, batch) in enumerate([(1, 5), (8, 5), (3, 5), (1, 2), (4, 12)]):
        trainer.train(kit.block(steps, batch=batch, first_step=first_step))
    assert trainer._program.block.experimental_get_tracing_count() == 1


def test_the_devices_are_left_without_a_gpu(kit: Any) -> None:
    import tensorflow as tf

    assert kit.adapter.name == "tensorflow"
    assert tf.config.get_visible_devices("GPU") == []


def test_default_weights_are_what_a_keras_user_gets(kit: Any) -> None:
    import keras

    job = kit.job(layers=LAYERS, precision="float32")
    weights = kit.adapter.default_weights(job, input_shape=(4, 10), seed=5)
    keras.utils.set_random_seed(5)
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 10)), layers.Flatten(), layers.Dense(50), layers.Dense(20)])
    for mine, theirs in zip(weights.values(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
