"""The reference losses against scikit-learn and plain arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

from shared.spec import Loss
from worker.losses import loss_elements, loss_value

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
