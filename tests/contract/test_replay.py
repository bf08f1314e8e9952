"""A recorded update replayed gives the plain loop's numbers, bit for bit, whatever the update is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import EnsembleBlock

LONG = {"epochs": 10, "batch_size": 5}
"""30 updates of the kit's 12 samples: enough for `auto` to record one."""
HEAD = {"type": "dense", "units": 2}
NETWORKS: dict[str, tuple[tuple[int, ...], list[Any]]] = {
    "dense": ((3,), [{"type": "dense", "units": 4, "activation": "gelu"}, HEAD]),
    "dropout": ((3,), [{"type": "dense", "units": 4, "activation": "tanh", "name": "d"}, HEAD]),
    "convolutions": (
        (6, 5, 2),
        [
            {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same", "activation": "relu"},
            {"type": "batch_norm", "momentum": 0.9},
            {"type": "depthwise_conv2d", "kernel_size": 2},
            {"type": "max_pooling2d", "pool_size": 2},
            {"type": "conv2d_transpose", "filters": 2, "kernel_size": 2, "strides": 2},
            "flatten",
            HEAD,
        ],
    ),
    "recurrent": (
        (4, 3),
        [
            {"type": "bidirectional", "layer": {"type": "lstm", "units": 2, "return_sequences": True}},
            {"type": "gru", "units": 3},
            HEAD,
        ],
    ),
    "shapes changed in place": (
        (4, 3),
        [
            {"type": "bidirectional", "layer": {"type": "simple_rnn", "units": 2, "return_sequences": True}},
            {"type": "simple_rnn", "units": 3},
            HEAD,
        ],
    ),
    "attention": (
        (4, 4),
        [
            {"type": "multi_head_attention", "num_heads": 2, "key_dim": 2},
            "layer_norm",
            {"type": "average_pooling1d", "pool_size": 2},
            "flatten",
            HEAD,
        ],
    ),
    "branches": (
        (3,),
        [
            {"type": "dense", "units": 4, "name": "one"},
            {"type": "dense", "units": 4, "activation": "mish", "name": "two"},
            {"type": "add", "inputs": ["one", "two"]},
            HEAD,
        ],
    ),
}
OPTIMIZERS: list[dict[str, Any]] = [
    {"type": "sgd", "momentum": 0.9, "nesterov": True, "clip_norm": 0.05},
    {"type": "sgd", "momentum": 0.9, "momentum_convention": "buffer", "weight_decay": 0.1},
    {"type": "adam", "amsgrad": True, "global_clip_norm": 0.05},
    {"type": "adamw", "weight_decay": 0.1, "clip_value": 0.02},
    {"type": "adamax"},
    {"type": "nadam"},
    {"type": "rmsprop", "centered": True, "momentum": 0.5},
    {"type": "adagrad"},
    {"type": "adadelta"},
]
LOSSES: list[Any] = [
    "mae",
    {"type": "huber", "delta": 0.3},
    "log_cosh",
    "binary_crossentropy",
    "kl_divergence",
    "cosine_similarity",
    {"type": "categorical_crossentropy", "class_weights": [0.5, 3.0], "weighting": "by_weights"},
    {"type": "mse", "reduction": "sum_of_means"},
]


@pytest.fixture(autouse=True)
def _only_torch(framework: str) -> None:
    if framework != "torch":
        pytest.skip("about PyTorch alone")


def both(kit: Any, *, input_shape: tuple[int, ...] = (3,), **changes: Any) -> tuple[Any, Any]:
    """The plain trainer and the replaying one of a job, from the same start."""
    trainers = []
    for execution in ("eager", "auto"):
        job = kit.job(training=LONG, execution=execution, **changes)
        draw = np.random.default_rng(7)
        x, y, _ = kit.problem(job, input_shape=input_shape)
        weights = {
            place.name: (draw.standard_normal(place.shape) ** 2 / 4 + 0.1).astype(job.precision)
            for place in compile_job(job, input_shape).weights
        }
        trainers.append(kit.trainer(job, weights=weights, x=x, y=y))
    plain, fast = trainers
    return plain, fast


def check(kit: Any, plain: Any, fast: Any, masks: Any = None) -> None:
    """Batches of two sizes, in turns."""
    for first, steps, batch in ((0, 6, 5), (6, 1, 2), (7, 5, 5), (12, 3, 2)):
        more = {"masks": masks(first, steps, batch)} if masks else {}
        block = kit.block(steps, batch=batch, first_step=first, rate=0.1 / (1 + first), **more)
        assert fast.train(block).tobytes() == plain.train(block).tobytes()
    for name, array in plain.weights().items():
        assert fast.weights()[name].tobytes() == array.tobytes(), name
    assert fast.execution == "replayed (a recorded update)"


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_layer_is_replayed(name: str, precision: str, kit: Any) -> None:
    shape, layers = NETWORKS[name]
    check(kit, *both(kit, layers=layers, input_shape=shape, optimizer="adam", precision=precision))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer["type"])
