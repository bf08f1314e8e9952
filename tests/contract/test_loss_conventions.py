"""What becomes of a loss's elements, by convention: the NumPy reference and its finite differences decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

WEIGHTED = {"type": "inline", "x": [0.0], "y": [0.0], "sample_weights": [1.0]}
CLASSES = np.array([0, 2, 1, -100, 2, 0, -100, 1, 1, 0, 2, 2])
"""Two of the twelve samples are ignored, where the loss ignores −100."""

SINGLE_OUTPUTS = (
    "mse", "mae", "huber", "cosine_similarity", "binary_crossentropy", "hinge", "binary_focal_crossentropy",
)  # fmt: skip
CONVENTIONS: dict[str, dict[str, Any]] = {
    "class weights by weights": {"class_weights": [0.5, 3.0, 1.0], "weighting": "by_weights"},
    "ignored": {"ignore_index": -100},
    "ignored, summed": {"ignore_index": -100, "reduction": "sum"},
    "ignored, weighted and smoothed": {
        "ignore_index": -100, "class_weights": [0.5, 3.0, 1.0], "weighting": "by_weights",
        "label_smoothing": 0.2,
    },
    "ignored class": {"ignore_index": 2},
    "probabilities": {"from_logits": False},
    "probabilities, ignored and smoothed": {
        "from_logits": False, "ignore_index": -100, "label_smoothing": 0.2, "class_weights": [0.5, 3.0, 1.0],
    },
}  # fmt: skip


def check(kit: Any, job: Any, y: Any, *, samples: int = 12) -> None:
    """The first loss and gradient of a job on 3 features and the targets y."""
    x, _, weights = kit.problem(job)
    numpy, block = kit.reference(job), kit.block(1, rate=1.0, batch=samples)
    rows = block.indices[0]
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    (loss,) = trainer.train(block)
    after = trainer.weights()
    assert loss == pytest.approx(numpy.loss(weights, x[rows], y[rows]), rel=1e-13)
    for name, gradient in numpy.gradients(weights, x[rows], y[rows]).items():
        np.testing.assert_allclose(weights[name] - after[name], gradient, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_classes_are_weighted_ignored_and_smoothed_by_convention(name: str, kit: Any) -> None:
    options = CONVENTIONS[name]
    activation = "linear" if options.get("from_logits", True) else "softmax"
    job = kit.job(
        layers=[{"type": "dense", "units": 3, "activation": activation}],
        loss={"type": "categorical_crossentropy"} | options,
    )
    y = CLASSES if options.get("ignore_index") == -100 else np.abs(CLASSES) % 3
    check(kit, job, y)


def test_a_batch_of_ignored_targets_changes_nothing(kit: Any) -> None:
    job = kit.job(
        layers=[{"type": "dense", "units": 3}],
        loss={"type": "categorical_crossentropy", "ignore_index": -1},
    )
    x, _, weights = kit.problem(job)
    trainer = kit.trainer(job, weights=weights, x=x, y=np.full(12, -1))
    assert trainer.train(kit.block(1)).tolist() == [0.0]
    assert all((array == weights[name]).all() for name, array in trainer.weights().items())


def weighted(kit: Any, y: np.ndarray) -> Any:
    """Targets with a weight a sample, one of them 0."""
    weights = np.random.default_rng(2).uniform(0.0, 3.0, 12)
    weights[3] = 0.0
    return kit.weighted(y, weights)


@pytest.mark.parametrize("weighting", ["by_count", "by_weights"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_of_means"])
@pytest.mark.parametrize("loss", SINGLE_OUTPUTS)
def test_a_sample_s_weight_multiplies_its_loss(loss: str, reduction: str, weighting: str, kit: Any) -> None:
    job = kit.job(data=WEIGHTED, loss={"type": loss, "reduction": reduction, "weighting": weighting})
    check(kit, job, kit.problem(job)[1])


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_sample_s_weight_joins_that_of_its_class(name: str, kit: Any) -> None:
    options = CONVENTIONS[name]
    activation = "linear" if options.get("from_logits", True) else "softmax"
    job = kit.job(
        data=WEIGHTED,
        layers=[{"type": "dense", "units": 3, "activation": activation}],
        loss={"type": "categorical_crossentropy"} | options,
    )
    y = CLASSES if options.get("ignore_index") == -100 else np.abs(CLASSES) % 3
    check(kit, job, weighted(kit, y))


def test_weights_of_1_change_nothing(kit: Any) -> None:
    job, plain = kit.job(data=WEIGHTED), kit.job()
    x, y, weights = kit.problem(plain)
    ones = kit.weighted(y, np.ones(12))
    with_ones, without = (kit.trainer(j, weights=weights, x=x, y=t) for j, t in ((job, ones), (plain, y)))
    assert with_ones.train(kit.block(3)) == pytest.approx(without.train(kit.block(3)), rel=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum_of_means"])
def test_a_binary_crossentropy_of_probabilities_follows_the_formula(
    reduction: str, smoothing: float, kit: Any
) -> None:
    loss = {"type": "binary_crossentropy", "from_logits": False, "label_smoothing": smoothing}
    job = kit.job(
        layers=[{"type": "dense", "units": 2, "activation": "sigmoid"}],
        loss=loss | {"reduction": reduction, "class_weights": [0.5, 2.0], "weighting": "by_weights"},
    )
    check(kit, job, kit.problem(job)[1])


def test_a_certain_probability_has_the_gradient_of_its_clipping_which_is_0(kit: Any) -> None:
    job = kit.job(
        layers=[{"type": "dense", "units": 1}],
        loss={"type": "binary_crossentropy", "from_logits": False},
    )
    weights = {"layers.0.kernel": np.full((1, 1), 2.0), "layers.0.bias": np.zeros(1)}
    one, zero = np.ones((12, 1)), np.zeros((12, 1))
    trainer = kit.trainer(job, weights=weights, x=one, y=zero)
    (loss,) = trainer.train(kit.block(1))
    assert loss == pytest.approx(-np.log(1e-7), rel=1e-9)
    assert all((array == weights[name]).all() for name, array in trainer.weights().items())


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_of_means"])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_cosh", "quantile", "poisson"])
def test_broadcast_targets_meet_every_output(loss: str, reduction: str, kit: Any) -> None:
    job = kit.job(
        layers=[{"type": "dense", "units": 1}],
        loss={"type": loss, "targets": "broadcast", "reduction": reduction},
    )
    y = kit.problem(job)[1][:, :1]
    check(kit, job, y, samples=7)


def test_a_planted_fault_shows(kit: Any) -> None:
    """The same data under another convention are far outside the tolerance of `check`."""
    job, other = (
        kit.job(
            layers=[{"type": "dense", "units": 3}],
            loss={"type": "categorical_crossentropy", "class_weights": [0.5, 3.0, 1.0], "weighting": kind},
        )
        for kind in ("by_count", "by_weights")
    )
    x, _, weights = kit.problem(job)
    rows = kit.block(1).indices[0]
    y = np.abs(CLASSES) % 3
    one, two = (kit.reference(j).loss(weights, x[rows], y[rows]) for j in (job, other))
    assert abs(one - two) > 1e-3 * one
