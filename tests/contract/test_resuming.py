"""A seed's training in each framework, left in the middle and gone on with by another, to the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import Batch
from likewise.worker.training import blocks
from likewise.worker.training.checkpoints import Checkpoint, SoFar
from likewise.worker.training.monitor import Monitor
from likewise.worker.training.results import Member
from likewise.worker.training.samples import RunData
from likewise.worker.training.training import OngoingTraining

LAYERS = [
    {"type": "dense", "units": 6, "activation": "tanh"},
    {"type": "batch_norm"},
    {"type": "dropout", "rate": 0.3},
    {"type": "dense", "units": 2},
]
JOBS: dict[str, dict[str, Any]] = {
    "early stopping": {
        "training": {
            "epochs": 60,
            "batch_size": 5,
            "shuffle": True,
            "early_stopping": {
                "monitor": "validation_loss",
                "patience": 4,
                "min_delta": 0.0,
                "restore_best_weights": True,
            },
        },
        "optimizer": {"type": "adam", "learning_rate": 0.05, "global_clip_norm": 1.0},
    },
    "early stopping by its own loss": {
        "training": {
            "epochs": 60,
            "batch_size": 4,
            "shuffle": True,
            "early_stopping": {
                "monitor": "loss",
                "patience": 4,
                "min_delta": 0.0,
                "restore_best_weights": True,
            },
        },
        "optimizer": {"type": "adam", "learning_rate": 0.05},
    },
    "plateaus": {
        "training": {"epochs": 20, "batch_size": 6, "shuffle": "once"},
        "optimizer": {
            "type": "sgd",
            "learning_rate": 0.3,
            "momentum": 0.9,
            "schedule": {
                "type": "reduce_on_plateau",
                "factor": 0.5,
                "patience": 1,
                "min_delta": 0.0,
                "monitor": "validation_loss",
            },
        },
    },
}


def training_of(kit: Any, name: str, precision: str) -> OngoingTraining:
    """A new one."""
    job = kit.job(layers=LAYERS, precision=precision, **JOBS[name])
    x, y, _ = kit.problem(job)
    held_out, targets, _ = kit.problem(job, seed=1)
    parts = {"train": Batch(x, y), "validation": Batch(held_out, targets)}
    if job.training.early_stopping and job.training.early_stopping.monitor == "loss":
        del parts["validation"]  # nothing else to look at: epochs are judged after they were trained
    data = RunData(program=compile_job(job, x.shape[1:]), parts=parts, predict=None)
    member = Member(seed=7, job=job)
    return OngoingTraining([member], data=data, adapter=kit.adapter)


def numbers(training: OngoingTraining) -> Any:
    """What it comes to."""
    while not training.finished:
        training.advance()
    (trained,) = training.conclude()
    assert trained.failure is None
    weights = {name: array.tobytes() for name, array in trained.weights.items()}
    curves = training.losses(), training.validation_losses()
    return weights, curves, trained.metrics, training.hashes(), training.step, training.stopped_early


def test_epochs_that_were_trained_before_they_were_judged_stop_at_the_same_bits(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "early stopping by its own loss"
    judged_later = training_of(kit, name, "float32")
    found = numbers(judged_later)
    assert judged_later.stopped_early
    monkeypatch.setattr(Monitor, "_in_hindsight", False)
    assert numbers(training_of(kit, name, "float32")) == found


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", JOBS)
def test_a_training_goes_on_from_bytes_to_the_same_bits(
    name: str, precision: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MOST_BYTES", 400)  # a few updates a block
    expected = numbers(training_of(kit, name, precision))
    begun = training_of(kit, name, precision)
    left = []
    while not begun.finished:
        begun.advance()
        left.append(Checkpoint(so_far=SoFar(made_by="", finished=0), training=begun.state()).encoded())
    for place in np.linspace(0, len(left) - 2, 4).astype(int):
        resumed = training_of(kit, name, precision)
        resumed.load_state(Checkpoint.decoded(left[place]).training)
        assert numbers(resumed) == expected
