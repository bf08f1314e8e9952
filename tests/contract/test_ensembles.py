"""An ensemble's obligation: each member's numbers are those of the member trained alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.shared.job.optimizer import structure
from likewise.shared.program import compile_job
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.trainer import Block, EnsembleBlock, EnsembleTrainer

MEMBERS = 3
STEPS = 12
LAYERS = [
    {"type": "dense", "units": 4, "activation": "tanh"},
    {"type": "dropout", "rate": 0.5, "name": "drop"},
    {"type": "dense", "units": 2},
]
OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{}, {"learning_rate": 0.3}, {"learning_rate": 0.5}],
    "momentum": [{"type": "sgd", "momentum": m, "nesterov": True} for m in (0.1, 0.5, 0.9)],
    "adam": [{"beta_1": b} for b in (0.5, 0.8, 0.9)],
    "adamw": [{"weight_decay": d} for d in (0.0, 0.1, 0.2)],
    "adamax": [{"epsilon": e} for e in (1e-7, 1e-3, 1e-2)],
    "nadam": [{"momentum_decay": d} for d in (0.004, 0.1, 1.0)],
    "rmsprop": [{"rho": r, "centered": True, "momentum": 0.5} for r in (0.5, 0.8, 0.9)],
    "adagrad": [{"initial_accumulator_value": a} for a in (0.1, 0.2, 0.3)],
    "uncorrected": [{"type": "adam", "beta_1": b, "bias_correction": False} for b in (0.5, 0.8, 0.9)],
    "filled": [{"type": "rmsprop", "initial_accumulator_value": a} for a in (0.0, 0.5, 1.0)],
    "adadelta": [{"rho": r} for r in (0.5, 0.8, 0.9)],
    "l2": [{"type": "sgd", "weight_decay": d} for d in (0.1, 0.2, 0.3)],
    "decoupled": [
        {"type": "sgd", "weight_decay": d, "weight_decay_kind": "decoupled"} for d in (0.1, 0.2, 0.3)
    ],
    "group": [
        {"type": "adamw", "weight_decay": d, "exclude_from_weight_decay": ["bias"]} for d in (0.1, 0.2, 0.3)
    ],
    "buffer": [{"type": "sgd", "momentum": m, "momentum_convention": "buffer"} for m in (0.1, 0.5, 0.9)],
    "hat": [{"type": "adam", "epsilon": e, "epsilon_placement": "hat"} for e in (1e-7, 1e-3, 1e-2)],
    "inside": [{"type": "adagrad", "epsilon": e, "epsilon_placement": "inside"} for e in (1e-7, 1e-3, 1e-2)],
    "clip_value": [{"type": "sgd", "clip_value": c} for c in (0.01, 0.05, 0.2)],
    "clip_norm": [{"type": "adam", "clip_norm": c} for c in (0.02, 0.1, 0.5)],
    "global_clip_norm": [
        {"type": "sgd", "global_clip_norm": c, "clip_epsilon": e}
        for c, e in ((0.02, 0.0), (0.1, 1e-3), (9.0, 0.1))
    ],
    "every number": [
        {"type": "adamw", "beta_1": b, "beta_2": 1 - e, "epsilon": e, "weight_decay": d, "learning_rate": e}
        for b, e, d in ((0.0, 1e-3, 0.0), (0.5, 1e-2, 0.1), (0.9, 0.1, 0.2))
    ],
}


class Trial:
    """An ensemble and its members' own trainers, on the same problem."""

    def __init__(self, kit: Any, jobs: list[Job], *, input_shape: tuple[int, ...] = (3,)) -> None:
        self.jobs = jobs
        self.problems = [kit.problem(jobs[0], input_shape=input_shape, seed=m) for m in range(len(jobs))]
        for seed, (x, _, weights) in enumerate(self.problems):
            fill(jobs[0], weights, x, seed)
        self.x, self.y, first = self.problems[0]
        self._kit = kit
        stacked = {name: np.stack([p[2][name] for p in self.problems]) for name in first}
        self.ensemble: EnsembleTrainer = kit.ensemble(
            jobs[0],
            optimizers=[job.optimizer for job in jobs],
            weights=stacked,
            x=self.x,
            y=self.y,
        )

    def alone(self, member: int) -> Any:
        return self._kit.trainer(
            self.jobs[member],
            weights=self.problems[member][2],
            x=self.x,
            y=self.y,
        )


