"""What a trainer keeps between blocks can be taken out and put into a new one, which goes on bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.worker.adapters.trainer import Block, EnsembleBlock, EnsembleTrainer, Trainer

LAYERS = [
    {"type": "dense", "units": 4, "activation": "tanh"},
    {"type": "batch_norm", "name": "norm"},
    {"type": "dropout", "rate": 0.5, "name": "drop"},
    {"type": "dense", "units": 2},
]
OPTIMIZERS = {
    "sgd": {"type": "sgd"},
    "momentum": {"type": "sgd", "momentum": 0.9, "nesterov": True},
    "adam": {"type": "adam", "amsgrad": True},
    "adamw": {"type": "adamw", "weight_decay": 0.01, "global_clip_norm": 1.0},
    "adamax": {"type": "adamax"},
    "nadam": {"type": "nadam"},
    "rmsprop": {"type": "rmsprop", "centered": True, "momentum": 0.9},
    "adagrad": {"type": "adagrad"},
    "adadelta": {"type": "adadelta"},
}
STEPS, AFTER = 8, 5


def trainer_of(kit: Any, **changes: Any) -> Trainer:
    """A new one, from its initial weights."""
    job = kit.job(layers=LAYERS, **changes)
    x, y, _ = kit.problem(job)
    weights = kit.default_weights(job, input_shape=x.shape[1:], seed=3)
    trainer: Trainer = kit.trainer(job, weights=weights, x=x, y=y)
    return trainer


def blocks(kit: Any, precision: str) -> tuple[Block, Block]:
    """Two that follow one another."""
    masks = {"drop": (np.random.default_rng(2).integers(0, 2, (STEPS, 5, 4)) * 2.0).astype(precision)}
    rates = 0.01 * 0.9 ** np.arange(STEPS)
    whole = kit.block(STEPS)
    first, second = (
        Block(
            indices=whole.indices[part],
            learning_rates=rates[part],
            first_step=part.start,
            masks={path: mask[part] for path, mask in masks.items()},
        )
        for part in (slice(0, AFTER), slice(AFTER, STEPS))
    )
    return first, second


def goes_on_alike(whole: Trainer, resumed: Trainer, block: Block, x: np.ndarray) -> bool:
    """Whether both train the block to the same bits of losses, weights, outputs and state."""
    same = whole.train(block).tobytes() == resumed.train(block).tobytes()
    same &= whole.outputs(x).tobytes() == resumed.outputs(x).tobytes()
    ours, theirs = whole.state(), resumed.state()
    assert list(ours) == list(theirs)
    return same and all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_new_trainer_with_the_state_of_another_goes_on_to_the_same_bits(
    optimizer: str, precision: str, kit: Any
) -> None:
    changes = {"optimizer": OPTIMIZERS[optimizer] | {"learning_rate": 0.01}, "precision": precision}
    before, after = blocks(kit, precision)
    whole, resumed = trainer_of(kit, **changes), trainer_of(kit, **changes)
    whole.train(before)
    resumed.load_state(whole.state())
    x, *_ = kit.problem(kit.job(precision=precision))
    assert goes_on_alike(whole, resumed, after, x)


@pytest.mark.parametrize(
    ("execution", "precision"),
    [("eager", "float32"), ("eager", "float64"), ("auto", "float32"), ("compiled", "float32")],
)
def test_every_execution_goes_on_to_the_same_bits(execution: str, precision: str, kit: Any) -> None:
    changes = {"optimizer": OPTIMIZERS["adam"], "precision": precision, "execution": execution}
    changes["training"] = {"epochs": 50}  # enough for `auto` to take another way than eager's
    before, after = blocks(kit, precision)
    whole, resumed = trainer_of(kit, **changes), trainer_of(kit, **changes)
    whole.train(before)
    resumed.train(after)  # what it has trained before, and compiled, makes no difference
    resumed.load_state(whole.state())
    x, *_ = kit.problem(kit.job(precision=precision))
    assert goes_on_alike(whole, resumed, after, x)


@pytest.mark.parametrize("every", [1, 3, STEPS])
@pytest.mark.parametrize(
    ("execution", "precision"),
    [("eager", "float64"), ("auto", "float32"), ("compiled", "float32")],
)
def test_every_mark_of_a_block_leads_to_the_same_bits(
    execution: str, precision: str, every: int, kit: Any
) -> None:
    changes = {"optimizer": OPTIMIZERS["adam"], "precision": precision, "execution": execution}
    changes["training"] = {"epochs": 50}  # enough for `auto` to take another way than eager's
    first, second = blocks(kit, precision)
    whole, marked = trainer_of(kit, **changes), trainer_of(kit, **changes)
    whole.train(first)
    marked.train(first)
    losses, marks = marked.train_marked(second, every=every)
    expected = whole.train(second)
    assert losses.tobytes() == expected.tobytes()
    ends = [bits(whole), bits(marked)]
    for mark in range(-(-len(second.indices) // marks.every)):
        marked.restore(marks.at(mark))
        begin = mark * marks.every
        assert marked.train(second.part(begin, len(second.indices))).tobytes() == losses[begin:].tobytes()
        ends.append(bits(marked))
    assert len(set(ends)) == 1


def bits(trainer: Trainer) -> bytes:
    """All that training has changed."""
    return b"".join(array.tobytes() for array in trainer.state().values())


def test_a_snapshot_stays_while_training_goes_on(kit: Any) -> None:
    first, second = blocks(kit, "float64")
    trainer = trainer_of(kit, optimizer=OPTIMIZERS["adam"])
    trainer.train(first)
    snapshot, before = trainer.snapshot(), bits(trainer)
    after = []
    for _ in range(2):
        trainer.train(second)
        after.append(bits(trainer))
        trainer.restore(snapshot)
        assert bits(trainer) == before
    assert after[0] == after[1] != before


def test_a_state_is_a_copy(kit: Any) -> None:
    before, after = blocks(kit, "float64")
    trainer = trainer_of(kit, optimizer=OPTIMIZERS["adam"])
    trainer.train(before)
    state = trainer.state()
    frozen = {name: array.tobytes() for name, array in state.items()}
    trainer.train(after)
    assert {name: array.tobytes() for name, array in state.items()} == frozen


def test_every_part_of_a_state_counts(kit: Any) -> None:
    """The planted fault: one part left as it was at the start is seen."""
    changes = {"optimizer": {"type": "adam", "learning_rate": 0.01}}
    before, after = blocks(kit, "float64")
    start = trainer_of(kit, **changes).state()
    x, *_ = kit.problem(kit.job())
    moved = []
    for name in start:
        whole, resumed = trainer_of(kit, **changes), trainer_of(kit, **changes)
        whole.train(before)
        state = whole.state()
        if state[name].tobytes() == start[name].tobytes():
            continue
        moved.append(name)
        resumed.load_state({**state, name: start[name]})
        assert not goes_on_alike(whole, resumed, after, x), name
    assert len(moved) > 2


def ensemble_of(kit: Any, precision: str) -> EnsembleTrainer:
    """Three members with optimizers of their own."""
    job = kit.job(layers=LAYERS, precision=precision, optimizer={"type": "adam"})
    x, y, _ = kit.problem(job)
    shape = x.shape[1:]
    members = [kit.default_weights(job, input_shape=shape, seed=seed) for seed in range(3)]
    ensemble: EnsembleTrainer = kit.ensemble(
        job,
        optimizers=[job.optimizer.model_copy(update={"beta_1": beta}) for beta in (0.5, 0.8, 0.9)],
        weights={name: np.stack([member[name] for member in members]) for name in members[0]},
        x=x,
        y=y,
    )
    return ensemble


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_new_ensemble_with_the_state_of_another_goes_on_to_the_same_bits(precision: str, kit: Any) -> None:
    before, after = (
        EnsembleBlock(
            indices=block.indices,
            learning_rates=np.stack([block.learning_rates] * 3),
            first_step=block.first_step,
            masks={path: np.stack([mask] * 3) for path, mask in block.masks.items()},
        )
        for block in blocks(kit, precision)
    )
    x, *_ = kit.problem(kit.job(precision=precision))
    whole, resumed, bare = (ensemble_of(kit, precision) for _ in range(3))
    whole.train(before)
    state = whole.state()
    resumed.load_state(state)
    start = bare.state()
    slot = next(name for name in state if "slots" in name)
    bare.load_state({**state, slot: start[slot]})
    losses = whole.train(after)
    assert resumed.train(after).tobytes() == losses.tobytes()
    assert resumed.outputs(x).tobytes() == whole.outputs(x).tobytes()
    for name, array in whole.state().items():
        assert resumed.state()[name].tobytes() == array.tobytes()
    assert bare.train(after).tobytes() != losses.tobytes(), "the planted fault: one slot from the start"
