"""Runs that fail: a typed reason and a message that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from likewise.shared.errors import LikewiseError
from likewise.shared.job import Job
from likewise.shared.store.arrays import ArrayRef
from likewise.worker.adapters.trainer import Block

Jobs = Callable[..., Job]


def test_a_diverging_training_is_a_typed_failure_with_epoch_and_advice(lab: Any, job_of: Jobs) -> None:
    job = job_of(
        loss={"type": "mse", "reduction": "sum"},
        optimizer={"type": "sgd", "learning_rate": 5.0},
        training={"epochs": 500},
    )
    result = lab.train(lab.run(job, train=lab.samples(20)))
    assert result.status == "failed"
    failure = result.failure
    assert (failure.reason, failure.seed) == ("diverged", 0)
    assert failure.epoch == failure.step == len(lab.only(result).losses) + 1
    assert "learning rate is too high" in failure.message
    assert "loss.reduction: mean" in failure.message
    seed = lab.only(result)
    assert seed.epochs == len(seed.losses)
    assert seed.weights == {}
    assert seed.hashes is not None


def test_an_epochs_sum_that_overflows_is_divergence(lab: Any, job_of: Jobs) -> None:
    job = job_of(
        loss={"type": "mse", "reduction": "sum"},
        optimizer={"type": "sgd", "learning_rate": 1e-300},
        training={"epochs": 3, "batch_size": 1},
        precision="float64",
    )
    result = lab.train(lab.run(job, train=(np.ones((2, 1)), np.full((2, 1), 1e154))))
    assert (result.failure.reason, result.failure.epoch, result.failure.step) == ("diverged", 1, 2)
    assert lab.only(result).losses == ()


def test_other_seeds_go_on_when_one_diverges(lab: Any, job_of: Jobs) -> None:
    lab.adapter.vectorises = False
    build = lab.adapter.build
    diverging = iter([False, True, False])

    def sometimes(*args: Any, weights: Any, **kwargs: Any) -> Any:
        if next(diverging):
            weights = {name: np.full_like(array, 1e38) for name, array in weights.items()}
        return build(*args, weights=weights, **kwargs)

    lab.adapter.build = sometimes
    result = lab.train(lab.run(job_of(), train=lab.samples(20), seeds=(1, 2, 3)))
    assert [seed.status for seed in lab.seeds(result)] == ["succeeded", "failed", "succeeded"]
    assert result.status == "failed"
    assert (result.failure.reason, result.failure.seed) == ("diverged", 2)


def test_weights_that_overflow_in_the_last_update_are_divergence(lab: Any, job_of: Jobs) -> None:
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1e300}, training={"epochs": 1})
    result = lab.train(lab.run(job, train=lab.samples(20)))
    assert result.failure.reason == "diverged"
    assert "layers.0" in result.failure.message


def test_an_infinite_validation_loss_is_divergence(lab: Any, job_of: Jobs) -> None:
    far = (np.full((4, 3), 1e38), np.zeros((4, 1)))
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1.0})
    result = lab.train(lab.run(job, train=lab.samples(20), validation=far))
    assert result.failure.reason == "diverged"
    assert "validation" in result.failure.message


def test_what_the_adapter_cannot_do_ends_the_run_with_its_words(lab: Any, job_of: Jobs) -> None:
    job = job_of(loss="mae")
    result = lab.train(lab.run(job, train=lab.samples(20), seeds=(1, 2)))
    assert result.failure.reason == "unsupported"
    assert "only a linear model with mse" in result.failure.message
    assert len(lab.seeds(result)) == 1, "the next seed would meet the same"
    assert result.environment is not None


@pytest.mark.parametrize("error", [MemoryError(), None], ids=["host", "device"])
def test_memory_that_runs_out_in_training_is_typed(
    lab: Any, job_of: Jobs, device_memory_error: type[Exception], error: Exception | None
) -> None:
    build = lab.adapter.build

    def starved(*args: Any, **kwargs: Any) -> Any:
        trainer = build(*args, **kwargs)

        def train(_: Block) -> Any:
            raise error or device_memory_error("8 GiB")

        trainer.train = train
        return trainer

    lab.adapter.build = starved
    result = lab.train(lab.run(job_of(), train=lab.samples(20)))
    assert result.failure.reason == "out_of_memory"
    assert "batch_size" in result.failure.message
    assert lab.only(result).epochs == 0


def test_a_run_for_another_framework_is_invalid(lab: Any, job_of: Jobs) -> None:
    result = lab.train(lab.run(job_of(), train=lab.samples(20), framework="other"))
    assert result.failure.reason == "invalid"
    assert "for other, but this worker trains with numpy" in result.failure.message


@pytest.mark.parametrize(
    ("fields", "parts", "words"),
    [
        (
            {},
            {"train": (np.ones((4, 3)), np.ones((4, 2)))},
            "mse needs one a target column: there are 2",
        ),
        ({}, {"train": (np.ones((4, 3)), np.ones((5, 1)))}, "train has 4 samples and 5 targets"),
        (
            {},
            {"train": (np.ones((5, 3)), np.ones((5, 1))), "predict": np.ones((2, 4))},
            "A row of predict has the shape (4,)",
        ),
        (
            {"loss": "categorical_crossentropy"},
            {"train": (np.ones((2, 3)), np.array([0, 1]))},
            "the targets have 2 (0 to 1)",
        ),
        (
            {"training": {"epochs": 1, "batch_size": 9, "drop_last": True}},
            {"train": (np.ones((5, 3)), np.ones((5, 1)))},
            "is larger than the 5 training samples",
        ),
        (
            {"training": {"epochs": 1, "early_stopping": {}}},
            {"train": (np.ones((5, 3)), np.ones((5, 1)))},
            "add data.split.validation",
        ),
        ({}, {"train": (np.ones((4, 3, 2)), np.ones((4, 1)))}, "flatten"),
    ],
)
def test_what_does_not_fit_fails_in_words(
    lab: Any, job_of: Jobs, fields: dict[str, Any], parts: dict[str, Any], words: str
) -> None:
    result = lab.train(lab.run(job_of(**fields), **parts))
    assert result.failure.reason == "bad_shape"
    assert words in result.failure.message
    assert lab.seeds(result) == ()


def test_numbers_too_large_for_float32_are_refused_with_the_way_out(lab: Any, job_of: Jobs) -> None:
    large = (np.full((4, 3), 1e300), np.ones((4, 1)))
    result = lab.train(lab.run(job_of(), train=large))
    assert result.failure.reason == "unsupported"
    assert "x of train" in result.failure.message
    assert "precision: float64" in result.failure.message


class GoneError(LikewiseError):
    """As the blob store says that an array is gone."""


@pytest.mark.parametrize("error", [GoneError("no blob 12ab"), ValueError("wrong SHA-256"), KeyError("12ab")])
def test_an_array_that_is_gone_is_damaged_data(lab: Any, job_of: Jobs, error: Exception) -> None:
    def load(_: ArrayRef) -> Any:
        raise error

    result = lab.train(lab.run(job_of(), train=lab.samples(20)), load=load)
    assert result.failure.reason == "data_damaged"
    assert "the train samples" in result.failure.message
