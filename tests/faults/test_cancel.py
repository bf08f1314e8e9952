"""Cancelling: queued runs at once, running ones within two seconds, however stubborn."""

from __future__ import annotations

import os
import signal

import pytest

CANCEL_S = 2.0


@pytest.mark.usefixtures("torch_worker")
def test_a_queued_run_is_cancelled_at_once_and_its_message_does_nothing(desk, until):
    blocker = desk.submit(epochs=1_000_000)
    desk.wait(blocker, "leased", within_s=20)
    record = desk.submit()
    assert desk.ledger.cancel(record.run_ids[0]) == "cancelled"
    assert desk.result(record).failure.reason == "cancelled"
    desk.ledger.cancel(blocker.run_ids[0])
    desk.wait(blocker, "cancelled", within_s=5)
    until(lambda: desk.client.llen("train.torch.any") == 0, within_s=10, what="the message is taken")
    desk.wait(desk.submit(), "succeeded", within_s=20)
    assert desk.run(record).attempt == 0


def test_a_running_run_stops_within_two_seconds_and_the_child_lives_on(desk, torch_worker):
    record = desk.submit(epochs=1_000_000)
    desk.wait(record, "leased", within_s=20)
    child = torch_worker.child_pid(desk.ledger)
    asked_s = desk.ledger.now()
    assert desk.ledger.cancel(record.run_ids[0]) == "leased"
    ended = desk.wait(record, "cancelled", within_s=10)
    assert ended.finished_s - asked_s < CANCEL_S
    result = desk.result(record)
    assert result.failure.reason == "cancelled"
    assert 0 < len(result.seeds[0].losses) < 1_000_000
    assert torch_worker.child_pid(desk.ledger) == child


def test_a_training_that_does_not_listen_is_killed(desk, torch_worker):
    record = desk.submit(epochs=1_000_000)
    desk.wait(record, "leased", within_s=20)
    child = torch_worker.child_pid(desk.ledger)
    os.kill(child, signal.SIGSTOP)
    asked_s = desk.ledger.now()
    desk.ledger.cancel(record.run_ids[0])
    ended = desk.wait(record, "cancelled", within_s=10)
    assert ended.finished_s - asked_s < CANCEL_S
    assert desk.result(record).failure.reason == "cancelled"
    desk.wait(desk.submit(), "succeeded", within_s=60)
    assert torch_worker.child_pid(desk.ledger) != child


def test_a_run_cancelled_while_its_worker_dies_is_cancelled(desk, torch_worker):
    record = desk.submit(epochs=1_000_000)
    desk.wait(record, "leased", within_s=20)
    os.kill(torch_worker.child_pid(desk.ledger), signal.SIGKILL)
    desk.ledger.cancel(record.run_ids[0])
    desk.wait(record, "cancelled", within_s=5)
