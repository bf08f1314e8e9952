"""Splitting, standardising, rows to predict, given weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.data.prepare import split
from likewise.producer.job.prepare import PreparedExperiment
from likewise.shared.job.data import Split

Prepare = Callable[..., PreparedExperiment]
Refusal = Callable[..., str]


def inline(x: list[Any], y: list[Any], **fields: Any) -> dict[str, Any]:
    return {"type": "inline", "x": x, "y": y, **fields}


def test_without_a_split_the_samples_keep_their_order(prepare: Prepare) -> None:
    data = prepare(data=inline([3, 1, 2], [6, 2, 4])).runs["torch"].data

    assert data.train.x.tolist() == [[3], [1], [2]]
    assert (data.validation, data.test) == (None, None)


def test_a_split_gives_each_sample_to_one_part() -> None:
    train, validation, test = split(101, Split(validation=0.1, test=0.25, seed=3))

    assert (len(train), len(validation), len(test)) == (66, 10, 25)
    assert sorted([*train, *validation, *test]) == list(range(101))


def test_a_split_is_the_seeds_own() -> None:
    def tests(seed: int) -> list[int]:
        return split(1000, Split(test=0.2, seed=seed))[2].tolist()  # type: ignore[no-any-return]

    assert tests(0) == tests(0)
    assert tests(0)[:8] == [6, 9, 16, 21, 28, 29, 35, 38]  # frozen: older results stay comparable
    assert tests(0) != tests(1)


def test_the_test_samples_stay_when_a_validation_part_is_added() -> None:
    assert np.array_equal(split(100, Split(test=0.2))[2], split(100, Split(test=0.2, validation=0.3))[2])


def test_standardising_looks_at_the_training_samples_only(prepare: Prepare) -> None:
    x = [[float(i), 7.0] for i in range(20)]
    section = inline(x, [0.0] * 20, split={"test": 0.3, "seed": 1}, standardize=True)
    plain = prepare(data=section | {"standardize": False}).runs["torch"].data
    data = prepare(data=section, predict=[[5.0, 8.0]]).runs["torch"].data
    mean, scale = plain.train.x[:, 0].mean(), plain.train.x[:, 0].std()

    assert data.train.x[:, 0].mean() == pytest.approx(0, abs=1e-12)
    assert data.train.x[:, 0].std() == pytest.approx(1)
    assert data.test is not None
    assert plain.test is not None
    assert np.allclose(data.test.x[:, 0], (plain.test.x[:, 0] - mean) / scale)
    assert data.predict is not None
    assert data.predict.tolist() == [[pytest.approx((5.0 - mean) / scale), 1.0]]
    assert data.predict_given is not None
    assert data.predict_given.tolist() == [[5.0, 8.0]]


def test_a_feature_that_never_varies_is_scaled_by_one(prepare: Prepare) -> None:
    data = (
        prepare(data=inline([[0.1, 1], [0.1, 2], [0.1, 3]], [1, 2, 3], standardize=True)).runs["torch"].data
    )

    assert np.abs(data.train.x[:, 0]).max() < 1e-15
    assert np.isfinite(data.train.x).all()


def test_frameworks_with_the_same_data_share_its_arrays(prepare: Prepare) -> None:
    same = prepare(overrides={"torch": {"training.epochs": 9}}).runs
    other = prepare(overrides={"torch": {"data.standardize": True}}).runs

    assert same["tensorflow"].data is same["torch"].data
    assert other["tensorflow"].data is not other["torch"].data


def test_arrays_cannot_be_written_to(prepare: Prepare) -> None:
    with pytest.raises(ValueError, match="read-only"):
        prepare().runs["torch"].data.train.x[0, 0] = 5.0


def test_sample_weights_go_with_their_samples_and_are_never_standardised(prepare: Prepare) -> None:
    section = inline(
        [1, 2, 3, 4], [5, 6, 7, 8], sample_weights=[0.0, 1.0, 2.0, 3.0], split={"test": 0.5}, standardize=True
    )
    data = prepare(data=section).runs["torch"].data

    for part in (data.train, data.test):
        assert part.weights.tolist() == (part.y[:, 0] - 5).tolist()
    assert prepare().runs["torch"].data.train.weights is None


def test_an_ignored_class_number_is_no_class(prepare: Prepare) -> None:
    model = {"layers": [{"type": "dense", "units": 2}]}
    loss = {"type": "categorical_crossentropy", "ignore_index": 255}
    data = prepare(data=inline([1, 2, 3], [0, 255, 1]), model=model, loss=loss).runs["torch"].data

    assert data.train.y.tolist() == [0, 255, 1]
    assert data.classes == 2


def test_one_hot_rows_become_class_numbers(prepare: Prepare) -> None:
    model = {"layers": [{"type": "dense", "units": 3}]}
    section = inline([1, 2], [[0, 0, 1], [1, 0, 0]])
    data = prepare(data=section, model=model, loss="categorical_crossentropy").runs["torch"].data

    assert data.train.y.tolist() == [2, 0]
    assert data.classes == 3


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"data": inline([[1, 2, 3]], [0]), "predict": [4, 5, 6]},
            "predict: its rows have 1 value, and a sample of the data has 3; "
            "one row is a list within the list: [[4, 5, 6]]",
        ),
        (
            {"data": inline([1, 2], [1, 2], split={"test": 0.1})},
            "data.split.test = 0.1: of 2 samples that is none; at least 0.25 is one, "
            "and 0 means that there is no test",
        ),
        (
            {"data": inline([1, 2], [1, 2], split={"test": 0.8})},
            "data.split: of 2 samples, 2 for the test and 0 for the validation leave none to train on; "
            "hold out less, or bring more samples",
        ),
        (
            {"data": inline([1e308, -1e308], [1, 2], standardize=True), "precision": "float64"},
            "data.x: numbers too large to standardise; divide them first",
        ),
        (
            {"data": inline([1, 2], [[0, 1], [1, 1]]), "loss": "categorical_crossentropy"},
            "data.y: row 2 has 2 ones; a one-hot row has a single 1",
        ),
        (
            {
                "data": inline([1, 2], [0, -1]),
                "loss": {"type": "categorical_crossentropy", "ignore_index": -100},
            },
            "data.y: row 2 is -1; class numbers are whole numbers from 0 to 99999, "
            "or loss.ignore_index (-100)",
        ),
        (
            {
                "data": inline([1, 2], [-1, -1]),
                "loss": {"type": "categorical_crossentropy", "ignore_index": -1},
            },
            "data.y: every target is loss.ignore_index, -1; there is nothing to learn",
        ),
        (
            {"data": inline([1, 2], [1, 2], sample_weights=[0, 0])},
            "data.sample_weights: is 0 for every training sample; there is nothing to learn",
        ),
        (
            {"data": inline([1, 2], [1, 2], sample_weights=[1])},
            "data.sample_weights: has 1 numbers, and there are 2 rows of x",
        ),
        (
            {"overrides": {"torch": {"data.y.0": 1e300}}},
            "torch, by overrides.torch.data.y.0: data.y: row 1: "
            "1e+300 is too large for float32; use precision: float64",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused(
    prepare: Prepare, refusal: Refusal, sections: dict[str, Any], expected: str
) -> None:
    assert refusal(prepare, **sections) == expected


def test_given_weights_are_read_from_the_job_file_or_an_archive(prepare: Prepare, tmp_path: Path) -> None:
    weights = {"out.kernel": [[0.37]], "out.bias": [0.0]}
    np.savez(tmp_path / "w.npz", **weights)
    written = prepare(initial_weights={"type": "values", "weights": weights}).runs["torch"].data
    stored = prepare(initial_weights={"type": "npz", "path": "w.npz"}).runs["torch"].data

    assert written.given_weights is not None
    assert stored.given_weights is not None
    for name, values in weights.items():
        assert written.given_weights[name].tolist() == stored.given_weights[name].tolist() == values


def test_drawn_weights_are_not_given(prepare: Prepare) -> None:
    assert prepare().runs["torch"].data.given_weights is None


def test_an_archive_of_weights_that_is_not_there_is_refused(prepare: Prepare, refusal: Refusal) -> None:
    message = refusal(prepare, initial_weights={"type": "npz", "path": "w.npz"})

    assert message.startswith('initial_weights.path "w.npz": there is no such file in ')
