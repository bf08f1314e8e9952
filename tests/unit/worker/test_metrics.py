"""Metrics against scikit-learn, and None where they are undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import TypeAdapter

from likewise.shared.job import Job, Loss
from likewise.shared.job.metrics import CLASSIFICATION, REGRESSION, Metric, fitting_metrics
from likewise.shared.program import compile_job
from likewise.shared.results.seed_table import in_own_units
from likewise.worker.adapters.trainer import Batch
from likewise.worker.training.metrics import measured, member_metrics

LOSS: TypeAdapter[Loss] = TypeAdapter(Loss)
NUMBERS = np.random.default_rng(1)
MSE, BINARY, CATEGORICAL = (
    LOSS.validate_python({"type": kind})
    for kind in ("mse", "binary_crossentropy", "categorical_crossentropy")
)


def metrics(loss: Loss, outputs: Any, targets: Any) -> dict[str, float | None]:
    (found,) = member_metrics(fitting_metrics(loss), loss=loss, outputs=outputs[None], targets=targets)
    return found


def softmax(outputs: np.ndarray) -> np.ndarray:
    weights = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["mse", "mae", "huber"])
def test_regression_losses_take_regression_metrics(kind: str) -> None:
    assert fitting_metrics(LOSS.validate_python({"type": kind})) == REGRESSION


@pytest.mark.parametrize("loss", [BINARY, CATEGORICAL])
def test_crossentropies_take_classification_metrics(loss: Loss) -> None:
    assert fitting_metrics(loss) == CLASSIFICATION


@pytest.mark.parametrize("columns", [1, 3])
def test_regression_metrics_are_those_of_scikit_learn(columns: int) -> None:
    outputs, targets = NUMBERS.normal(size=(30, columns)), NUMBERS.normal(size=(30, columns))
    found = metrics(MSE, outputs, targets)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(targets, outputs), rel=1e-13)
    assert found["rmse"] == pytest.approx(
        sk.root_mean_squared_error(targets.ravel(), outputs.ravel()), rel=1e-13
    )
    assert found["r2"] == pytest.approx(sk.r2_score(targets, outputs), rel=1e-12)


@pytest.mark.parametrize("loss", [MSE, BINARY, CATEGORICAL])
@pytest.mark.parametrize("shape", [(6, 1), (1, 1), (300, 1), (300, 3)])
def test_a_member_s_metrics_are_those_it_has_alone_to_the_last_bit(
    loss: Loss, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likewise.worker.training.metrics._NUMBERS_AT_ONCE", 2 * shape[0] * shape[1])
    outputs = NUMBERS.normal(size=(5, *shape)).astype(np.float32)
    outputs[3] = np.nan
    match loss.type:
        case "mse":
            targets = NUMBERS.normal(size=shape)
        case "binary_crossentropy":
            targets = NUMBERS.integers(0, 2, shape)
        case _:
            targets = NUMBERS.integers(0, shape[1], shape[0])
    names = fitting_metrics(loss)
    alone = [
        found
        for one in outputs
        for found in member_metrics(names, loss=loss, outputs=one[None], targets=targets)
    ]
    assert member_metrics(names, loss=loss, outputs=outputs, targets=targets) == alone
    assert alone[0] != alone[1] or shape == (1, 1) or loss is CATEGORICAL


LOGITS = st.sampled_from([-2.0, -0.5, -0.0, 0.0, 0.5, 0.5, 2.0])


@given(st.data(), st.integers(2, 40))
def test_binary_metrics_are_those_of_scikit_learn(data: st.DataObject, samples: int) -> None:
    outputs = data.draw(arrays(np.float64, (samples, 1), elements=LOGITS))
    targets = data.draw(arrays(np.int64, (samples, 1), elements=st.integers(0, 1)))
    found = metrics(BINARY, outputs, targets.astype(np.float32))
    predicted, true = (outputs > 0).ravel(), targets.ravel()
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    if predicted.any() or true.any():
        assert found["f1"] == pytest.approx(sk.f1_score(true, predicted, zero_division=0))
    else:
        assert found["f1"] is None
    if 0 < true.sum() < samples:
        assert found["auc"] == pytest.approx(sk.roc_auc_score(true, outputs.ravel()))
    else:
        assert found["auc"] is None


@given(st.data(), st.integers(3, 40), st.integers(3, 4))
def test_multiclass_metrics_are_those_of_scikit_learn(
    data: st.DataObject, samples: int, classes: int
) -> None:
    outputs = data.draw(arrays(np.float64, (samples, classes), elements=LOGITS))
    targets = data.draw(arrays(np.int64, samples, elements=st.integers(0, classes - 1)))
    found = metrics(CATEGORICAL, outputs, targets)
    predicted = outputs.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(targets, predicted))
    assert found["f1"] == pytest.approx(sk.f1_score(targets, predicted, average="macro", zero_division=0))
    if len(np.unique(targets)) == classes:
        assert found["auc"] == pytest.approx(sk.roc_auc_score(targets, softmax(outputs), multi_class="ovr"))
    else:
        assert found["auc"] is None


def test_several_binary_targets_are_averaged() -> None:
    outputs, targets = NUMBERS.normal(size=(40, 3)), NUMBERS.integers(0, 2, size=(40, 3))
    found = metrics(BINARY, outputs, targets.astype(float))
    assert found["accuracy"] == pytest.approx(((outputs > 0) == targets).mean())
    assert found["f1"] == pytest.approx(sk.f1_score(targets, outputs > 0, average="macro"))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(targets, outputs, average="macro"))


def test_r2_of_a_constant_target_is_undefined() -> None:
    found = metrics(MSE, np.array([[0.1], [0.3]]), np.array([[0.1], [0.1]]))
    assert found["r2"] is None
    assert found["mae"] == pytest.approx(0.1)


def test_a_metric_that_does_not_fit_the_loss_is_undefined() -> None:
    outputs, targets = np.zeros((3, 1)), np.zeros((3, 1))
    (found,) = member_metrics(["auc", "mae"], loss=MSE, outputs=outputs[None], targets=targets)
    assert found == {
        "auc": None,
        "mae": 0.0,
    }


def test_without_samples_every_metric_is_undefined() -> None:
    assert metrics(MSE, np.zeros((0, 1)), np.zeros((0, 1))) == {"mae": None, "rmse": None, "r2": None}


def test_a_metric_past_the_largest_number_is_undefined() -> None:
    found = metrics(MSE, np.array([[1e200], [0.0]]), np.array([[0.0], [1.0]]))
    assert found["rmse"] is None
    assert found["mae"] == 5e199 + 0.5


def test_metrics_of_probabilities_are_those_of_their_logits() -> None:
    logits, classes = NUMBERS.normal(size=(40, 3)), NUMBERS.integers(0, 3, size=40)
    given = LOSS.validate_python({"type": "categorical_crossentropy", "from_logits": False})
    assert metrics(given, softmax(logits), classes) == metrics(CATEGORICAL, logits, classes)
    binary = LOSS.validate_python({"type": "binary_crossentropy", "from_logits": False})
    targets = (classes[:, None] == 0).astype(float)
    probabilities = 1 / (1 + np.exp(-logits[:, :1]))
    assert metrics(binary, probabilities, targets) == metrics(BINARY, logits[:, :1], targets)


def test_ignored_targets_are_left_out_of_every_metric() -> None:
    logits, classes = NUMBERS.normal(size=(40, 3)), NUMBERS.integers(0, 3, size=40)
    ignoring = LOSS.validate_python({"type": "categorical_crossentropy", "ignore_index": 255})
    ignored = np.where(np.arange(40) % 3 == 0, 255, classes)
    kept = ignored < 255
    assert metrics(ignoring, logits, ignored) == metrics(CATEGORICAL, logits[kept], classes[kept])
    assert set(metrics(ignoring, logits, np.full(40, 255)).values()) == {None}


def test_metrics_of_standardised_targets_are_in_the_targets_own_units() -> None:
    draw = np.random.default_rng(5)
    outputs, targets = draw.standard_normal((2, 30, 2)), draw.standard_normal((30, 2))
    scaling = ((120e6, -3.0), (31e3, 0.25))
    job = Job.model_validate(
        {
            "data": {"type": "synthetic", "kind": "linear"},
            "model": {"layers": [{"type": "dense", "units": 2}]},
            "loss": {"type": "mse"},
            "optimizer": {"type": "sgd", "learning_rate": 0.1},
            "training": {"epochs": 1},
        }
    )
    batch = Batch(x=np.zeros((30, 1)), y=targets, weights=None)
    own = [in_own_units(values, scaling) for values in (targets, outputs[1])]

    found = measured(job, compile_job(job, (1,)), {"test": batch}, {"test": outputs}, scaling)[1]["test"]
    assert own[0][:, 0] == pytest.approx(targets[:, 0] * 31e3 + 120e6)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(*own))
    assert found["rmse"] == pytest.approx(np.sqrt(((own[0] - own[1]) ** 2).mean()))
    assert found["r2"] == pytest.approx(sk.r2_score(targets, outputs[1]))


METRICS: TypeAdapter[Metric] = TypeAdapter(Metric)


def measure(loss: Loss, outputs: Any, targets: Any, **metric: Any) -> dict[str, float | None]:
    wanted = [METRICS.validate_python(metric)]
    (found,) = member_metrics(wanted, loss=loss, outputs=outputs[None], targets=targets)
    return found


@pytest.mark.parametrize("average", ["macro", "micro"])
@pytest.mark.parametrize("kind", ["precision", "recall"])
def test_precision_and_recall_are_those_of_scikit_learn(kind: str, average: str) -> None:
    function = getattr(sk, f"{kind}_score")
    name = kind if average == "macro" else f"{kind}_micro"
    outputs, targets = NUMBERS.normal(size=(40, 1)), NUMBERS.integers(0, 2, size=(40, 1))
    found = measure(BINARY, outputs, targets, type=kind, average=average)
    assert found == {name: pytest.approx(function(targets.ravel(), outputs.ravel() > 0), rel=1e-14)}
    several, labels = NUMBERS.normal(size=(40, 3)), NUMBERS.integers(0, 2, size=(40, 3))
    found = measure(BINARY, several, labels, type=kind, average=average)
    assert found[name] == pytest.approx(function(labels, several > 0, average=average), rel=1e-14)
    outputs, classes = NUMBERS.normal(size=(40, 4)), NUMBERS.integers(0, 3, size=40)
    found = measure(CATEGORICAL, outputs, classes, type=kind, average=average)
    expected = function(classes, outputs.argmax(axis=1), average=average, zero_division=0)
    assert found[name] == pytest.approx(expected, rel=1e-14)


def test_precision_of_what_neither_occurs_nor_is_said_is_none_and_of_what_is_missed_is_0() -> None:
    nothing = measure(BINARY, np.full((4, 1), -1.0), np.zeros((4, 1)), type="precision")
    assert nothing == {"precision": None}
    missed = measure(BINARY, np.full((4, 1), -1.0), np.ones((4, 1)), type="precision")
    assert missed == {"precision": 0.0}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_accuracy_is_that_of_scikit_learn(k: int) -> None:
    outputs, classes = NUMBERS.normal(size=(60, 5)), NUMBERS.integers(0, 5, size=60)
    expected = sk.top_k_accuracy_score(classes, outputs, k=k, labels=range(5))
    found = measure(CATEGORICAL, outputs, classes, type="top_k_accuracy", k=k)
    assert found == {f"top_{k}_accuracy": pytest.approx(expected, rel=1e-14)}


def test_a_class_that_ties_with_the_kth_is_inside_or_by_its_number() -> None:
    outputs, classes = np.array([[1.0, 1.0, 1.0, 0.0]] * 3), np.array([0, 1, 2])
    inside = measure(CATEGORICAL, outputs, classes, type="top_k_accuracy", k=2)
    assert inside == {"top_2_accuracy": 1.0}
    by_index = measure(CATEGORICAL, outputs, classes, type="top_k_accuracy", k=2, ties="by_index")
    assert by_index == {"top_2_accuracy_by_index": pytest.approx(2 / 3)}


def test_a_hinge_says_class_1_above_0_and_takes_targets_of_either_sign() -> None:
    hinge = LOSS.validate_python({"type": "hinge"})
    outputs, targets = np.array([[0.2], [-0.1], [0.6]]), np.array([[1.0], [-1.0], [-1.0]])
    found = metrics(hinge, outputs, targets)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["auc"] == 0.5


def test_a_smoothed_target_is_of_the_class_that_it_is_nearer_to() -> None:
    outputs, classes = NUMBERS.normal(size=(40, 1)), NUMBERS.integers(0, 2, (40, 1))
    assert metrics(BINARY, outputs, classes * 0.9 + 0.05) == metrics(BINARY, outputs, classes)
