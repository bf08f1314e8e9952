"""Early stopping and lower learning rates after a plateau, at each epoch and in hindsight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.shared.job import EarlyStopping, Job
from likewise.shared.job.schedule import ReduceOnPlateauSchedule
from likewise.worker.training import blocks
from likewise.worker.training.monitor import Monitor, Patience

Jobs = Callable[..., Job]


def stopping(job_of: Jobs, **rule: Any) -> Job:
    """A learning rate that rises after epoch 3, so that the loss falls and then grows."""
    schedule = {"type": "piecewise", "per": "epoch", "boundaries": [3], "values": [0.1, 1.05]}
    return job_of(
        optimizer={"type": "sgd", "learning_rate": 0.1, "schedule": schedule},
        training={"epochs": 50, "early_stopping": {"patience": 2, **rule}},
        precision="float64",
    )


def test_training_stops_when_the_watched_loss_no_longer_falls(lab: Any, job_of: Jobs) -> None:
    run = lab.run(stopping(job_of), train=lab.samples(40), validation=lab.samples(20, 1))
    seed = lab.only(lab.train(run))
    assert seed.stopped_early
    best = int(np.argmin(seed.validation_losses))
    assert seed.epochs == len(seed.losses) == best + 1 + 2
    assert seed.epochs < 50


@pytest.mark.parametrize("restore", [True, False])
def test_the_best_weights_come_back_on_request(lab: Any, job_of: Jobs, restore: bool) -> None:
    job = stopping(job_of, restore_best_weights=restore)
    seed = lab.only(lab.train(lab.run(job, train=lab.samples(40), validation=lab.samples(20, 1))))
    kept = seed.metrics["validation"]["rmse"] ** 2
    expected = min(seed.validation_losses) if restore else seed.validation_losses[-1]
    assert kept == pytest.approx(expected, rel=1e-12)


def test_the_training_loss_can_be_watched_without_validation(lab: Any, job_of: Jobs) -> None:
    seed = lab.only(lab.train(lab.run(stopping(job_of, monitor="loss"), train=lab.samples(40))))
    assert seed.stopped_early
    assert seed.validation_losses == ()


BACK: dict[str, dict[str, Any]] = {
    "one step an epoch": {},
    "five steps an epoch": {"batch_size": 8, "shuffle": True},
    "the last weights": {"restore_best_weights": False},
    "impatient": {"patience": 1},
    "at the end": {"patience": 49},
    "hard to please": {"min_delta": 0.05},
}


def looked_back(lab: Any, job_of: Jobs, name: str) -> tuple[Any, ...]:
    """All that early stopping decides, of a training that watches its own loss."""
    rule = {key: value for key, value in BACK[name].items() if key not in {"batch_size", "shuffle"}}
    job = stopping(job_of, monitor="loss", **rule)
    order = {key: value for key, value in BACK[name].items() if key not in rule}
    job = job.model_copy(update={"training": job.training.model_copy(update=order)})
    seed = lab.only(lab.train(lab.run(job, train=lab.samples(40))))
    kernel = lab.load(seed.weights["layers.0.kernel"]).tobytes()
    return seed.epochs, seed.stopped_early, seed.losses, seed.hashes, kernel, seed.metrics


@pytest.mark.parametrize("name", BACK)
def test_epochs_looked_back_on_stop_where_a_look_at_each_would_have(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    back = looked_back(lab, job_of, name)
    monkeypatch.setattr(Monitor, "_in_hindsight", False)
    assert looked_back(lab, job_of, name) == back


@pytest.mark.parametrize("name", ["one step an epoch", "the last weights"])
def test_the_check_sees_a_training_that_does_not_go_back(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Monitor, "_rewind", lambda *_, **__: None)
    gone = looked_back(lab, job_of, name)
    monkeypatch.setattr(Monitor, "_in_hindsight", False)
    assert looked_back(lab, job_of, name) != gone


@pytest.mark.parametrize("patience", [3, 200])
@pytest.mark.parametrize("restore", [True, False])
def test_what_is_trained_in_vain_or_twice_is_what_lies_between_looks_and_marks(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, patience: int, restore: bool
) -> None:
    monkeypatch.setattr(blocks.Pace, "until_look", lambda *_, **__: 1)
    monkeypatch.setattr(blocks.Pace, "until_mark", lambda *_, **__: 1)
    job = stopping(job_of, monitor="loss", patience=patience, restore_best_weights=restore)
    longer = job.training.model_copy(update={"epochs": 3_000})
    seed = lab.only(lab.train(lab.run(job.model_copy(update={"training": longer}), train=lab.samples(40))))
    assert seed.stopped_early
    assert lab.adapter.built[-1].updates == seed.epochs


def test_no_block_ends_far_beyond_where_patience_may_run_out(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: looks far apart train on after patience has run out."""
    monkeypatch.setattr(blocks, "LOOK_S", 1.0)
    job = stopping(job_of, monitor="loss", patience=3)
    longer = job.training.model_copy(update={"epochs": 3_000})
    seed = lab.only(lab.train(lab.run(job.model_copy(update={"training": longer}), train=lab.samples(40))))
    assert lab.adapter.built[-1].updates > seed.epochs


