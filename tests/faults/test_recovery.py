"""A run that stands still, has lost its worker, or lies beside a damaged record, comes to its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from likewise.shared.names import DEAD_LETTERS, LEASED, queued_key, run_key

LONG = 1_000_000
HANG_S = 3.0


@pytest.fixture(scope="module")
def watched(start_redis: Any, tmp_path_factory: Any) -> Iterator[Any]:
    """A producer at a Redis of its own, with a worker that soon takes a training for hung."""
    from tests.conftest import Desk, WorkerProcess

    own = start_redis()
    desk = Desk(own.url)
    folder = tmp_path_factory.mktemp("watched")
    worker = WorkerProcess("torch", own.url, folder, LIKEWISE_HANG_S=str(HANG_S))
    yield desk, worker.wait_until("idle", desk.ledger)
    worker.close()
    desk.close()


def attempt(desk: Any, until: Any, record: Any, number: int) -> None:
    until(
        lambda: (desk.run(record).state, desk.run(record).attempt) == ("leased", number),
        within_s=90,
        what=f"attempt {number}",
    )


def test_a_training_that_stands_still_goes_on_elsewhere_and_fails_the_second_time(
    watched: Any, until: Any
) -> None:
    desk, worker = watched
    record = desk.submit(epochs=LONG)
    for number in (1, 2):
        attempt(desk, until, record, number)
        heard = desk.client.xlen(f"likewise:progress:{record.experiment_id}")
        until(
            lambda heard=heard: desk.client.xlen(f"likewise:progress:{record.experiment_id}") > heard + 2,
            within_s=30,
            what="it trains",
        )
        os.kill(worker.child_pid(desk.ledger), signal.SIGSTOP)
    ended = desk.wait(record, "failed", within_s=90)
    assert ended.failure.reason == "hung"
    assert "epoch" in ended.failure.message
    assert "its stack follows" in worker.log.read_text()
    worker.wait_until("idle", desk.ledger)
    desk.wait(desk.submit(), "succeeded", within_s=30)


def test_a_run_that_lost_its_worker_goes_before_those_that_wait(watched: Any, until: Any) -> None:
    desk, worker = watched
    lost = desk.submit(epochs=LONG)
    desk.wait(lost, "leased", within_s=20)
    others = [desk.submit() for _ in range(3)]
    os.kill(worker.child_pid(desk.ledger), signal.SIGKILL)
    attempt(desk, until, lost, 2)
    # A worker may have one message in hand when its child dies; all that still lie in the queue come after.
    begun = sum(desk.run(other).attempt for other in others)
    desk.ledger.cancel(lost.run_ids[0])
    for other in others:
        desk.wait(other, "succeeded", within_s=30)
    assert begun <= 1


def test_a_message_in_a_wrong_queue_does_not_fail_its_run(watched: Any, until: Any) -> None:
    from likewise.shared.celery_app import send_wakeups

    desk, worker = watched
    record = desk.submit(frameworks=("nobody",), queue_anyway=True)
    send_wakeups(desk.app, [(record.run_ids[0], "train.torch.any")])
    until(lambda: "not its own" in worker.log.read_text(), within_s=20, what="the message is taken")
    run = desk.run(record)
    assert (run.state, run.attempt, run.queue) == ("queued", 0, "train.nobody.any")
    desk.ledger.cancel(record.run_ids[0])


def test_a_damaged_record_is_set_aside_alone(watched: Any, until: Any) -> None:
    desk, _ = watched
    before = desk.client.xlen(DEAD_LETTERS)
    damaged = [f"0000damaged{number:04}" for number in range(2)]
    for run_id, waiting_in in zip(damaged, (LEASED, queued_key("train.torch.any")), strict=True):
        desk.client.rpush(run_key(run_id), "no hash")
        desk.client.zadd(waiting_in, {run_id: 1.0})
    record = desk.submit(frameworks=("torch",), epochs=5)
    desk.wait(record, "succeeded", within_s=30)
    until(lambda: desk.client.xlen(DEAD_LETTERS) >= before + 2, within_s=20, what="both are set aside")
    reasons = [fields[b"reason"] for _, fields in desk.client.xrevrange(DEAD_LETTERS, count=2)]
    assert all(b"cannot be used" in reason for reason in reasons)
    assert desk.client.zscore(LEASED, damaged[0]) is None
    assert desk.client.zscore(queued_key("train.torch.any"), damaged[1]) is None


def test_a_record_with_a_damaged_field_still_comes_to_its_end(
    start_worker: Any, start_redis: Any, desk_at: Any
) -> None:
    own = start_redis()
    desk = desk_at(own.url)
    doomed = start_worker("torch", own.url).wait_until("idle", desk.ledger)
    record = desk.submit(epochs=LONG)
    desk.wait(record, "leased", within_s=20)
    doomed.kill_group()
    spoilt = {"checkpoints": "{not JSON", "deaths": "many", "retention_s": "", "lease_until": "x"}
    desk.client.hset(run_key(record.run_ids[0]), mapping=spoilt)
    start_worker("torch", own.url).wait_until("busy", desk.ledger)
    assert desk.ledger.cancel(record.run_ids[0]) == "leased"
    desk.wait(record, "cancelled", within_s=10)