def fill(job: Job, weights: dict[str, np.ndarray], x: np.ndarray, seed: int) -> None:
    """Put in what the problem lacks: weights of other layers than dense ones, indices to embed."""
    draw = np.random.default_rng(seed)
    for place in compile_job(job, x.shape[1:]).weights:
        values = 0.3 * np.abs(draw.standard_normal(place.shape)) + 0.1
        weights.setdefault(place.name, values.astype(job.precision))
        if weights[place.name].shape != place.shape:
            weights[place.name] = values.astype(job.precision)
    if job.model.layers[0].type == "embedding":
        x[...] = np.abs(x * 10) // 1 % 4


def block_of(jobs: list[Job], *, shared: bool = False, batch: int = 5, masked: bool = False) -> EnsembleBlock:
    draw = np.random.default_rng(8)
    shape = (STEPS,) if shared else (len(jobs), STEPS)
    masks = draw.integers(0, 2, (len(jobs), STEPS, batch, 4)) * 2.0
    return EnsembleBlock(
        indices=draw.integers(0, 12, (*shape, batch)),
        learning_rates=np.array(
            [[job.optimizer.learning_rate / (1 + i) for i in range(STEPS)] for job in jobs]
        ),
        first_step=0,
        masks={"drop": masks.astype(jobs[0].precision)} if masked else {},
    )


def share_of(block: EnsembleBlock, member: int) -> Block:
    return Block(
        indices=block.indices if block.indices.ndim == 2 else block.indices[member],
        learning_rates=block.learning_rates[member],
        first_step=block.first_step,
        masks={path: mask[member] for path, mask in block.masks.items()},
    )


def check_members(trial: Trial, block: EnsembleBlock, *, tolerance: float = 1e-12) -> None:
    losses = trial.ensemble.train(block)
    outputs, weights = trial.ensemble.outputs(trial.x), trial.ensemble.weights()
    assert losses.dtype == np.float64
    assert losses.shape == (len(trial.jobs), STEPS)
    assert trial.ensemble.members == len(trial.jobs)
    assert trial.ensemble.execution.startswith("vectorised")
    for member in range(len(trial.jobs)):
        alone = trial.alone(member)
        near(losses[member], alone.train(share_of(block, member)), tolerance)
        near(outputs[member], alone.outputs(trial.x), tolerance)
        for name, array in alone.weights().items():
            assert weights[name].dtype == array.dtype
            near(weights[name][member], array, tolerance)