def test_a_loss_that_diverges_after_patience_ran_out_does_not_fail(lab: Any, job_of: Jobs) -> None:
    schedule = {"type": "piecewise", "per": "epoch", "boundaries": [3], "values": [0.1, 30.0]}
    job = job_of(
        optimizer={"type": "sgd", "learning_rate": 0.1, "schedule": schedule},
        training={"epochs": 50, "early_stopping": {"monitor": "loss", "patience": 1}},
    )
    seed = lab.only(lab.train(lab.run(job, train=lab.samples(40))))
    assert seed.stopped_early
    assert seed.epochs == 5


def test_a_loss_that_falls_to_the_end_stops_nothing_and_short_epochs_are_trained_many_at_once(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "TARGET_S", 10.0)  # so that a busy machine cuts no shorter blocks
    training = {"epochs": 1_000, "early_stopping": {"monitor": "loss", "patience": 1_000}}
    seed = lab.only(lab.train(lab.run(job_of(training=training), train=lab.samples(40))))
    assert not seed.stopped_early
    assert seed.epochs == 1_000
    assert lab.adapter.built[-1].blocks < seed.epochs / 10


def reducing(job_of: Jobs, schedule: dict[str, Any]) -> Job:
    return job_of(
        optimizer={"type": "sgd", "learning_rate": 0.1, "schedule": schedule},
        training={"epochs": 7, "batch_size": 8},
        precision="float64",
    )


def test_a_plateau_of_patience_epochs_lowers_the_rate_of_the_next(lab: Any, job_of: Jobs) -> None:
    never = {"type": "reduce_on_plateau", "monitor": "loss", "factor": 0.5, "min_delta": 1e9}
    # the first epoch is the best; the plateaus end with epochs 3 and 5
    known = {"type": "piecewise", "per": "epoch", "boundaries": [3, 5], "values": [0.1, 0.05, 0.025]}
    seeds = {
        name: lab.only(lab.train(lab.run(reducing(job_of, schedule), train=lab.samples(40))))
        for name, schedule in {
            "watched": never | {"patience": 2},
            "known": known,
            "a step late": never | {"patience": 3},
        }.items()
    }
    assert seeds["watched"].losses == seeds["known"].losses
    assert seeds["a step late"].losses[:3] == seeds["known"].losses[:3]
    assert seeds["a step late"].losses[4:] != seeds["known"].losses[4:]


def test_a_loss_that_keeps_falling_keeps_its_rate(lab: Any, job_of: Jobs) -> None:
    schedule = {"type": "reduce_on_plateau", "monitor": "loss", "patience": 1, "min_delta": 0.0}
    falling = lab.only(lab.train(lab.run(reducing(job_of, schedule), train=lab.samples(40))))
    constant = lab.only(lab.train(lab.run(reducing(job_of, {"type": "constant"}), train=lab.samples(40))))
    assert falling.losses == constant.losses
    assert sorted(falling.losses, reverse=True) == list(falling.losses)


def test_patience_runs_out_after_that_many_epochs_without_a_fall() -> None:
    patience = Patience(EarlyStopping(monitor="loss", patience=2))
    story = []
    for value in [3.0, 2.0, 2.0, 1.5, 1.6, 1.7]:
        improved = patience.improved(value)
        story.append((improved, patience.exhausted))
    assert story == [
        (True, False),
        (True, False),
        (False, False),
        (True, False),
        (False, False),
        (False, True),
    ]


def test_a_fall_by_min_delta_or_less_is_no_improvement() -> None:
    patience = Patience(EarlyStopping(monitor="loss", patience=2, min_delta=0.5))
    assert [patience.improved(value) for value in [3.0, 2.5, 2.4]] == [True, False, True]


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 4), st.integers(0, 2), st.integers(0, 30))
def test_patience_takes_many_epochs_as_it_takes_each(
    values: list[int], enough: int, delta: int, at: int
) -> None:
    rule = EarlyStopping(monitor="loss", patience=enough, min_delta=float(delta))
    one_by_one, at_once = Patience(rule), Patience(rule)
    story: list[bool] = []
    for value in values:
        if one_by_one.exhausted:
            break
        story.append(one_by_one.improved(value))
    best, taken = at_once.take(values[:at])
    if not at_once.exhausted:
        later, more = at_once.take(values[at:])
        best, taken = best if later is None else taken + later, taken + more
    assert taken == len(story)
    assert best == max((place for place, improved in enumerate(story) if improved), default=None)
    assert at_once.state() == one_by_one.state()
    assert at_once.left == one_by_one.left


def plateau(**fields: Any) -> Patience:
    return Patience(ReduceOnPlateauSchedule(type="reduce_on_plateau", monitor="loss", **fields))


def test_patience_that_must_be_exceeded_waits_one_epoch_longer() -> None:
    reached = plateau(patience=2, min_delta=0.0)
    exceeded = plateau(patience=2, min_delta=0.0, patience_rule="exceeded")
    story = []
    for value in [3.0, 3.0, 3.0, 3.0]:
        reached.improved(value), exceeded.improved(value)
        story.append((reached.exhausted, exceeded.exhausted))
    assert story == [(False, False), (False, False), (True, False), (True, True)]


def test_a_relative_min_delta_is_a_share_of_the_best() -> None:
    relative = plateau(min_delta=0.1, min_delta_kind="relative")
    assert [relative.improved(value) for value in [100.0, 91.0, 89.0, 80.2, 80.0]] == [
        True, False, True, False, True
    ]  # fmt: skip
    whole = plateau(min_delta=1.0, min_delta_kind="relative")
    assert [whole.improved(value) for value in [3.0, 0.1]] == [True, False]
