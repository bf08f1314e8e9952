"""What only TensorFlow can get wrong: tracing too often, a GPU left in sight, Keras's own initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

SMALL = [{"type": "dense", "units": 4, "activation": "tanh"}, {"type": "dense", "units": 2}]
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
    assert not trainer.compiles


def test_other_numbers_seeds_and_samples_are_not_traced_anew(kit: Any) -> None:
    adam = {"type": "adam", "learning_rate": 0.01, "clip_norm": 1.0, "weight_decay": 0.1}
    first = kit.build(kit.job(layers=SMALL, optimizer=adam))
    assert first.compiles
    first.train(kit.block(3))
    outputs = first.outputs(kit.problem(kit.job(layers=SMALL))[0])
    for seed, changes in enumerate(
        [{"learning_rate": 0.5}, {"beta_1": 0.5, "epsilon": 1e-3}, {"clip_norm": 0.1, "weight_decay": 0.2}],
        start=1,
    ):
        job = kit.job(layers=SMALL, optimizer=adam | changes, training={"epochs": 7})
        x, y, weights = kit.problem(job, seed=seed)
        x, y = np.concatenate([x] * seed), np.concatenate([y] * seed)
        trainer = kit.adapter.build(job, input_shape=x.shape[1:], weights=weights, x=x, y=y)
        assert not trainer.compiles
        trainer.train(kit.block(3))
        assert (trainer.outputs(x[:12]) != outputs).any()
        assert trainer._program is first._program
    assert first._program.block.experimental_get_tracing_count() == 1
    assert first._program.outputs.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": [{"type": "dense", "units": 2, "use_bias": False}]},
        {"loss": "mae"},
        {"optimizer": {"type": "sgd", "momentum": 0.5}},
        {"optimizer": {"type": "sgd", "weight_decay": 0.5}},
        {"precision": "float32"},
        {"execution": "eager"},
    ],
)
def test_another_structure_is_another_program(kit: Any, changes: dict[str, Any]) -> None:
    assert kit.build(kit.job(**changes))._program is not kit.build(kit.job())._program


def test_only_the_programs_used_last_are_kept(kit: Any) -> None:
    from worker.adapters.tensorflow_adapter.programs import Programs

    programs = Programs(most=2)
    jobs = [kit.job(layers=[{"type": "dense", "units": units}]) for units in (1, 2, 3)]
    ask = lambda job: programs.program(job, input_shape=(3,), y=np.zeros((1, 1)))  # noqa: E731
    first, second = ask(jobs[0]), ask(jobs[1])
    assert ask(jobs[0]) is first
    ask(jobs[2])
    assert ask(jobs[0]) is first
    assert ask(jobs[1]) is not second


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
