"""The rules on what fits, asked of amounts alone; the producer and the worker ask the same ones."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.shared.program.fit import Amounts, Targets, misfits, weight_misfits


def amounts(*, train: int, validation: int = 0, test: int = 0, **targets: Any) -> Amounts:
    """Of an only output."""
    return Amounts(train=train, validation=validation, test=test, targets={"output": Targets(**targets)})


ONE_COLUMN = amounts(train=4, columns=1)
TWO_CLASSES = amounts(train=4, classes=2)
CROSS = "categorical_crossentropy"


def job_of(*layers: Any, **sections: Any) -> Job:
    return Job.model_validate(
        {
            "data": {"type": "inline", "x": [1, 2, 3, 4], "y": [1, 2, 3, 4]},
            "model": {"layers": list(layers) or [dense(1)]},
            "loss": "mse",
            "optimizer": {"type": "sgd", "learning_rate": 0.01},
            "training": {"epochs": 1},
            **sections,
        }
    )


def dense(units: int) -> dict[str, Any]:
    return {"type": "dense", "units": units}


def told(job: Job, there: Amounts, shape: tuple[int, ...] = (1,)) -> list[str]:
    return [str(problem) for problem in misfits(job, compile_job(job, shape), there)]


WEIGHTED = {"type": "inline", "x": [1, 2], "y": [1, 2], "sample_weights": [1, 2]}
BROADCAST = {"type": "mse", "targets": "broadcast"}

MISFITS: list[tuple[Job, Amounts, str]] = [
    (
        job_of(dense(3)),
        ONE_COLUMN,
        "model.layers.0.units = 3: the model's last layer gives 3 outputs, and mse needs one a target column: there is 1 (units: 1)",
    ),
    (
        job_of(),
        amounts(train=2, columns=2),
        "model.layers.0.units = 1: the model's last layer gives 1 output, and mse needs one a target column: there are 2 (units: 2)",
    ),
    (
        job_of(dense(2), loss=CROSS),
        amounts(train=2, classes=3),
        "model.layers.0.units = 2: the model's last layer gives 2 outputs, and categorical_crossentropy needs one a class: the targets have 3 (0 to 2) (units: 3)",
    ),
    (
        job_of(dense(4), loss=CROSS),
        amounts(train=2, classes=3, class_names=("setosa", "versicolor", "virginica")),
        "model.layers.0.units = 4: the model's last layer gives 4 outputs, and categorical_crossentropy needs one a class: the targets have 3 (setosa, versicolor, virginica) (units: 3)",
    ),
    (
        job_of(dense(2), "flatten"),
        ONE_COLUMN,
        "model.layers.1 = 2: the model's last layer gives 2 outputs, and mse needs one a target column: there is 1 (end with {type: dense, units: 1})",
    ),
    (
        job_of(dense(2), loss={"type": CROSS, "class_weights": [1, 2, 3]}),
        TWO_CLASSES,
        "loss.class_weights: has 3 weights, and the model gives 2 outputs (one weight a class)",
    ),
    (
        job_of(dense(2), loss=BROADCAST),
        amounts(train=2, columns=2),
        'loss.targets = "broadcast": is a mistake that can only be made with one output and one target column, and here are 2 outputs and 2 columns (targets: aligned)',
    ),
    (
        job_of(loss=BROADCAST, data=WEIGHTED),
        amounts(train=2, columns=1),
        'loss.targets = "broadcast": sets each output against every target, so that no sample has a loss of its own to weigh (leave data.sample_weights out, or targets: aligned)',
    ),
    (
        job_of(loss=BROADCAST),
        amounts(train=5001, columns=1),
        'loss.targets = "broadcast": sets each of 5,001 samples against each other, and at most 5,000 fit (a smaller training.batch_size, and fewer validation samples)',
    ),
    (
        job_of(training={"epochs": 1, "batch_size": 5, "drop_last": True}),
        ONE_COLUMN,
        "training.batch_size = 5: is larger than the 4 training samples, and drop_last is true (at most 4, or null for the whole set)",
    ),
    (
        job_of(training={"epochs": 1, "batch_size": 4, "drop_last": True}),
        amounts(train=3, test=1, columns=1),
        "training.batch_size = 4: is larger than the 3 training samples (the rest is held out), and drop_last is true (at most 3, or null for the whole set)",
    ),
    (
        job_of(training={"epochs": 1, "early_stopping": {}}),
        amounts(train=3, test=1, columns=1),
        'training.early_stopping.monitor = "validation_loss": there are no validation samples to watch (add data.split.validation, such as 0.1, or use monitor: loss)',
    ),
    (
        job_of(
            optimizer={"type": "sgd", "learning_rate": 0.01, "schedule": {"type": "reduce_on_plateau"}}
        ),
        ONE_COLUMN,
        'optimizer.schedule.monitor = "validation_loss": there are no validation samples to watch (add data.split.validation, such as 0.1, or use monitor: loss)',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("job", "amounts", "expected"), MISFITS, ids=[text[:50] for *_, text in MISFITS])
def test_a_misfit_is_told_with_what_would_fit(job: Job, amounts: Amounts, expected: str) -> None:
    assert told(job, amounts) == [expected]


def test_an_output_of_several_axes_is_told_with_the_way_out() -> None:
    assert told(job_of(), ONE_COLUMN, (4, 3)) == [
        "model.layers.0: the output of one sample has the shape 4 x 1, and one row of numbers is wanted "
        "(a sample of the data is 4 x 3; put `flatten` before the dense layers)"
    ]


def test_several_misfits_are_told_at_once() -> None:
    training = {"epochs": 1, "batch_size": 5, "drop_last": True, "early_stopping": {}}
    assert len(told(job_of(dense(2), training=training), ONE_COLUMN)) == 3


@pytest.mark.parametrize(
    ("job", "amounts"),
    [
        (job_of(), ONE_COLUMN),
        (job_of(training={"epochs": 1, "batch_size": 4, "drop_last": True}), ONE_COLUMN),
        (job_of(training={"epochs": 1, "batch_size": 9}), ONE_COLUMN),
        (job_of(training={"epochs": 1, "early_stopping": {"monitor": "loss"}}), ONE_COLUMN),
        (
            job_of(training={"epochs": 1, "early_stopping": {}}),
            amounts(train=3, validation=1, columns=1),
        ),
        (job_of(loss=BROADCAST), amounts(train=5000, validation=5000, columns=1)),
        (job_of(dense(2), loss={"type": CROSS, "class_weights": [1, 2]}), TWO_CLASSES),
        (job_of(dense(3), loss=CROSS), TWO_CLASSES),  # classes without names may be more than were seen
        (job_of(dense(2), loss=CROSS), amounts(train=4)),  # every target is ignored
    ],
)
def test_what_fits_is_let_through(job: Job, amounts: Amounts) -> None:
    assert told(job, amounts) == []


FITTING = {"layers.0.kernel": [[1.0]], "layers.0.bias": [0.0]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (FITTING, []),
        (
            {},
            [
                "layers.0.kernel: is missing (its shape is 1 x 1)",
                "layers.0.bias: is missing (its shape is 1)",
            ],
        ),
        (FITTING | {"layers.1.bias": [0.0]}, ["layers.1.bias: the model has no such weight"]),
        (
            FITTING | {"layers.0.kernel": [1.0]},
            [
                "layers.0.kernel: has the shape 1, and the model's is 1 x 1 "
                "(a kernel is (inputs, units), a bias (units))"
            ],
        ),
        (FITTING | {"layers.0.bias": [np.nan]}, ["layers.0.bias: holds NaN or infinite numbers"]),
        (FITTING | {"layers.0.bias": [1e39]}, ["layers.0.bias: holds a number too large for float32"]),
    ],
)
def test_given_weights_that_do_not_fit_are_told_by_name(
    given: dict[str, list[float]], expected: list[str]
) -> None:
    arrays = {name: np.array(values) for name, values in given.items()}
    program = compile_job(job_of(), (1,))
    assert [str(problem) for problem in weight_misfits(arrays, program, "float32")] == expected
