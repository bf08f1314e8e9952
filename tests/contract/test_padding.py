"""Steps that are padding: a model gives what it gives of each sample alone, with those steps cut out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import Block, EnsembleBlock

WORDS = {"type": "embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True, "name": "words"}
HEAD = {"type": "dense", "units": 2, "name": "head"}
ATTENTION = {"type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "name": "seen"}
MEAN = {"type": "global_average_pooling"}


def both(**layer: Any) -> dict[str, Any]:
    return {"type": "bidirectional", "layer": {"units": 3} | layer}


SCALES = np.linspace(0.5, 1.0, 10)
"""What members start from, as a part of the drawn weights; fewer TensorFlow takes one by one."""

BODIES: dict[str, list[dict[str, Any]]] = {
    "simple_rnn": [{"type": "simple_rnn", "units": 3}],
    "lstm": [{"type": "lstm", "units": 3}],
    "gru": [{"type": "gru", "units": 3}],
    "gru, reset before": [{"type": "gru", "units": 3, "reset_after": False}],
    "bidirectional": [both(type="lstm")],
    "bidirectional sequences": [both(type="gru", return_sequences=True), MEAN],
    "one behind another": [{"type": "lstm", "units": 3, "return_sequences": True}, both(type="simple_rnn")],
    "mean": [{"type": "dense", "units": 3, "activation": "tanh"}, {"type": "layer_norm"}, MEAN],
    "attention": [ATTENTION, MEAN],
    "residual": [ATTENTION, {"type": "add", "inputs": ["words", "seen"]}, MEAN],
    "side by side": [
        ATTENTION,
        {"type": "concatenate", "inputs": ["words", "seen"]},
        {"type": "gru", "units": 3},
    ],
}


def texts() -> np.ndarray:
    """Rows of two words, then of four, with zeros at their ends, at their beginnings, and between."""
    rows = ["310000", "060050", "582200", "004173"]
    return np.array([list(row) for row in rows], np.float64)


def update(rows: int, steps: int = 1) -> Block:
    """Updates on all of so many samples, the first of which is the gradient."""
    every = np.tile(np.arange(rows), (steps, 1))
    return Block(indices=every, learning_rates=np.ones(steps), first_step=0)


def weights_of(job: Any) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(4)
    return {one.name: draw.standard_normal(one.shape) / 2 for one in compile_job(job, (6,)).weights}


@pytest.mark.parametrize("name", BODIES)
def test_a_padded_sample_gives_what_it_gives_without_its_padding(name: str, kit: Any) -> None:
    x, y = texts(), np.random.default_rng(5).standard_normal((4, 2))
    layers = [WORDS, *BODIES[name], HEAD]
    padded, plain = (
        kit.job(layers=[layers[0] | {"mask_zero": mask}, *layers[1:]], execution="eager")
        for mask in (True, False)
    )
    weights = weights_of(padded)
    trainer = kit.trainer(padded, weights=weights, x=x, y=y)
    cut = [np.stack([row[row != 0] for row in x[rows]]) for rows in (slice(0, 2), slice(2, 4))]
    alone = [
        kit.trainer(plain, weights=weights, x=short, y=targets)
        for short, targets in zip(cut, (y[:2], y[2:]), strict=True)
    ]
    expected = np.concatenate([one.outputs(short) for one, short in zip(alone, cut, strict=True)])
    np.testing.assert_allclose(trainer.outputs(x), expected, rtol=1e-12, atol=1e-13)
    other = kit.trainer(plain, weights=weights, x=x, y=y).outputs(x)
    assert np.abs(other - expected).max() > 1e-3

    (loss,) = trainer.train(update(4))
    losses = [each.train(update(2))[0] for each in alone]
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)
    for key, before in weights.items():
        mean = np.mean([each.weights()[key] - before for each in alone], axis=0)
        np.testing.assert_allclose(trainer.weights()[key] - before, mean, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("zeros", [False, True])
def test_a_sequence_s_output_at_padding_is_the_last_one_or_0(zeros: bool, kit: Any) -> None:
    layer = {"type": "lstm", "units": 2, "return_sequences": True, "zero_output_for_mask": zeros}
    job = kit.job(layers=[WORDS, layer, {"type": "flatten"}])
    x = np.array([[0, 3, 0, 5, 0, 0]], float)
    weights = weights_of(job)
    sequence = kit.trainer(job, weights=weights, x=x, y=np.zeros((1, 12))).outputs(x).reshape(6, 2)
    assert (sequence[0] == 0).all()
    assert (sequence[[1, 3]] != 0).all()
    held = np.zeros((3, 2)) if zeros else sequence[[1, 3, 3]]
    np.testing.assert_array_equal(sequence[[2, 4, 5]], held)


def test_masking_leaves_out_steps_of_one_value_and_makes_them_0(kit: Any) -> None:
    x = np.array([[[7.0, 7.0], [1.0, 7.0], [7.0, 7.0], [0.0, 0.5]]])
    made = kit.job(layers=[{"type": "masking", "mask_value": 7.0}, {"type": "flatten"}])
    outputs = kit.trainer(made, weights={}, x=x, y=np.zeros((1, 8))).outputs(x)
    assert outputs.tolist() == [[0.0, 0.0, 1.0, 7.0, 0.0, 0.0, 0.0, 0.5]]
    mean = kit.job(layers=[{"type": "masking", "mask_value": 7.0}, MEAN])
    assert kit.trainer(mean, weights={}, x=x, y=np.zeros((1, 2))).outputs(x).tolist() == [[0.5, 3.75]]


def test_a_sample_of_padding_alone_has_finite_outputs(kit: Any) -> None:
    job = kit.job(layers=[WORDS, ATTENTION, MEAN, HEAD])
    x, weights = np.zeros((4, 6)), weights_of(job)
    trainer = kit.trainer(job, weights=weights, x=x, y=np.zeros((4, 2)))
    assert np.isfinite(trainer.outputs(x)).all()
    assert np.isfinite(trainer.train(update(4, steps=2))).all()


def test_members_leave_out_the_padding_as_alone(kit: Any) -> None:
    layers = [WORDS, both(type="lstm", return_sequences=True), ATTENTION, MEAN, HEAD]
    job = kit.job(layers=layers, training={"epochs": 3000})
    x, y = texts(), np.random.default_rng(5).standard_normal((4, 2))
    starts = [{name: array * scale for name, array in weights_of(job).items()} for scale in SCALES]
    together = {name: np.stack([start[name] for start in starts]) for name in starts[0]}
    ensemble = kit.ensemble(job, optimizers=[job.optimizer] * len(starts), weights=together, x=x, y=y)
    block = update(4, steps=3)
    ensemble.train(
        EnsembleBlock(indices=block.indices, learning_rates=np.full((len(starts), 3), 0.1), first_step=0)
    )
    for place in (0, len(starts) - 1):
        alone = kit.trainer(job, weights=starts[place], x=x, y=y)
        alone.train(dataclasses.replace(block, learning_rates=np.full(3, 0.1)))
        for name, array in alone.weights().items():
            np.testing.assert_allclose(ensemble.weights()[name][place], array, rtol=1e-11, atol=1e-12)
