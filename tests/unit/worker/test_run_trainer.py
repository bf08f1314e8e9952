"""Around a training: callbacks that fail, cancellation, progress."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from likewise.shared.errors import RedisError
from likewise.shared.job import Job
from likewise.shared.run import Run
from likewise.worker.training.run_trainer import Reporter, Standing

Jobs = Callable[..., Job]


@pytest.mark.parametrize("callback", ["load", "store", "report", "stop_requested"])
def test_a_store_that_is_away_is_the_queues_affair(lab: Any, job_of: Jobs, callback: str) -> None:
    def away(*_: Any) -> Any:
        raise RedisError("no Redis at localhost:6379")

    with pytest.raises(RedisError):
        # so many outputs are too large to travel in the result
        lab.train(lab.run(job_of(), train=lab.samples(3_000)), **{callback: away})


def test_an_interruption_passes(lab: Any, job_of: Jobs) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    lab.adapter.build = interrupted
    with pytest.raises(KeyboardInterrupt):
        lab.train(lab.run(job_of(), train=lab.samples(20)))


def long_run(lab: Any, job_of: Jobs) -> Run:
    """More than a million updates: it ends in this test's time only by cancellation."""
    job = job_of(training={"epochs": 1_000_000, "batch_size": 2})
    run: Run = lab.run(job, train=lab.samples(20), seeds=(1, 2))
    return run


def test_a_cancelled_run_ends_soon_and_says_how_far_it_came(lab: Any, job_of: Jobs) -> None:
    cancel = threading.Event()

    def on_progress(event: Any) -> None:
        lab.events.append(event)
        if event.epoch > 0 and event.samples_per_s:
            cancel.set()

    result = lab.train(long_run(lab, job_of), report=on_progress, stop_requested=cancel.is_set)
    assert result.failure.reason == "cancelled"
    assert result.failure.seed == 1
    for seed in lab.seeds(result):
        assert 0 < seed.epochs < 1_000_000
        assert seed.epochs == len(seed.losses) == lab.events[-1].epoch


def test_a_run_cancelled_beforehand_trains_nothing(lab: Any, job_of: Jobs) -> None:
    result = lab.train(lab.run(job_of(), train=lab.samples(20)), stop_requested=lambda: True)
    assert result.failure.reason == "cancelled"
    assert lab.adapter.built == []


def test_progress_comes_several_times_a_second_and_not_more(lab: Any, job_of: Jobs) -> None:
    result = lab.train(long_run(lab, job_of), stop_requested=lambda: len(lab.events) == 6)
    timings = lab.seeds(result)[0].timings
    assert timings.train_s < 6 * 1.0, "each event within a second even on a busy machine"
    assert timings.train_s > 5 * 0.1
    first, *later = lab.events
    assert (first.epoch, first.loss, first.samples_per_s) == (0, None, None)
    assert all(event.samples_per_s > 0 and event.loss is not None for event in later)
    assert [event.epoch for event in lab.events] == sorted(event.epoch for event in lab.events)


def test_a_rate_leaves_out_the_first_updates_and_what_is_compiled(lab: Any, job_of: Jobs) -> None:
    sent: list[Any] = []
    reporter = Reporter(lab.run(job_of(), train=lab.samples(20)), sent.append)
    where = {"position": 1, "together": 1, "epoch": 0, "epochs": 5, "loss": None, "validation_loss": None}
    reporter.tick(Standing(**where, finished=False, done=0.0))
    reporter.count(500, 0.25)
    reporter.count(500, 0.25)
    reporter.tick(Standing(**where, finished=True, done=1.0))

    assert [event.samples_per_s for event in sent] == [None, 2000.0]
    assert [event.share for event in sent] == [0.0, 1.0]
    lab.adapter = type(lab.adapter)(compiles=True)
    lab.train(long_run(lab, job_of), stop_requested=lambda: len(lab.events) == 4)
    assert [event.samples_per_s is None for event in lab.events] == [True, True, False, False]


def test_the_first_and_the_last_of_many_short_seeds_are_told(lab: Any, job_of: Jobs) -> None:
    lab.adapter.vectorises = False
    lab.train(lab.run(job_of(), train=lab.samples(20), validation=lab.samples(9, 1), seeds=tuple(range(50))))
    first, last = lab.events[0], lab.events[-1]
    assert (first.position, first.epoch) == (1, 0)
    assert (last.position, last.seeds, last.seed, last.epoch, last.epochs) == (50, 50, 49, 5, 5)
    assert last.validation_loss is not None
    assert len(lab.events) < 50


@pytest.mark.parametrize("seeds", [(1,), (1, 2)], ids=["one seed", "two at once"])
def test_compiling_is_told_before_it_begins_and_once(lab: Any, job_of: Jobs, seeds: tuple[int, ...]) -> None:
    lab.adapter = type(lab.adapter)(compiles=True)
    lab.train(lab.run(job_of(), train=lab.samples(20), seeds=seeds))
    told = [event.compiling for event in lab.events]
    assert told[:2] == [False, True]
    assert sum(told) == 1
