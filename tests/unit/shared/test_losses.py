"""The reference losses against scikit-learn and plain arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.metrics import (
    hinge_loss,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)

from likewise.shared.job import Loss
from likewise.shared.losses import loss_elements, loss_value, loss_values

LOSS: TypeAdapter[Loss] = TypeAdapter(Loss)
NUMBERS = np.random.default_rng(0)


def loss(**fields: Any) -> Loss:
    return LOSS.validate_python(fields)


def regression() -> tuple[np.ndarray, np.ndarray]:
    return NUMBERS.normal(size=(20, 3)), NUMBERS.normal(size=(20, 3))


def test_mse_and_mae_are_those_of_scikit_learn() -> None:
    outputs, targets = regression()
    assert loss_value(loss(type="mse"), outputs, targets) == pytest.approx(
        mean_squared_error(targets, outputs), rel=1e-14
    )
    assert loss_value(loss(type="mae"), outputs, targets) == pytest.approx(
        mean_absolute_error(targets, outputs), rel=1e-14
    )


@pytest.mark.parametrize("kind", ["mse", "mae", "huber"])
def test_sum_is_over_all_elements_and_mean_divides_by_their_number(kind: str) -> None:
    outputs, targets = regression()
    total = loss_value(loss(type=kind, reduction="sum"), outputs, targets)
    assert total == pytest.approx(60 * loss_value(loss(type=kind), outputs, targets), rel=1e-14)


def test_huber_is_quadratic_near_and_linear_far() -> None:
    outputs = np.array([[0.0], [0.5], [2.0], [-4.0]])
    elements = loss_elements(loss(type="huber", delta=2.0), outputs, np.zeros((4, 1)))
    assert elements.ravel().tolist() == [0.0, 0.125, 2.0, 2.0 * (4.0 - 1.0)]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_quantile_is_the_pinball_loss_and_least_at_that_quantile(share: float) -> None:
    outputs, targets = regression()
    quantile = loss(type="quantile", quantile=share)
    expected = mean_pinball_loss(targets, outputs, alpha=share)
    assert loss_value(quantile, outputs, targets) == pytest.approx(expected, rel=1e-14)
    many = NUMBERS.normal(size=(1001, 1))
    answers = np.linspace(-2, 2, 401)
    losses = [loss_value(quantile, np.full_like(many, one), many) for one in answers]
    assert answers[np.argmin(losses)] == pytest.approx(np.quantile(many, share), abs=0.011)


def test_binary_crossentropy_is_the_log_loss_of_the_sigmoid() -> None:
    outputs, targets = NUMBERS.normal(size=(50, 1)), NUMBERS.integers(0, 2, size=(50, 1))
    expected = log_loss(targets.ravel(), 1 / (1 + np.exp(-outputs.ravel())))
    found = loss_value(loss(type="binary_crossentropy"), outputs, targets.astype(float))
    assert found == pytest.approx(expected, rel=1e-13)


def test_categorical_crossentropy_is_the_log_loss_of_the_softmax() -> None:
    outputs, classes = NUMBERS.normal(size=(50, 4)), NUMBERS.integers(0, 4, size=50)
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    expected = log_loss(classes, probabilities, labels=[0, 1, 2, 3])
    found = loss_value(loss(type="categorical_crossentropy"), outputs, classes)
    assert found == pytest.approx(expected, rel=1e-13)
    total = loss_value(loss(type="categorical_crossentropy", reduction="sum"), outputs, classes)
    assert total == pytest.approx(50 * expected, rel=1e-13)


def test_log_cosh_is_the_logarithm_of_the_hyperbolic_cosine_and_never_overflows() -> None:
    outputs, targets = regression()
    found = loss_value(loss(type="log_cosh"), outputs, targets)
    assert found == pytest.approx(np.log(np.cosh(outputs - targets)).mean(), rel=1e-13)
    assert loss_value(loss(type="log_cosh"), np.array([[1e4]]), np.zeros((1, 1))) == 1e4 - math.log(2)


def test_poisson_is_half_the_deviance_up_to_what_the_targets_alone_decide() -> None:
    outputs, targets = NUMBERS.normal(size=(50, 1)), NUMBERS.integers(1, 9, size=(50, 1)).astype(float)
    deviance = mean_poisson_deviance(targets.ravel(), np.exp(outputs.ravel()))
    found = loss_value(loss(type="poisson"), outputs, targets)
    assert found - (targets - targets * np.log(targets)).mean() == pytest.approx(deviance / 2, rel=1e-12)


def test_kl_divergence_sums_over_the_row_and_is_0_for_the_same_probabilities() -> None:
    targets = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    outputs = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, 0.0]])
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    first = (targets[0] * np.log(targets[0] / probabilities[0])).sum()
    elements = loss_elements(loss(type="kl_divergence"), outputs, targets)
    assert elements.tolist() == pytest.approx([first, -math.log(probabilities[1, 0])], rel=1e-14)
    same = loss_value(loss(type="kl_divergence"), np.log(targets[:1]) + 7.0, targets[:1])
    assert same == pytest.approx(0.0, abs=1e-15)


def test_cosine_similarity_is_minus_the_cosine_and_0_for_a_row_of_zeros() -> None:
    outputs = np.array([[2.0, 0.0], [3.0, 3.0], [0.0, 0.0]])
    targets = np.array([[5.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
    elements = loss_elements(loss(type="cosine_similarity"), outputs, targets)
    assert elements.tolist() == pytest.approx([-1.0, math.sqrt(0.5), 0.0], rel=1e-15)


def test_smoothed_classes_are_the_crossentropy_of_smoothed_probabilities() -> None:
    outputs, classes = NUMBERS.normal(size=(20, 4)), NUMBERS.integers(0, 4, size=20)
    smooth = np.eye(4)[classes] * 0.7 + 0.3 / 4
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    found = loss_value(loss(type="categorical_crossentropy", label_smoothing=0.3), outputs, classes)
    assert found == pytest.approx(-(smooth * np.log(probabilities)).sum(axis=1).mean(), rel=1e-13)
    binary, sure = loss(type="binary_crossentropy", label_smoothing=0.2), np.array([[1.0], [0.0]])
    logits = np.array([[0.4], [-2.0]])
    soft = loss_elements(loss(type="binary_crossentropy"), logits, np.array([[0.9], [0.1]]))
    assert loss_elements(binary, logits, sure) == pytest.approx(soft, rel=1e-14)


def test_class_weights_multiply_and_the_mean_still_divides_by_the_count() -> None:
    outputs, classes = NUMBERS.normal(size=(20, 3)), NUMBERS.integers(0, 3, size=20)
    weights = np.array([0.5, 2.0, 0.0])
    single = loss_elements(loss(type="categorical_crossentropy"), outputs, classes)
    weighted = loss(type="categorical_crossentropy", class_weights=tuple(weights))
    assert loss_value(weighted, outputs, classes) == pytest.approx((single * weights[classes]).sum() / 20)
    logits, targets = np.array([[0.3, -1.0]]), np.array([[0.0, 1.0]])
    plain = loss_elements(loss(type="binary_crossentropy"), logits, targets)
    doubled = loss_value(loss(type="binary_crossentropy", class_weights=(1.0, 2.0)), logits, targets)
    assert doubled == (plain[0, 0] + 2 * plain[0, 1]) / 2


def test_weights_divide_by_the_count_or_by_themselves() -> None:
    outputs, targets = regression()
    w = NUMBERS.uniform(0, 3, size=20)
    weighted = np.square(outputs - targets) * w[:, None]
    by_weights = loss(type="mse", weighting="by_weights")
    assert loss_value(loss(type="mse"), outputs, targets, w) == pytest.approx(weighted.mean(), rel=1e-14)
    assert loss_value(by_weights, outputs, targets, w) == pytest.approx(
        weighted.sum() / (3 * w.sum()), rel=1e-14
    )
    assert loss_value(by_weights, outputs, targets) == loss_value(loss(type="mse"), outputs, targets)
    assert loss_value(by_weights, outputs, targets, np.zeros(20)) == 0.0
    total = loss(type="mse", reduction="sum", weighting="by_weights")
    assert loss_value(total, outputs, targets, w) == pytest.approx(weighted.sum(), rel=1e-14)


def test_a_samples_weight_multiplies_its_classes_weight() -> None:
    outputs, classes = NUMBERS.normal(size=(20, 3)), NUMBERS.integers(0, 3, size=20)
    w, of_class = NUMBERS.uniform(0, 3, size=20), np.array([0.5, 2.0, 0.1])
    both = loss(type="categorical_crossentropy", class_weights=tuple(of_class), weighting="by_weights")
    single = loss_elements(loss(type="categorical_crossentropy"), outputs, classes)
    expected = np.average(single, weights=w * of_class[classes])
    assert loss_value(both, outputs, classes, w) == pytest.approx(expected, rel=1e-14)


def test_a_sum_of_means_is_the_sum_over_the_outputs_number() -> None:
    outputs, targets = regression()
    total, means = (loss(type="mae", reduction=kind) for kind in ("sum", "sum_of_means"))
    whole = loss_value(total, outputs, targets)
    assert loss_value(means, outputs, targets) == pytest.approx(whole / 3, rel=1e-14)
    rows = loss(type="cosine_similarity", reduction="sum_of_means")
    assert loss_value(rows, outputs, targets) == pytest.approx(
        loss_elements(rows, outputs, targets).sum(), rel=1e-14
    )


def test_ignored_targets_are_left_out_of_the_sum_and_of_the_count() -> None:
    outputs, classes = NUMBERS.normal(size=(20, 3)), NUMBERS.integers(0, 3, size=20)
    ignored = np.where(np.arange(20) % 4 == 0, -100, classes)
    kept = ignored >= 0
    w = NUMBERS.uniform(0, 3, size=20)
    for options in ({}, {"reduction": "sum"}, {"class_weights": (0.5, 1.0, 2.0), "weighting": "by_weights"}):
        plain = loss(type="categorical_crossentropy", **options)
        ignoring = loss(type="categorical_crossentropy", ignore_index=-100, **options)
        expected = loss_value(plain, outputs[kept], classes[kept], w[kept])
        assert loss_value(ignoring, outputs, ignored, w) == pytest.approx(expected, rel=1e-14)
        assert loss_value(ignoring, outputs, np.full(20, -100), w) == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"type": "mse"},
        {"type": "mae", "reduction": "sum_of_means"},
        {"type": "mse", "targets": "broadcast"},
        {"type": "categorical_crossentropy", "ignore_index": 1, "class_weights": (1.0, 2.0, 3.0)},
        {"type": "binary_crossentropy", "class_weights": (1.0, 2.0), "weighting": "by_weights"},
    ],
)
def test_many_members_losses_are_each_member_s(options: dict[str, Any]) -> None:
    columns = 1 if "targets" in options else 3
    outputs, targets = NUMBERS.normal(size=(4, 20, columns)), NUMBERS.integers(0, 2, size=(20, columns))
    known = targets[:, 0] if options["type"] == "categorical_crossentropy" else targets.astype(float)
    w = None if "targets" in options else NUMBERS.uniform(0, 3, size=20)
    found = loss_values(loss(**options), outputs, known, w)
    assert found.tolist() == [loss_value(loss(**options), own, known, w) for own in outputs]


def test_broadcast_targets_meet_every_output() -> None:
    outputs, targets = np.array([[1.0], [2.0], [4.0]]), np.array([[0.0], [1.0], [5.0]])
    wrong = loss(type="mse", targets="broadcast")
    every = [[(o - t) ** 2 for t in (0.0, 1.0, 5.0)] for o in (1.0, 2.0, 4.0)]
    assert loss_elements(wrong, outputs, targets).tolist() == every
    assert loss_value(wrong, outputs, targets) == pytest.approx(np.mean(every), rel=1e-15)


def test_probabilities_give_the_loss_of_their_logits() -> None:
    logits, classes = NUMBERS.normal(size=(20, 3)), NUMBERS.integers(0, 3, size=20)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for options in ({}, {"label_smoothing": 0.3}):
        of_logits = loss(type="categorical_crossentropy", **options)
        of_probabilities = loss(type="categorical_crossentropy", from_logits=False, **options)
        expected = loss_value(of_logits, logits, classes)
        assert loss_value(of_probabilities, probabilities, classes) == pytest.approx(expected, rel=1e-12)
        assert loss_value(of_probabilities, 0.5 * probabilities, classes) == pytest.approx(expected, rel=1e-6)
        binary = loss(type="binary_crossentropy", **options)
        sure = loss(type="binary_crossentropy", from_logits=False, **options)
        targets = (classes[:, None] == np.arange(3)).astype(float)
        assert loss_value(sure, 1 / (1 + np.exp(-logits)), targets) == pytest.approx(
            loss_value(binary, logits, targets), rel=1e-12
        )


def test_certain_probabilities_are_clipped_as_in_keras() -> None:
    binary = loss(type="binary_crossentropy", from_logits=False)
    elements = loss_elements(binary, np.array([[0.0], [1.0], [7.0]]), np.array([[1.0], [0.0], [1.0]]))
    assert elements.ravel().tolist() == pytest.approx([16.118095650958319, 16.11809565, 1e-7], rel=1e-6)


def test_logits_of_any_size_stay_finite() -> None:
    outputs = np.array([[1e4], [-1e4], [1e4], [-1e4]])
    targets = np.array([[1.0], [0.0], [0.0], [1.0]])
    binary = loss_elements(loss(type="binary_crossentropy"), outputs, targets)
    assert binary.ravel().tolist() == [0.0, 0.0, 1e4, 1e4]
    rows = np.array([[1e4, -1e4], [1e4, -1e4]])
    categorical = loss_elements(loss(type="categorical_crossentropy"), rows, np.array([0, 1]))
    assert categorical.tolist() == [0.0, 2e4]


def test_float32_outputs_are_measured_in_float64() -> None:
    outputs = np.array([[1.1]], dtype=np.float32)
    assert loss_value(loss(type="mae"), outputs, np.zeros((1, 1))) == float(np.float32(1.1))


def test_an_overflow_is_infinite_and_no_warning() -> None:
    assert loss_value(loss(type="mse"), np.array([[1e200]]), np.zeros((1, 1))) == math.inf


def test_outputs_and_targets_are_never_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\(6, 1\) and targets of shape \(6,\)"):
        loss_value(loss(type="mse"), np.zeros((6, 1)), np.zeros(6))


def binary() -> tuple[np.ndarray, np.ndarray]:
    return NUMBERS.normal(size=(20, 3)), NUMBERS.integers(0, 2, size=(20, 3)).astype(float)


def test_hinges_are_those_of_scikit_learn_and_take_either_coding_of_targets() -> None:
    outputs, targets = NUMBERS.normal(size=(30, 1)), NUMBERS.integers(0, 2, size=(30, 1)).astype(float)
    expected = hinge_loss(2 * targets.ravel() - 1, outputs.ravel())
    for coded in (targets, 2 * targets - 1):
        assert loss_value(loss(type="hinge"), outputs, coded) == pytest.approx(expected, rel=1e-14)
    elements = loss_elements(loss(type="hinge"), outputs, targets)
    squared = loss_elements(loss(type="squared_hinge"), outputs, targets)
    np.testing.assert_allclose(squared, elements**2, rtol=1e-15)


def test_a_target_of_0_that_stays_0_costs_1_whatever_the_output() -> None:
    given = loss(type="hinge", labels="as_given")
    elements = loss_elements(given, np.array([[-3.0], [5.0], [0.25]]), np.array([[0.0], [0.0], [1.0]]))
    assert elements.ravel().tolist() == [1.0, 1.0, 0.75]


def test_a_focal_loss_of_gamma_0_is_the_crossentropy() -> None:
    outputs, targets = binary()
    for more in ({}, {"label_smoothing": 0.2}, {"class_weights": [0.5, 3.0]}):
        plain, focal = (
            loss(type="binary_crossentropy", **more),
            loss(type="binary_focal_crossentropy", gamma=0.0, **more),
        )
        one, other = (loss_value(each, outputs, targets) for each in (plain, focal))
        assert one == pytest.approx(other, rel=1e-14)
    classes = NUMBERS.integers(0, 3, size=20)
    focal = loss(type="categorical_focal_crossentropy", gamma=0.0, alpha=1.0, label_smoothing=0.1)
    plain = loss(type="categorical_crossentropy", label_smoothing=0.1)
    assert loss_value(focal, outputs, classes) == pytest.approx(
        loss_value(plain, outputs, classes), rel=1e-14
    )


def test_a_focal_loss_is_the_crossentropy_times_what_is_missing_to_the_power_of_gamma() -> None:
    outputs, targets = np.array([[0.3], [-1.2]]), np.array([[1.0], [0.0]])
    p = 1 / (1 + np.exp(-np.array([0.3, 1.2])))
    expected = -((1 - p) ** 1.5) * np.log(p)
    focal = loss(type="binary_focal_crossentropy", gamma=1.5)
    np.testing.assert_allclose(loss_elements(focal, outputs, targets).ravel(), expected, rtol=1e-14)
    balanced = loss(type="binary_focal_crossentropy", gamma=1.5, apply_class_balancing=True, alpha=0.25)
    found = loss_elements(balanced, outputs, targets).ravel()
    np.testing.assert_allclose(found, expected * [0.25, 0.75], rtol=1e-14)


def test_a_sure_output_keeps_a_finite_focal_loss() -> None:
    outputs, targets = np.array([[800.0], [-800.0]]), np.array([[1.0], [1.0]])
    for gamma in (0.5, 2.0):
        elements = loss_elements(loss(type="binary_focal_crossentropy", gamma=gamma), outputs, targets)
        assert elements[0, 0] == 0.0
        assert elements[1, 0] == pytest.approx(800.0)


def test_categorical_hinge_asks_for_a_lead_over_the_best_other_class_and_over_0() -> None:
    outputs = np.array([[2.0, 1.5, -1.0], [0.2, -3.0, -2.0]])
    elements = loss_elements(loss(type="categorical_hinge"), outputs, np.array([0, 0]))
    assert elements.tolist() == pytest.approx([0.5, 0.8])


def test_multi_margin_asks_for_a_lead_over_each_other_class() -> None:
    outputs = np.array([[2.0, 1.5, -1.0], [0.2, -3.0, 0.0]])
    classes = np.array([0, 0])
    elements = loss_elements(loss(type="multi_margin"), outputs, classes)
    assert elements.tolist() == pytest.approx([0.5 / 3, 0.8 / 3])
    squared = loss_elements(loss(type="multi_margin", p=2, margin=0.6), outputs, classes)
    assert squared.tolist() == pytest.approx([0.1**2 / 3, 0.4**2 / 3])


def test_dice_is_one_minus_twice_the_overlap_and_tversky_of_halves_is_dice() -> None:
    p, t = np.array([[0.5, 1.0], [0.0, 0.25]]), np.array([[1.0, 1.0], [0.0, 1.0]])
    whole = loss(type="dice", from_logits=False, epsilon=0.0)
    assert loss_elements(whole, p, t).tolist() == pytest.approx([1 - 3.5 / 4.75])
    each = loss(type="dice", from_logits=False, epsilon=0.0, per="sample", smooth=1.0)
    assert loss_elements(each, p, t).tolist() == pytest.approx([1 - 4 / 4.5, 1 - 1.5 / 2.25])
    halves = loss(type="tversky", from_logits=False, epsilon=5e-8)
    dice = loss(type="dice", from_logits=False)
    assert loss_value(halves, p, t) == pytest.approx(loss_value(dice, p, t), rel=1e-14)
    missed = loss(type="tversky", from_logits=False, alpha=1.0, beta=0.0, epsilon=0.0)
    assert loss_elements(missed, p, t).tolist() == pytest.approx([1 - 1.75 / 3.0])


def test_a_loss_of_the_whole_batch_is_each_member_s_own() -> None:
    outputs, targets = NUMBERS.normal(size=(4, 10, 2)), NUMBERS.integers(0, 2, size=(10, 2)).astype(float)
    dice = loss(type="dice")
    found = loss_values(dice, outputs, targets)
    assert found.tolist() == [loss_value(dice, one, targets) for one in outputs]


def test_what_is_written_for_a_loss_of_pytorch_computes_it() -> None:
    """`producer/job/not_taken.py` says what to write; the formulas are those of PyTorch's documentation."""
    x, labels = NUMBERS.normal(size=(20, 3)), NUMBERS.integers(0, 2, size=(20, 3))
    signed = 2 * labels - 1
    soft_margin = np.log1p(np.exp(-signed * x)).mean()
    sigmoid = 1 / (1 + np.exp(-x))
    multilabel = -(labels * np.log(sigmoid) + (1 - labels) * np.log(1 - sigmoid)).mean(axis=1).mean()
    binary = loss_value(loss(type="binary_crossentropy"), x, labels)
    assert binary == pytest.approx(soft_margin, rel=1e-13)
    assert binary == pytest.approx(multilabel, rel=1e-13)
    classes = NUMBERS.integers(0, 3, size=20)
    logarithms = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    likelihood = -logarithms[np.arange(20), classes].mean()
    assert loss_value(loss(type="categorical_crossentropy"), logarithms, classes) == pytest.approx(
        likelihood, rel=1e-13
    )
    beta, wrong = 0.3, x - labels
    smooth = np.where(abs(wrong) < beta, wrong**2 / (2 * beta), abs(wrong) - beta / 2).mean()
    huber = loss_value(loss(type="huber", delta=beta), x, labels)
    assert huber == pytest.approx(beta * smooth, rel=1e-13)