def near(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert np.isfinite(wanted).all(), "trainings that diverged show nothing"
    scale = max(float(np.abs(wanted).max()), 1e-300)
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_members_with_optimizers_of_their_own_train_as_alone(name: str, kit: Any) -> None:
    jobs = [kit.job(layers=LAYERS, optimizer={"type": name} | one) for one in OPTIMIZERS[name]]
    assert len({structure(job.optimizer) for job in jobs}) == 1, "what a sweep puts into one program"
    check_members(Trial(kit, jobs), block_of(jobs, masked=True))


@pytest.mark.parametrize(
    "loss",
    ["mse", "mae", "huber", "log_cosh", "quantile", "poisson", "kl_divergence", "cosine_similarity",
     "binary_crossentropy", "binary_focal_crossentropy", "hinge", "squared_hinge", "dice",
     {"type": "tversky", "per": "sample"}, "categorical_crossentropy", "categorical_focal_crossentropy",
     "categorical_hinge", {"type": "multi_margin", "p": 2}, {"type": "mse", "reduction": "sum"}],
)  # fmt: skip
def test_members_follow_every_loss_as_alone(loss: Any, kit: Any) -> None:
    jobs = [kit.job(loss=loss)] * MEMBERS
    check_members(Trial(kit, jobs), block_of(jobs))


def test_members_keep_weights_small_as_alone(kit: Any) -> None:
    rules = {
        "kernel_regularizer": {"type": "l1_l2", "l1": 0.02, "l2": 0.03},
        "kernel_constraint": {"type": "max_norm", "max_value": 0.5},
        "bias_constraint": "non_neg",
    }
    jobs = [kit.job(layers=[{"type": "dense", "units": 2, **rules}])] * MEMBERS
    check_members(Trial(kit, jobs), block_of(jobs))


CONVENTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "by weights": ("linear", {"class_weights": [0.5, 3.0], "weighting": "by_weights"}),
    "ignored": ("linear", {"ignore_index": 0, "reduction": "sum"}),
    "probabilities": ("softmax", {"from_logits": False, "label_smoothing": 0.1}),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_members_follow_a_loss_s_conventions_as_alone(name: str, kit: Any) -> None:
    activation, options = CONVENTIONS[name]
    layers = [{"type": "dense", "units": 2, "activation": activation}]
    jobs = [kit.job(layers=layers, loss={"type": "categorical_crossentropy"} | options)] * MEMBERS
    check_members(Trial(kit, jobs), block_of(jobs))


@pytest.mark.parametrize("loss", ["mse", "categorical_crossentropy"])
def test_members_weigh_their_samples_as_alone(loss: str, kit: Any) -> None:
    weighted = {"type": "inline", "x": [0.0], "y": [0.0], "sample_weights": [1.0]}
    jobs = [kit.job(data=weighted, loss=loss)] * MEMBERS
    check_members(Trial(kit, jobs), block_of(jobs))


def test_members_may_share_their_batches(kit: Any) -> None:
    jobs = [kit.job()] * MEMBERS
    check_members(Trial(kit, jobs), block_of(jobs, shared=True, batch=12))


def test_members_in_float32_train_as_alone_up_to_rounding(kit: Any) -> None:
    jobs = [kit.job(precision="float32", layers=LAYERS)] * MEMBERS
    check_members(Trial(kit, jobs), block_of(jobs, masked=True), tolerance=1e-5)


def test_one_member_is_an_ensemble_too(kit: Any) -> None:
    jobs = [kit.job()]
    check_members(Trial(kit, jobs), block_of(jobs))


def test_a_member_that_diverges_leaves_the_others_as_they_are(kit: Any) -> None:
    jobs = [kit.job(optimizer={"type": "sgd", "learning_rate": r}) for r in (0.1, 1e200, 0.2)]
    trial, block = Trial(kit, jobs), block_of(jobs)
    losses = trial.ensemble.train(block)
    assert not np.isfinite(losses[1]).all()
    for member in (0, 2):
        near(losses[member], trial.alone(member).train(share_of(block, member)), 1e-12)


def test_an_ensemble_s_numbers_do_not_depend_on_how_steps_are_cut(kit: Any) -> None:
    jobs = [kit.job(optimizer={"type": "adam"})] * MEMBERS
    whole, parts, block = Trial(kit, jobs), Trial(kit, jobs), block_of(jobs)
    losses = whole.ensemble.train(block)
    pieces = [
        parts.ensemble.train(
            dataclasses.replace(
                block,
                indices=block.indices[:, a:b],
                learning_rates=block.learning_rates[:, a:b],
                first_step=a,
            )
        )
        for a, b in ((0, 1), (1, 8), (8, STEPS))
    ]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), losses, rtol=1e-13)


