"""Workers and Redis die in the middle of runs; each run still ends once, with its own result."""

from __future__ import annotations

import os
import signal
import time

import pytest

from likewise.shared.ledger.leases import Claim, Leases
from likewise.shared.ledger.records import announce_worker
from likewise.shared.names import (
    DEAD_LETTERS,
    LEASED,
    host_key,
    messages_key,
    queued_key,
    reconciler_key,
    run_key,
)
from likewise.worker.counters import this_host

SHORT_LEASE_S = 1.0
SET_BACK_S = 1_800
LONG = 1_000_000
"""Epochs that last minutes."""
SOME_SECONDS = 12_000
"""Epochs that last a second or two."""


def test_a_run_whose_child_is_killed_is_trained_again(desk, torch_worker, until):
    record = desk.submit(epochs=SOME_SECONDS)
    desk.wait(record, "leased", within_s=20)
    child = torch_worker.child_pid(desk.ledger)
    os.kill(child, signal.SIGKILL)
    killed_s = desk.ledger.now()
    until(lambda: desk.run(record).state != "leased", within_s=5, what="the death is noticed")
    assert desk.ledger.now() - killed_s < 5
    desk.wait(record, "succeeded", within_s=60)
    result = desk.result(record)
    assert result.attempt == 2
    assert desk.table(record).epochs[0] == SOME_SECONDS
    assert torch_worker.child_pid(desk.ledger) != child


def holder_and_other(stack, record):
    """Which of two workers has the run, and which has not."""
    run = stack.desk.wait(record, "leased", within_s=20)
    return sorted(stack.workers, key=lambda one: one.presence(stack.desk.ledger).worker_id != run.worker)


@pytest.fixture
def two_workers(start_stack):
    """A stack with two idle workers and a short lease."""
    stack = start_stack()
    for _ in range(2):
        stack.worker(LIKEWISE_LEASE_S=str(SHORT_LEASE_S))
    for worker in stack.workers:
        worker.wait_until("idle", stack.desk.ledger)
    return stack


def test_another_worker_takes_over_when_one_is_gone(two_workers):
    """Both processes die at once: nobody is left to say so."""
    stack = two_workers
    record = stack.submit("slow", epochs=2_000)
    doomed, other = holder_and_other(stack, record)
    doomed.kill_group()
    killed_s = stack.desk.ledger.now()
    taken = stack.desk.wait(record, "succeeded", within_s=60)
    assert taken.claimed_s - killed_s < SHORT_LEASE_S + 15
    assert taken.worker == other.presence(stack.desk.ledger).worker_id
    assert stack.desk.result(record).attempt == 2


def test_a_run_that_kills_its_workers_is_given_up(desk, torch_worker, until):
    record = desk.submit(epochs=LONG)
    for attempt in (1, 2, 3):
        until(
            lambda attempt=attempt: (desk.run(record).state, desk.run(record).attempt) == ("leased", attempt),
            within_s=60,
            what=f"attempt {attempt}",
        )
        os.kill(torch_worker.child_pid(desk.ledger), signal.SIGKILL)
    ended = desk.wait(record, "failed", within_s=10)
    assert ended.failure.reason == "worker_lost"
    assert "3 workers died" in ended.failure.message
    assert desk.result(record).failure.reason == "worker_lost"


def test_a_worker_that_is_stopped_hands_its_run_back(start_stack):
    stack = start_stack()
    desk = stack.desk
    first = stack.worker().wait_until("idle", desk.ledger)
    record = stack.submit("slow", epochs=LONG)
    desk.wait(record, "leased", within_s=20)
    begin = time.monotonic()
    assert first.terminate() == 0
    assert time.monotonic() - begin < 10
    run = desk.run(record)
    assert (run.state, run.attempt) == ("queued", 1)
    assert desk.ledger.workers() == []
    stack.worker().wait_until("busy", desk.ledger)
    assert desk.ledger.cancel(record.run_ids[0]) == "leased"
    desk.wait(record, "cancelled", within_s=5)


def test_a_run_survives_the_death_of_redis(start_stack):
    stack = start_stack()
    desk = stack.desk
    worker = stack.worker().wait_until("idle", desk.ledger)
    record = stack.submit("slow", epochs=2_000)
    desk.wait(record, "leased", within_s=20)
    stack.server.kill()
    stack.server.start()
    desk.wait(record, "succeeded", within_s=60)
    assert desk.table(record).epochs[0] == 2_000
    assert desk.result(record).attempt == 1
    desk.wait(stack.submit(), "succeeded", within_s=30)
    assert worker.process.poll() is None


def test_a_result_that_comes_while_redis_is_away_is_stored_later(start_stack, until):
    stack = start_stack()
    desk = stack.desk
    worker = stack.worker(LIKEWISE_LEASE_S="1").wait_until("idle", desk.ledger)
    record = stack.submit("slow", epochs=500)
    desk.wait(record, "leased", within_s=20)
    stack.server.kill()
    lease_ends_s = time.monotonic() + 1
    until(lambda: "trying again" in worker.log.read_text(), within_s=60, what="the result cannot be stored")
    until(lambda: time.monotonic() > lease_ends_s, within_s=2, what="the lease has ended")
    stack.server.start()
    desk.wait(record, "succeeded", within_s=60)
    assert desk.result(record).attempt == 1


