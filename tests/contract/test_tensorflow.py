"""What only TensorFlow can get wrong: tracing too often, a GPU left in sight, Keras's own initial weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import Batch, Block

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
    assert trainer._program._loop.traces == 1
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
        trainer = kit.trainer(job, weights=weights, x=x, y=y)
        assert not trainer.compiles
        trainer.train(kit.block(3))
        assert (trainer.outputs(x[:12]) != outputs).any()
        assert trainer._program is first._program
    assert first._program._loop.traces == 1
    assert first._program.outputs.traces == 1


@pytest.fixture
def on_one_thread(kit: Any) -> Iterator[None]:
    yield
    kit.adapter.use_threads(1)


@pytest.mark.usefixtures("on_one_thread")
def test_each_number_of_threads_has_a_pool_that_is_kept_and_its_own_bits(kit: Any) -> None:
    job = kit.job(layers=[*LAYERS[:2], {"type": "dense", "units": 2}])
    draw = np.random.default_rng(0)
    x, y = (draw.normal(scale=0.1, size=(5_000, of)) for of in (40, 2))
    weights = kit.problem(job, input_shape=(40,))[2]
    block = Block(
        indices=np.arange(8_192).reshape(2, 4_096) % 5_000,
        learning_rates=np.full(2, 0.01),
        first_step=0,
    )
    found: dict[int, list[np.ndarray]] = {1: [], 3: []}
    counted = []
    for threads in (1, 3, 1, 3):
        assert kit.adapter.use_threads(threads) == threads
        trainer = kit.trainer(job, weights=weights, x=x, y=y)
        trainer.train(block)
        trained = trainer.weights() | {"outputs": trainer.outputs(x)}
        found[threads].append(np.concatenate([array.ravel() for array in trained.values()]))
        counted.append(len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0)
    for once, again in found.values():
        assert (once == again).all(), "a pool gives the same bits each time"
    assert np.allclose(found[1][0], found[3][0], rtol=1e-12, atol=1e-12)
    assert (found[1][0] != found[3][0]).any(), "the pool was the same, or the product too small to be shared"
    assert counted[1] == counted[2] == counted[3], "a pool that is taken again starts no thread"


def test_threads_share_products_that_are_large_and_nothing_that_xla_compiles(kit: Any) -> None:
    def shared(layers: list[dict[str, Any]], shape: tuple[int, ...], **changes: Any) -> float:
        job = kit.job(layers=layers, **changes)
        return float(kit.adapter.shared_out(compile_job(job, shape), job, samples=64))

    dense, lstm = {"type": "dense", "units": 20}, {"type": "lstm", "units": 20}
    assert shared([dense], (20,)) == 400
    assert shared([lstm], (50, 20)) == 1_600, "a step's product, and not all fifty"
    assert shared([dense], (20,), execution="compiled") == 0
    assert shared([dense], (20,), training={"epochs": 50_000}) == 0
    conv = {"type": "conv1d", "filters": 4, "kernel_size": 1}
    assert shared([conv, {"type": "flatten"}], (5, 2), execution="compiled") == 40, "runs as the graph"


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


FUSED: dict[str, tuple[tuple[int, ...], list[dict[str, Any]], dict[str, Any]]] = {
    "adam": ((3,), [], {"type": "adam", "learning_rate": 0.002}),
    "clipped nadam": ((3,), [], {"type": "nadam", "learning_rate": 0.002, "clip_norm": 0.01}),
    "centered rmsprop": ((3,), [], {"type": "rmsprop", "learning_rate": 0.002, "centered": True}),
    "batch_norm": ((3,), [{"type": "batch_norm"}], {"type": "sgd", "momentum": 0.9}),
    "lstm": ((4, 3), [{"type": "lstm", "units": 5}], {"type": "adamw", "learning_rate": 0.002}),
}


@pytest.mark.parametrize(
    ("name", "precision", "first", "fifty"),
    [*((name, "float64", 1e-12, 1e-10) for name in FUSED), ("adam", "float32", 5e-7, 5e-7)],
)
def test_xla_gives_the_same_numbers_up_to_rounding(
    kit: Any, name: str, precision: str, first: float, fifty: float
) -> None:
    input_shape, layers, optimizer = FUSED[name]
    plain, fused = (
        Trained(kit, input_shape, [*layers, *SMALL], optimizer, precision=precision, execution=execution)
        for execution in ("auto", "compiled")
    )
    assert plain.trainer.execution == "compiled (tf.function)"
    assert fused.trainer.execution == "compiled (XLA)"
    assert gap(plain.after_first, fused.after_first) <= first
    assert gap(plain.after_fifty, fused.after_fifty) <= fifty


def test_marks_of_xla_stand_between_its_calls(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.worker.adapters.tensorflow_adapter.xla.MOST_STEPS", 2)
    trainer = kit.build(kit.job(layers=SMALL, execution="compiled"))
    block = kit.block(7)
    losses, marks = trainer.train_marked(block, every=3)
    after = trainer.weights()
    assert marks.every == 4
    trainer.restore(marks.at(1))
    assert trainer.train(block.part(4, 7)).tobytes() == losses[4:].tobytes()
    assert gap(trainer.weights(), after) == 0.0


def test_the_check_of_xla_sees_a_wrong_number(kit: Any) -> None:
    one, other = (
        Trained(
            kit, (3,), SMALL, {"type": "adam", "epsilon": epsilon}, precision="float64", execution=execution
        )
        for epsilon, execution in ((1e-7, "auto"), (1e-8, "compiled"))
    )
    assert gap(one.after_first, other.after_first) > 1e-12


class Trained:
    """A training of 50 steps, in blocks."""

    def __init__(
        self, kit: Any, input_shape: tuple[int, ...], layers: Any, optimizer: Any, **more: Any
    ) -> None:
        job = kit.job(layers=layers, optimizer=optimizer, **more)
        draw = np.random.default_rng(1)
        x = draw.standard_normal((12, *input_shape)).astype(job.precision)
        y = draw.standard_normal((12, 2)).astype(job.precision)
        weights = {
            place.name: (0.5 + 0.5 * draw.random(place.shape)).astype(job.precision)
            for place in compile_job(job, input_shape).weights
        }
        self.trainer = kit.trainer(job, weights=weights, x=x, y=y)
        self.trainer.train(kit.block(1, rate=0.002))
        self.after_first = self.trainer.weights()
        self.trainer.train(kit.block(49, first_step=1, rate=0.002))
        self.after_fifty = self.trainer.weights()


def gap(one: Any, other: Any) -> float:
    """The largest, relative to the largest number of its tensor."""
    return max(float(np.abs(one[name] - other[name]).max() / np.abs(one[name]).max()) for name in one)


def test_xla_compiles_once_for_every_block_and_for_other_numbers_and_seeds(kit: Any) -> None:
    adam = {"type": "adam", "learning_rate": 0.01}
    layers = [{"type": "dense", "units": 2, "name": "once"}]
    changes = {"layers": layers, "execution": "compiled", "training": {"epochs": 1, "batch_size": 6}}
    first = kit.build(kit.job(**changes, optimizer=adam))
    assert first.compiles
    for step, steps in enumerate((1, 8, 3)):
        first.train(kit.block(steps, batch=6, first_step=step))
        assert not first.compiles
    again = kit.build(kit.job(**changes, optimizer=adam | {"beta_1": 0.5}), seed=1)
    assert not again.compiles
    again.train(kit.block(3, batch=6))
    assert again._program is first._program
    assert first._program._fused.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(("epochs", "execution"), [(24_999, "tf.function"), (25_000, "XLA")])
def test_only_very_many_updates_take_xla_of_themselves(kit: Any, epochs: int, execution: str) -> None:
    trainer = kit.build(kit.job(training={"epochs": epochs, "batch_size": 6}))
    assert trainer.execution == f"compiled ({execution})"


@pytest.mark.parametrize(("epochs", "execution"), [(6_249, "tf.function"), (6_250, "XLA")])
def test_each_time_step_of_a_recurrent_layer_counts_as_an_update(
    kit: Any, epochs: int, execution: str
) -> None:
    layers = [{"type": "bidirectional", "layer": {"type": "lstm", "units": 2}}, *SMALL]
    trained = Trained(kit, (4, 3), layers, {"type": "sgd"}, training={"epochs": epochs})
    assert trained.trainer.execution == f"compiled ({execution})"


@pytest.mark.parametrize("steps", [1, 13, 20])
@pytest.mark.parametrize(
    "layer",
    [
        {"type": "lstm", "units": 3, "return_sequences": True},
        {"type": "gru", "units": 3, "use_bias": False},
        {"type": "bidirectional", "layer": {"type": "lstm", "units": 3}},
        {"type": "bidirectional", "layer": {"type": "gru", "units": 3, "return_sequences": True}},
    ],
    ids=lambda layer: f"{layer['type']}-{layer.get('layer', {}).get('type', '')}",
)
def test_our_recurrence_has_the_outputs_and_gradients_of_keras(
    kit: Any, layer: dict[str, Any], steps: int
) -> None:
    from likewise.worker.adapters.tensorflow_adapter.model import TensorFlowObserver

    job = kit.job(layers=[layer, {"type": "flatten"}, {"type": "dense", "units": 2}])
    program = compile_job(job, (steps, 4))
    draw = np.random.default_rng(0)
    weights = {weight.name: draw.standard_normal(weight.shape) for weight in program.weights}
    batch = Batch(draw.standard_normal((5, steps, 4)), draw.standard_normal((5, 2)))
    seen = []
    for way in ("looped", "keras"):
        observer = TensorFlowObserver(program, job, device="/CPU:0")
        observer._network.recurrent = way  # type: ignore[assignment]
        seen.append(observer.observe(weights, batch, masks={}))
    ours, theirs = seen
    for name, gradient in theirs.gradients.items():
        np.testing.assert_allclose(ours.gradients[name], gradient, rtol=1e-11, atol=1e-12)
    for path, output in theirs.layers.items():
        np.testing.assert_allclose(ours.layers[path], output, rtol=1e-12, atol=1e-13)


def test_a_block_longer_than_one_call_of_xla_is_cut(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.worker.adapters.tensorflow_adapter import xla

    monkeypatch.setattr(xla, "MOST_STEPS", 4)
    jobs = [
        kit.job(layers=[{"type": "dense", "units": 2, "name": "cut"}], execution=e)
        for e in ("auto", "compiled")
    ]
    losses = [kit.build(job).train(kit.block(11)) for job in jobs]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-13)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ({"type": "conv1d", "filters": 2, "kernel_size": 2}, "XLA's convolutions"),
        ({"type": "activation", "activation": "softsign"}, "XLA cannot compile"),
    ],
)
def test_what_xla_is_no_good_at_runs_as_the_graph_and_says_so(
    kit: Any, monkeypatch: pytest.MonkeyPatch, layer: dict[str, Any], why: str
) -> None:
    import tensorflow as tf

    from likewise.worker.adapters.tensorflow_adapter import activations

    def through_strings(x: Any) -> Any:
        return x + tf.cast(tf.strings.length(tf.strings.as_string(x)), x.dtype)

    if layer["type"] == "activation":
        monkeypatch.setitem(activations.PLAIN, "softsign", through_strings)
    model = [layer, {"type": "flatten"}, {"type": "dense", "units": 2}]
    losses = []
    for execution in ("auto", "compiled"):
        trained = Trained(kit, (4, 3), model, {"type": "sgd"}, execution=execution)
        losses.append(trained.after_fifty)
    assert trained.trainer.execution.startswith(f"compiled (tf.function; {why}")
    assert not trained.trainer.compiles
    assert gap(*losses) == 0


def test_the_devices_are_left_without_a_gpu(kit: Any) -> None:
    import tensorflow as tf

    assert kit.adapter.name == "tensorflow"
    assert tf.config.get_visible_devices("GPU") == []


def test_default_weights_are_what_a_keras_user_gets(kit: Any) -> None:
    import keras

    job = kit.job(layers=LAYERS, precision="float32")
    weights = kit.default_weights(job, input_shape=(4, 10), seed=5)
    keras.utils.set_random_seed(5)
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 10)), layers.Flatten(), layers.Dense(50), layers.Dense(20)])
    for mine, theirs in zip(weights.values(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("steps", "epochs", "reason"),
    [
        (32, 200, None),
        (32, 199, "in 1,990 updates; from 2,000 on it pays"),
        (33, 200, "of up to 64 steps, and these have 66"),
    ],
)
def test_recurrent_layers_train_together_where_tracing_is_repaid(
    steps: int, epochs: int, reason: str | None, kit: Any
) -> None:
    from likewise.worker.adapters.tensorflow_adapter.ensemble import obstacle

    both_ways = {"type": "bidirectional", "layer": {"type": "gru", "units": 3}}
    job = kit.job(layers=[both_ways, {"type": "dense", "units": 2}], training={"epochs": epochs})
    found = obstacle(job, compile_job(job, (steps, 3)), samples=12, members=10, cpu=True)
    assert (found is None) if reason is None else (found is not None and reason in found)


@pytest.mark.parametrize(
    ("units", "members", "epochs", "reason"),
    [
        (40, 10, 5_000, None),
        (50, 9, 4_999, None),
        (50, 10, 5_000, "more than 5,000 numbers a step, and these give 6,000"),
        (40, 9, 5_000, "fewer than 10"),
    ],
)
def test_recurrent_layers_train_one_after_another_where_xla_is_quicker(
    units: int, members: int, epochs: int, reason: str | None, kit: Any
) -> None:
    from likewise.worker.adapters.tensorflow_adapter.ensemble import obstacle

    layers = [{"type": "lstm", "units": units}, {"type": "dense", "units": 2}]
    job = kit.job(layers=layers, training={"epochs": epochs})
    found = obstacle(job, compile_job(job, (10, 3)), samples=12, members=members, cpu=True)
    assert (found is None) if reason is None else (found is not None and reason in found)
