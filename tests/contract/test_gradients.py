"""Outputs, losses and gradients are those of the declared formulas, by a NumPy model and finite differences.

With plain descent at a learning rate of 1 the first update is the gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.worker.adapters.trainer import Block, Trainer

ACTIVATIONS = (
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "softsign", "tanh", "sigmoid", "softmax", "mish", "log_softmax", "softmin", "relu6", "hard_silu",
    "hard_tanh", "log_sigmoid", "tanh_shrink", "exponential", "sparse_plus", "sparse_sigmoid",
    "sparsemax",
    "celu", "hard_sigmoid",
    "soft_shrink", "hard_shrink", "squareplus",
)  # fmt: skip
SET = (
    {"type": "leaky_relu", "negative_slope": 0.01},
    {"type": "elu", "alpha": 0.4},
    {"type": "celu", "alpha": 0.4},
    {"type": "hard_sigmoid", "slope": 0.2},
    {"type": "softplus", "beta": 2.5},
    {"type": "hard_tanh", "min_value": 0.0, "max_value": 0.75},
    {"type": "clipped_relu", "max_value": 0.75, "negative_slope": 0.1, "threshold": 0.25},
    {"type": "clipped_relu", "negative_slope": 0.25},
    {"type": "soft_shrink", "threshold": 0.1},
    {"type": "threshold", "threshold": 0.1, "value": -0.5},
    {"type": "squareplus", "b": 0.3},
    {"type": "sparsemax", "sums": "cumulative"},
)
LOSSES: dict[str, dict[str, Any]] = {
    "mse": {},
    "mae": {},
    "huber": {},
    "log_cosh": {},
    "quantile": {"quantile": 0.8},
    "poisson": {},
    "kl_divergence": {},
    "cosine_similarity": {},
    "binary_crossentropy": {},
    "binary_crossentropy smoothed": {"label_smoothing": 0.3},
    "binary_crossentropy weighted": {"class_weights": [0.5, 3.0], "label_smoothing": 0.1},
    "binary_focal_crossentropy": {"gamma": 1.5, "label_smoothing": 0.1},
    "binary_focal_crossentropy balanced": {"apply_class_balancing": True, "alpha": 0.3},
    "hinge": {},
    "hinge as given": {"labels": "as_given"},
    "squared_hinge": {"class_weights": [0.5, 3.0]},
    "dice": {},
    "dice per sample": {"per": "sample", "smooth": 1.0},
    "tversky": {"alpha": 0.7, "beta": 0.2, "epsilon": 0.01},
    "categorical_focal_crossentropy": {},
    "categorical_focal_crossentropy smoothed": {
        "gamma": 0.5,
        "label_smoothing": 0.2,
        "class_weights": [2.0, 0.5],
    },
    "categorical_hinge": {},
    "multi_margin": {"margin": 0.7},
    "multi_margin squared": {"p": 2, "class_weights": [0.5, 3.0]},
    "categorical_crossentropy": {},
    "categorical_crossentropy smoothed": {"label_smoothing": 0.3},
    "categorical_crossentropy weighted": {"class_weights": [0.5, 3.0]},
    "categorical_crossentropy weighted and smoothed": {"class_weights": [2.0, 0.0], "label_smoothing": 0.1},
}
AT_ZERO: list[tuple[Any, float]] = [
    ("relu", 0.0),
    ("leaky_relu", 0.2),
    (SET[0], 0.01),
    ("elu", 1.0),
    (SET[1], 1.0),
    ("selu", 1.0507009873554805),
    ("softsign", 1.0),
    ("relu6", 0.0),
    ("celu", 1.0),
    ({"type": "hard_shrink", "threshold": 0.0}, 0.0),
]
"""Gradients where the formula has a corner; elsewhere there is only one answer."""


def first_update(trainer: Trainer, block: Block) -> tuple[float, dict[str, np.ndarray]]:
    before = trainer.weights()
    (loss,) = trainer.train(block)
    after = trainer.weights()
    return loss, {name: before[name] - after[name] for name in before}


def check_against_reference(kit: Any, job: Job, block: Block, **sizes: Any) -> None:
    x, y, weights = kit.problem(job, **sizes)
    trainer = kit.build(job, **sizes)
    numpy = kit.reference(job)
    np.testing.assert_allclose(trainer.outputs(x), numpy.outputs(weights, x), rtol=1e-13, atol=1e-14)
    rows = block.indices[0]
    masks = {path: mask[0] for path, mask in block.masks.items()}
    loss, update = first_update(trainer, block)
    assert loss == pytest.approx(numpy.loss(weights, x[rows], y[rows], masks), rel=1e-13)
    for name, gradient in numpy.gradients(weights, x[rows], y[rows], masks).items():
        np.testing.assert_allclose(update[name], gradient, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *SET])
def test_an_activation_and_its_gradient_follow_the_formula(activation: Any, kit: Any) -> None:
    layers = [{"type": "dense", "units": 4, "activation": activation}, {"type": "dense", "units": 2}]
    if activation == "exponential":  # of small numbers: a difference of large losses has few digits
        layers.insert(0, {"type": "dense", "units": 3, "activation": "softmax"})
    job = kit.job(layers=layers)
    check_against_reference(kit, job, kit.block(1, rate=1.0))


@pytest.mark.parametrize("kind", ["softmax", "log_softmax", "softmin"])
def test_a_softmax_over_another_axis_follows_the_formula(kind: str, kit: Any) -> None:
    over = {"type": kind, "axis": 1}
    layers = [
        {"type": "dense", "units": 4, "activation": over},
        {"type": "activation", "activation": {"type": "softmax", "axis": -2}},
        "flatten",
        {"type": "dense", "units": 2},
    ]
    check_against_reference(kit, kit.job(layers=layers), kit.block(1, rate=1.0), input_shape=(5, 3))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_keeps_its_digits_near_0_and_far_from_it(activation: str, kit: Any) -> None:
    job = kit.job(layers=[{"type": "activation", "activation": activation}])
    size = 10 ** np.linspace(-12, 2.4, 100)
    x = np.stack([size, -size], axis=1)
    trainer = kit.trainer(job, weights={}, x=x, y=x)
    # 1 + erf, 1 + tanh and x + √(x² + b) cancel far below 0, and x − tanh(x) near it, in the formulas
    lost = 1e-13 if activation in ("gelu", "gelu_tanh", "squareplus", "tanh_shrink", "log_softmax") else 0.0
    expected = kit.reference(job).outputs({}, x)
    np.testing.assert_allclose(trainer.outputs(x), expected, rtol=1e-13, atol=lost)
    assert np.isfinite(trainer.train(kit.block(2))).all()
    assert trainer.weights() == {}


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_of_means"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_and_its_gradient_follow_the_formula(loss: str, reduction: str, kit: Any) -> None:
    job = kit.job(loss={"type": loss.split(maxsplit=1)[0], "reduction": reduction} | LOSSES[loss])
    check_against_reference(kit, job, kit.block(1, rate=1.0))


def test_huber_changes_over_at_its_delta(kit: Any) -> None:
    job = kit.job(loss={"type": "huber", "delta": 0.3})
    check_against_reference(kit, job, kit.block(1, rate=1.0))


def test_dropout_multiplies_by_the_given_masks_in_training_and_by_nothing_in_inference(kit: Any) -> None:
    layers = [
        {"type": "dropout", "rate": 0.5},
        {"type": "dense", "units": 4, "activation": "tanh"},
        {"type": "dropout", "rate": 0.25, "name": "second"},
        {"type": "dropout", "rate": 0.0},
        {"type": "dense", "units": 2},
    ]
    job = kit.job(layers=layers)
    draw = np.random.default_rng(1)
    masks = {
        "layers.0": draw.integers(0, 2, (1, 5, 3)) * 2.0,
        "second": draw.integers(0, 2, (1, 5, 4)) / 0.75,
    }
    check_against_reference(kit, job, kit.block(1, rate=1.0, masks=masks))


def test_a_dropout_layer_without_its_mask_is_an_error_and_not_a_silent_identity(kit: Any) -> None:
    trainer = kit.build(kit.job(layers=[{"type": "dropout", "rate": 0.5}, {"type": "dense", "units": 2}]))
    with pytest.raises((KeyError, TypeError, ValueError)):
        trainer.train(kit.block(1))


def test_flatten_joins_the_axes_last_fastest_and_dense_works_on_the_last(kit: Any) -> None:
    layers = [
        {"type": "dense", "units": 4},
        {"type": "flatten"},
        {"type": "activation", "activation": "tanh"},
        {"type": "dense", "units": 2, "use_bias": False},
    ]
    job = kit.job(layers=layers)
    check_against_reference(kit, job, kit.block(1, rate=1.0))


@pytest.mark.parametrize(("activation", "slope"), AT_ZERO)
def test_the_gradient_at_a_corner_is_the_pinned_one(activation: Any, slope: float, kit: Any) -> None:
    job = kit.job(
        layers=[{"type": "dense", "units": 1, "activation": activation}],
        loss={"type": "mse", "reduction": "sum"},
    )
    weights = {"layers.0.kernel": np.zeros((1, 1)), "layers.0.bias": np.zeros(1)}
    one = np.ones((1, 1))
    trainer = kit.trainer(job, weights=weights, x=one, y=-one)
    _, update = first_update(
        trainer,
        Block(indices=np.zeros((1, 1), np.int64), learning_rates=np.ones(1), first_step=0),
    )
    assert update["layers.0.bias"] == pytest.approx(2 * slope, rel=1e-15)


def test_the_gradient_of_the_absolute_error_is_0_where_the_error_is(kit: Any) -> None:
    weights = {"layers.0.kernel": np.ones((3, 2)), "layers.0.bias": np.zeros(2)}
    zeros = np.zeros((12, 3))
    trainer = kit.trainer(kit.job(loss="mae"), weights=weights, x=zeros, y=np.zeros((12, 2)))
    loss, update = first_update(trainer, kit.block(1, rate=1.0))
    assert loss == 0
    assert all((change == 0).all() for change in update.values())


def test_a_sure_logit_keeps_its_small_loss_in_float32(kit: Any) -> None:
    job = kit.job(
        layers=[{"type": "dense", "units": 1}],
        precision="float32",
        loss={"type": "binary_crossentropy", "reduction": "sum"},
    )
    weights = {"layers.0.kernel": np.ones((1, 1), np.float32), "layers.0.bias": np.zeros(1, np.float32)}
    for logit, target in ((-20.0, 0.0), (20.0, 1.0)):
        x, y = np.full((1, 1), logit, np.float32), np.full((1, 1), target, np.float32)
        trainer = kit.trainer(job, weights=weights, x=x, y=y)
        (loss,) = trainer.train(
            Block(indices=np.zeros((1, 1), np.int64), learning_rates=np.ones(1), first_step=0)
        )
        assert loss == pytest.approx(np.log1p(np.exp(-20.0)), rel=1e-6)