# no bias before a batch_norm: its gradient is 0 but for rounding, which Adam would blow up
LAYER_KINDS: dict[str, tuple[tuple[int, ...], list[dict[str, Any]]]] = {
    "batch_norm": ((3,), [{"type": "dense", "units": 4, "use_bias": False}, {"type": "batch_norm"}]),
    "layer_norm": ((3,), [{"type": "layer_norm"}]),
    "norms": (
        (3, 4),
        [{"type": "layer_norm", "axis": [1, 2]}, {"type": "rms_norm"}, {"type": "group_norm", "groups": 2},
         {"type": "instance_norm"}, {"type": "prelu", "shared_axes": [1]}, {"type": "swiglu"},
         {"type": "position_embedding", "sequence_length": 3}, {"type": "flatten"}],
    ),
    "frozen": (
        (3,),
        [{"type": "dense", "units": 4, "trainable": False}, {"type": "batch_norm", "trainable": False},
         {"type": "batch_norm", "trainable": False, "frozen_mode": "training"}],
    ),
    "conv2d": (
        (6, 6, 2),
        [{"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same", "use_bias": False},
         {"type": "batch_norm"},
         {"type": "max_pooling2d", "pool_size": 2}, {"type": "average_pooling2d", "pool_size": 2},
         {"type": "flatten"}],
    ),
    "conv1d": (
        (7, 2),
        [{"type": "conv1d", "filters": 3, "kernel_size": 3, "strides": 2, "activation": "relu"},
         {"type": "max_pooling1d", "pool_size": 2}, {"type": "global_max_pooling"}],
    ),
    "other convolutions": (
        (5, 5, 2),
        [{"type": "depthwise_conv2d", "kernel_size": 3, "depth_multiplier": 2, "padding": "symmetric"},
         {"type": "conv2d_transpose", "filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"},
         {"type": "average_pooling2d", "pool_size": 3, "padding": "symmetric", "count_include_pad": True},
         {"type": "flatten", "order": "channels_first"}],
    ),
    "unbiased": (
        (2, 3),
        [{"type": "dense", "units": 4, "activation": {"type": "leaky_relu", "negative_slope": 0.01}},
         {"type": "batch_norm", "moving_variance": "unbiased"},
         {"type": "flatten", "order": "channels_first"}],
    ),
    "attention": (
        (5, 4),
        [{"type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "use_bias": False, "name": "self"},
         {"type": "add", "inputs": ["input", "self"], "name": "sum"},
         {"type": "multi_head_attention", "num_heads": 2, "key_dim": 2, "use_bias": False,
          "use_causal_mask": True, "inputs": ["sum", "input"]},
         {"type": "flatten"}],
    ),
    "embedding": ((5,), [{"type": "embedding", "input_dim": 4, "output_dim": 3}, {"type": "flatten"}]),
    "simple_rnn": (
        (3, 2),
        [{"type": "bidirectional",
          "layer": {"type": "simple_rnn", "units": 2, "activation": "relu", "return_sequences": True}},
         {"type": "flatten"}],
    ),
    "lstm": ((3, 2), [{"type": "lstm", "units": 3}]),
    "gru": ((3, 2), [{"type": "gru", "units": 3}]),
    "gru reset before": ((3, 2), [{"type": "gru", "units": 3, "reset_after": False, "use_bias": False}]),
}  # fmt: skip
ENOUGH = 12
"""Members that every rule lets train together, in many epochs."""


def of_kind(name: str, kit: Any, **more: Any) -> tuple[list[Job], tuple[int, ...]]:
    """Members enough for the rules, with layers of one kind under a dense one."""
    shape, layers = LAYER_KINDS[name]
    layers = [*layers, {"type": "dense", "units": 2}]
    # adam would blow up the rounding of the many gradients that are 0 but for it
    optimizer = {"type": "sgd", "momentum": 0.9, "learning_rate": 0.002}
    more = {"layers": layers, "optimizer": optimizer, "training": {"epochs": 10_000}} | more
    return [kit.job(**more)] * ENOUGH, shape


@pytest.mark.parametrize("name", LAYER_KINDS)
def test_members_with_layers_of_every_kind_train_as_alone(name: str, kit: Any) -> None:
    jobs, shape = of_kind(name, kit)
    check_members(Trial(kit, jobs, input_shape=shape), block_of(jobs))


@pytest.mark.parametrize("name", ["conv2d", "lstm"])
def test_layers_of_members_in_float32_agree_up_to_rounding(name: str, kit: Any) -> None:
    jobs, shape = of_kind(name, kit, precision="float32")
    check_members(Trial(kit, jobs, input_shape=shape), block_of(jobs), tolerance=1e-5)


@pytest.mark.parametrize(
    ("members", "size", "reason"),
    [(ENOUGH, 40, "5.?,000 numbers a step, and these give 77,760"), (4, 6, "fewer than 8 at once")],
)
def test_convolutions_that_gain_nothing_are_refused(members: int, size: int, reason: str, kit: Any) -> None:
    layers = [{"type": "conv2d", "filters": 5, "kernel_size": 5}, {"type": "global_max_pooling"}]
    layers = [*layers, {"type": "dense", "units": 2}]
    jobs = [kit.job(layers=layers)] * members
    with pytest.raises(UnsupportedError, match=reason):
        Trial(kit, jobs, input_shape=(size, size, 1))
