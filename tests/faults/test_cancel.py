"""Cancelling: queued runs at once, running ones within two seconds, however stubborn."""

from __future__ import annotations

import os
import signal

import pytest

from likewise.producer.follow_ups import rerun_follow_up, twin_follow_up
from likewise.producer.runs.submit import submit_follow_up
from likewise.producer.runs.submitted import cancel, still_wanted
from likewise.shared.errors import CancelledError
from likewise.shared.names import lane_of, messages_key

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
    until(
        lambda: desk.client.llen(messages_key(lane_of("train.torch.any", "normal"))) == 0,
        within_s=10,
        what="the message is taken",
    )
    desk.wait(desk.submit(), "succeeded", within_s=20)
    assert desk.run(record).attempt == 0


def test_a_running_run_stops_within_two_seconds_and_the_child_lives_on(desk, torch_worker, promptly):
    def took_s():
        record = desk.submit(epochs=1_000_000)
        desk.wait(record, "leased", within_s=20)
        child = torch_worker.child_pid(desk.ledger)
        asked_s = desk.ledger.now()
        assert desk.ledger.cancel(record.run_ids[0]) == "leased"
        ended = desk.wait(record, "cancelled", within_s=10)
        result = desk.result(record)
        assert result.failure.reason == "cancelled"
        assert 0 < desk.table(record).epochs[0] < 1_000_000
        assert torch_worker.child_pid(desk.ledger) == child
        return ended.finished_s - asked_s

    promptly(took_s, within_s=CANCEL_S)


def test_a_training_that_does_not_listen_is_killed(desk, torch_worker, promptly):
    def took_s():
        record = desk.submit(epochs=1_000_000)
        desk.wait(record, "leased", within_s=20)
        child = torch_worker.child_pid(desk.ledger)
        os.kill(child, signal.SIGSTOP)
        before = len(torch_worker.log.read_text())
        asked_s = desk.ledger.now()
        desk.ledger.cancel(record.run_ids[0])
        ended = desk.wait(record, "cancelled", within_s=10)
        assert desk.result(record).failure.reason == "cancelled"
        desk.wait(desk.submit(), "succeeded", within_s=60)
        assert torch_worker.child_pid(desk.ledger) != child
        said = torch_worker.log.read_text()[before:]
        assert said.count(f"run {record.run_ids[0]} is cancelled; its training does not stop") == 1
        assert "WorkerLostError" not in said
        assert f"pid:{child} exited" not in said
        return ended.finished_s - asked_s

    promptly(took_s, within_s=CANCEL_S)


def test_a_run_cancelled_while_its_worker_dies_is_cancelled(desk, torch_worker):
    record = desk.submit(epochs=1_000_000)
    desk.wait(record, "leased", within_s=20)
    os.kill(torch_worker.child_pid(desk.ledger), signal.SIGKILL)
    desk.ledger.cancel(record.run_ids[0])
    desk.wait(record, "cancelled", within_s=5)


@pytest.mark.usefixtures("torch_worker")
def test_what_belongs_to_an_experiment_is_cancelled_with_it_and_no_more_is_taken(desk):
    record = desk.submit(epochs=1_000_000)
    runs = desk.ledger.runs(record.run_ids)
    desk.wait(record, "leased", within_s=20)
    twin = submit_follow_up(desk, record, twin_follow_up(record.experiment, runs))
    states = [run.state for run in cancel(record.experiment_id, ledger=desk.ledger)]

    assert states == ["leased", "cancelled"]
    desk.wait(record, "cancelled", within_s=5)
    assert desk.run(twin).state == "cancelled"
    with pytest.raises(CancelledError, match="was cancelled"):
        submit_follow_up(desk, record, rerun_follow_up(record.experiment, runs))
    with pytest.raises(CancelledError, match="likewise show"):
        still_wanted(record, ledger=desk.ledger)
    assert list(desk.ledger.experiment(record.experiment_id).related) == ["twin"]
    desk.ledger.allow_more(record.experiment_id)
    rerun = submit_follow_up(desk, record, rerun_follow_up(record.experiment, runs))
    cancel(record.experiment_id, ledger=desk.ledger)
    desk.wait(rerun, "cancelled", within_s=5)


def test_a_deleted_experiment_takes_no_more_and_leaves_nothing_behind(desk):
    record = desk.submit(queue_anyway=True)
    runs = desk.ledger.runs(record.run_ids)
    cancel(record.experiment_id, ledger=desk.ledger)
    desk.wait(record, "cancelled", "succeeded", within_s=20)
    desk.ledger.delete(record.experiment_id)

    with pytest.raises(CancelledError):
        submit_follow_up(desk, record, twin_follow_up(record.experiment, runs))
    assert desk.ledger.experiment(record.experiment_id) is None
    assert cancel(record.experiment_id, ledger=desk.ledger) == []