def test_a_worker_that_was_frozen_past_its_lease_changes_nothing(two_workers):
    stack, desk = two_workers, two_workers.desk
    record = stack.submit("slow", epochs=2_000)
    frozen, second = holder_and_other(stack, record)
    os.killpg(frozen.pid, signal.SIGSTOP)
    try:
        finished = desk.wait(record, "succeeded", within_s=60)
        result = desk.result(record)
    finally:
        os.killpg(frozen.pid, signal.SIGCONT)
    assert result.worker == second.presence(desk.ledger).worker_id
    second.close()
    frozen.wait_until("idle", desk.ledger)
    desk.wait(stack.submit(), "succeeded", within_s=30)
    assert desk.run(record) == finished
    assert desk.result(record) == result


@pytest.mark.usefixtures("torch_worker")
def test_a_queued_run_whose_message_is_lost_is_sent_again(desk):
    """As when a producer dies between record and message, or a worker just after the pop."""
    from likewise.producer.runs import submit as module
    from likewise.shared.errors import RedisError

    def no_message(*_: object) -> None:
        raise RedisError("died here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "send_wakeups", no_message)
        with pytest.raises(RedisError):
            desk.submit(key="no-message")
    for subject in ("leases", "train.other.any"):  # workers of other queues are looking all the time
        desk.client.set(reconciler_key(subject), "another", px=15_000)
    record = desk.submit(key="no-message")
    desk.wait(record, "succeeded", within_s=15)
    desk.client.delete(reconciler_key("leases"))


@pytest.mark.usefixtures("torch_worker")
def test_duplicate_messages_are_dropped(desk, until):
    from likewise.shared.celery_app import send_wakeups

    record = desk.submit(epochs=SOME_SECONDS)
    run_id = record.run_ids[0]
    send_wakeups(desk.app, [(run_id, "train.torch.any"), (run_id, "train.torch.cpu")] * 3)
    desk.wait(record, "succeeded", within_s=30)
    until(
        lambda: not desk.client.exists(*map(messages_key, ("train.torch.any", "train.torch.cpu"))),
        within_s=10,
        what="the duplicates are taken",
    )
    desk.wait(desk.submit(), "succeeded", within_s=20)
    assert desk.run(record).attempt == 1


@pytest.mark.usefixtures("torch_worker")
def test_one_reconciler_looks_at_a_time(desk, until):
    for subject in ("leases", "train.torch.any"):
        lock = reconciler_key(subject)
        until(lambda lock=lock: desk.client.get(lock), within_s=10, what="a reconciler has looked")
        assert desk.client.pttl(lock) <= 2000


@pytest.mark.usefixtures("torch_worker")
def test_a_message_for_an_unknown_run_is_recorded(desk, until):
    from likewise.shared.celery_app import send_wakeups

    before = desk.client.xlen(DEAD_LETTERS)
    send_wakeups(desk.app, [("0000nobody0000", "train.torch.any")])
    until(lambda: desk.client.xlen(DEAD_LETTERS) == before + 1, within_s=10, what="a dead letter")
    assert b"no such run" in desk.client.xrevrange(DEAD_LETTERS, count=1)[0][1][b"reason"]


def test_a_clock_of_redis_that_is_set_back_holds_up_nobody(start_stack):
    """What was written before lies in the future then, where leases, locks and messages would wait for it."""
    stack = start_stack()
    desk, client = stack.desk, stack.desk.client
    trained, waiting = stack.submit(), stack.submit()
    gone = Leases(client, worker_id="faulty-cpu-gone-000000", host="gone", lease_s=SHORT_LEASE_S)
    assert isinstance(gone.claim(trained.run_ids[0], pid=1), Claim)
    queue = desk.run(waiting).queue
    client.delete(messages_key(queue))
    client.hset(run_key(trained.run_ids[0]), "lease_until", desk.ledger.now() + SET_BACK_S)
    client.zincrby(LEASED, SET_BACK_S, trained.run_ids[0])
    client.zincrby(queued_key(queue), SET_BACK_S, waiting.run_ids[0])
    for lock in (reconciler_key("leases"), reconciler_key(queue), host_key(this_host())):
        client.set(lock, "faulty-cpu-gone-000000", ex=SET_BACK_S)
    worker = stack.worker()
    for record in (trained, waiting):
        desk.wait(record, "succeeded", within_s=90)
    presence = worker.presence(desk.ledger)
    announce_worker(client, "faulty-cpu-gone-000000", presence.model_dump_json(), lives_s=SET_BACK_S)
    assert [one.worker_id for one in desk.ledger.workers()] == [presence.worker_id]