def test_every_optimizer_is_replayed(optimizer: dict[str, Any], kit: Any) -> None:
    check(kit, *both(kit, optimizer={"learning_rate": 0.1} | optimizer))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_loss_is_replayed(loss: Any, kit: Any) -> None:
    activation = "softmax" if loss == "kl_divergence" else "linear"
    check(kit, *both(kit, loss=loss, layers=[HEAD | {"activation": activation}]))


MEMBERS = 12


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("own_batches", [False, True])
def test_members_that_train_together_are_replayed(name: str, own_batches: bool, kit: Any) -> None:
    shape, layers = NETWORKS[name]
    ensembles = []
    for epochs in (1, 100):  # the first too few to be recorded
        job = kit.job(layers=layers, optimizer="adam", training={"epochs": epochs})
        x, y, _ = kit.problem(job, input_shape=shape)
        draw = np.random.default_rng(7)
        weights = {
            place.name: draw.uniform(0.1, 0.9, (MEMBERS, *place.shape))
            for place in compile_job(job, shape).weights
        }
        optimizers = [job.optimizer] * MEMBERS
        ensembles.append(kit.ensemble(job, optimizers=optimizers, weights=weights, x=x, y=y))
    plain, fast = ensembles
    assert (plain._replays, fast._replays) == (False, True)
    for first, steps, batch in ((0, 6, 5), (6, 1, 2), (7, 5, 5), (12, 3, 2)):
        axes = (MEMBERS, steps, batch) if own_batches else (steps, batch)
        block = EnsembleBlock(
            indices=np.random.default_rng(first).integers(0, 12, axes),
            learning_rates=np.full((MEMBERS, steps), 0.1 / (1 + first)),
            first_step=first,
        )
        assert fast.train(block).tobytes() == plain.train(block).tobytes()
    for tensor, array in plain.weights().items():
        assert fast.weights()[tensor].tobytes() == array.tobytes(), tensor
    assert not any(update.plain for update in fast._updates.values())


def test_each_update_has_masks_of_its_own(kit: Any) -> None:
    layers = [{"type": "dense", "units": 4}, {"type": "dropout", "rate": 0.5, "name": "drop"}, HEAD]

    def masks(first: int, steps: int, batch: int) -> Any:
        return {"drop": np.random.default_rng(first).integers(0, 2, (steps, batch, 4)) * 2.0}

    check(kit, *both(kit, layers=layers), masks=masks)


def test_weights_loaded_between_two_replays_are_the_ones_trained(kit: Any) -> None:
    plain, fast = both(kit)
    for trainer in (plain, fast):
        trainer.train(kit.block(3))
        trainer.load_weights({name: array * 0 for name, array in trainer.weights().items()})
    check(kit, plain, fast)


def test_an_update_that_reads_a_value_back_is_not_replayed(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, fast = both(kit)
    loss = fast._loss
    monkeypatch.setattr(fast, "_loss", lambda *given: loss(*given) * (1 if loss(*given).item() else 2))
    block = kit.block(6)
    assert fast.train(block).tobytes() == plain.train(block).tobytes()
    assert fast.execution == "eager"


def test_an_update_that_goes_by_the_recorder_is_not_replayed(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    plain, fast = both(kit)
    update = fast._update
    monkeypatch.setattr(
        fast,
        "_update",
        lambda batch, given: update(batch, [torch.from_numpy(each.numpy()) for each in given]),
    )
    block = kit.block(6)
    assert fast.train(block).tobytes() == plain.train(block).tobytes()
    assert fast.execution == "eager"


@pytest.mark.parametrize("way", ["of", "out_variant"])
def test_an_operation_that_the_interpreter_takes_for_another_is_not_replayed(
    kit: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    from likewise.worker.adapters.torch_adapter.replay_graph import Schema

    right = getattr(Schema, way)

    def mistaken(operation: Any) -> Schema | None:
        schema = right(operation)
        return schema and replace(schema, overload="aten::another")

    monkeypatch.setattr(Schema, way, mistaken)
    plain, fast = both(kit)
    block = kit.block(6)
    assert fast.train(block).tobytes() == plain.train(block).tobytes()
    assert fast.execution == "eager"


def test_the_check_sees_a_value_that_was_taken_for_one_that_stays(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from likewise.worker.adapters.torch_adapter import replay_graph

    staying = replay_graph._SHAPES_ALONE | {torch.ops.aten.mul.Tensor}
    monkeypatch.setattr(replay_graph, "_SHAPES_ALONE", staying)
    with pytest.raises(AssertionError):
        check(kit, *both(kit))


def test_few_updates_are_not_worth_a_recording(kit: Any) -> None:
    assert kit.build(kit.job(training={"epochs": 9, "batch_size": 5})).execution == "eager"
