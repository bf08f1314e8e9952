"""A run that stands still, has lost its worker, or lies beside a damaged record, comes to its end."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from likewise.shared.errors import RedisError
from likewise.shared.names import (
    DEAD_LETTERS,
    LEASED,
    lane_of,
    lanes_of,
    messages_key,
    queued_key,
    run_key,
)

LONG = 1_000_000


@pytest.fixture(scope="module")
def served(stack: Any) -> Any:
    """A stack with a worker."""
    return stack, stack.worker().wait_until("idle", stack.desk.ledger)


def attempt(desk: Any, until: Any, record: Any, number: int) -> None:
    until(
        lambda: (desk.run(record).state, desk.run(record).attempt) == ("leased", number),
        within_s=90,
        what=f"attempt {number}",
    )


def test_a_run_that_lost_its_worker_goes_before_those_that_wait(served: Any, until: Any) -> None:
    stack, worker = served
    desk = stack.desk
    lost = stack.submit("slow", epochs=LONG)
    desk.wait(lost, "leased", within_s=20)
    others = [stack.submit(priority="high") for _ in range(3)]
    os.kill(worker.child_pid(desk.ledger), signal.SIGKILL)
    attempt(desk, until, lost, 2)
    # A worker may have one message in hand when its child dies; all that still lie in the queue come after.
    begun = sum(desk.run(other).attempt for other in others)
    desk.ledger.cancel(lost.run_ids[0])
    for other in others:
        desk.wait(other, "succeeded", within_s=30)
    assert begun <= 1


def test_a_message_in_a_wrong_queue_does_not_fail_its_run(served: Any, until: Any) -> None:
    from likewise.shared.celery_app import send_wakeups

    stack, worker = served
    desk = stack.desk
    record = desk.submit(frameworks=("nobody",), queue_anyway=True)
    lane = lane_of("train.nobody.any", "normal")
    desk.client.delete(messages_key(lane))
    send_wakeups(desk.app, [(record.run_ids[0], "train.faulty.any")])
    until(lambda: "not its own" in worker.log.read_text(), within_s=20, what="the message is taken")
    moved = desk.client.lrange(messages_key(lane), 0, -1)
    assert [record.run_ids[0].encode() in message for message in moved] == [True]
    run = desk.run(record)
    assert (run.state, run.attempt, run.queue) == ("queued", 0, "train.nobody.any")
    desk.ledger.cancel(record.run_ids[0])


def test_a_record_that_sends_its_message_in_a_circle_is_set_aside(served: Any, until: Any) -> None:
    """It waits in a lane of this worker's queue, and belongs to another queue."""
    from likewise.shared.celery_app import send_wakeups

    stack, _ = served
    desk = stack.desk
    desk.client.delete(DEAD_LETTERS)
    record = desk.submit(frameworks=("nobody",), queue_anyway=True)
    lane = lane_of("train.faulty.any", "normal")
    desk.client.hset(run_key(record.run_ids[0]), "lane", lane)
    send_wakeups(desk.app, [(record.run_ids[0], lane)])
    until(lambda: desk.client.xlen(DEAD_LETTERS), within_s=20, what="it is set aside")
    ((_, letter),) = desk.client.xrange(DEAD_LETTERS)
    assert b"of another queue than its own" in letter[b"reason"]
    assert desk.client.llen(messages_key(lane)) == 0
    desk.ledger.cancel(record.run_ids[0])


def test_what_others_write_among_the_bindings_of_queues_keeps_no_message_from_being_sent(
    served: Any,
) -> None:
    """Whoever has a worker's password may write there, and Kombu reads it before it sends."""
    stack, _ = served
    desk = stack.desk
    bindings = list(desk.client.scan_iter("likewise:_kombu.binding*"))
    assert bindings
    for key in bindings:
        desk.client.sadd(key, b"junk", b"\x06\x16\x06\x16", b"a\x06\x16b\x06\x16c\x06\x16d", b"\xff")
    record = stack.submit(epochs=5)
    desk.client.delete(*(messages_key(lane) for lane in lanes_of("train.faulty.any")))
    assert desk.wait(record, "succeeded", within_s=40).state == "succeeded"


def test_a_managed_redis_without_config_and_select_serves(start_stack: Any) -> None:
    """It has a single user, who may neither see nor change how it is set up."""
    from tests.conftest import Desk

    stack = start_stack()
    server = stack.server
    stack.desk.client.acl_setuser(
        "managed",
        enabled=True,
        passwords=[f"+{server.password}"],
        keys=["*"],
        channels=["*"],
        commands=["+@all", "-config", "-select", "-acl", "-debug", "-script|flush", "-flushall", "-keys"],
    )
    url = f"redis://managed:{server.password}@127.0.0.1:{server.port}/0"
    desk = Desk(url)
    for refused in ("CONFIG GET save", "SELECT 0"):
        with pytest.raises(RedisError, match="forbids"):
            desk.client.execute_command(*refused.split())
    stack.worker(LIKEWISE_REDIS_URL=url).wait_until("idle", desk.ledger)
    record = desk.submit(frameworks=("faulty",))
    desk.wait(record, "succeeded", within_s=30)
    desk.ledger.delete(record.experiment_id)
    desk.close()


def test_a_damaged_record_is_set_aside_alone(served: Any, until: Any) -> None:
    stack, _ = served
    desk = stack.desk
    before = desk.client.xlen(DEAD_LETTERS)
    damaged = [f"0000damaged{number:04}" for number in range(2)]
    for run_id, waiting_in in zip(damaged, (LEASED, queued_key("train.faulty.any")), strict=True):
        desk.client.rpush(run_key(run_id), "no hash")
        desk.client.zadd(waiting_in, {run_id: 1.0})
    record = stack.submit(epochs=5)
    desk.wait(record, "succeeded", within_s=30)
    until(lambda: desk.client.xlen(DEAD_LETTERS) >= before + 2, within_s=20, what="both are set aside")
    reasons = [fields[b"reason"] for _, fields in desk.client.xrevrange(DEAD_LETTERS, count=2)]
    assert all(b"cannot be used" in reason for reason in reasons)
    assert desk.client.zscore(LEASED, damaged[0]) is None
    assert desk.client.zscore(queued_key("train.faulty.any"), damaged[1]) is None


def test_a_record_with_damaged_fields_is_trained_to_its_end(start_stack: Any, until: Any) -> None:
    """Each of these fields takes part in putting it back, claiming it, its checkpoints or its end."""
    stack = start_stack()
    settings = {"LIKEWISE_LEASE_S": "1", "LIKEWISE_CHECKPOINT_S": "0.05"}
    doomed = stack.worker(**settings).wait_until("idle", stack.desk.ledger)
    record = stack.submit(epochs=60_000)
    key = run_key(record.run_ids[0])
    until(lambda: stack.desk.client.hget(key, "checkpoints"), within_s=20, what="a checkpoint")
    doomed.kill_group()
    spoilt = {
        "checkpoints": "{not JSON", "deaths": "many", "hangs": "", "retention_s": "", "lease_until": "x",
        "claimed_s": "?", "spent_s": "[]", "let_go_s": "nil",
    }  # fmt: skip
    stack.desk.client.hset(key, mapping=spoilt)
    stack.worker(**settings)
    until(lambda: checkpoints_of(stack.desk, key), within_s=30, what="a checkpoint of the second attempt")
    stack.desk.client.hset(key, "checkpoints", '[{"chunks": "many"}, 7]')
    until(lambda: checkpoints_of(stack.desk, key), within_s=30, what="a checkpoint after that")
    ended = stack.desk.wait(record, "succeeded", within_s=30)
    assert ended.attempt == 2
    assert stack.desk.table(record).epochs[0] == 60_000


def checkpoints_of(desk: Any, key: str) -> Any:
    from likewise.shared.ledger.checkpoints import read_refs

    return read_refs(desk.client.hget(key, "checkpoints"))


def test_data_behind_a_wrong_address_are_told_as_that(start_stack: Any, tmp_path: Any) -> None:
    from likewise.shared.store.blobs import BlobStore

    stack = start_stack()
    right, wrong = (f"file://{tmp_path / name}" for name in ("right", "wrong"))
    worker = stack.worker(LIKEWISE_BLOB_URL=wrong)
    in_redis, stack.desk.blobs = (
        stack.desk.blobs,
        BlobStore(stack.desk.client, url=right, redis_limit_bytes=1, retention_s=3600),
    )
    ended = stack.desk.wait(stack.submit(), "failed", within_s=30)
    assert (ended.failure.reason, ended.attempt) == ("data_unreachable", 1)
    assert "LIKEWISE_BLOB_URL" in ended.failure.message
    stack.desk.blobs = in_redis
    stack.desk.wait(stack.submit(), "succeeded", within_s=20)
    assert worker.process.poll() is None


def test_urgent_runs_are_taken_first_and_a_batch_last(start_stack: Any) -> None:
    stack = start_stack()
    stack.worker().wait_until("idle", stack.desk.ledger)
    blocker = stack.submit("slow", epochs=LONG)
    stack.desk.wait(blocker, "leased", within_s=20)
    words = ["low", "low", "normal", "high", "normal"]
    records = {number: stack.submit(priority=word, epochs=number + 1) for number, word in enumerate(words)}
    runs = {number: stack.desk.run(record) for number, record in records.items()}
    before = stack.desk.ledger.runs_before(runs.values())
    assert [before[runs[number].run_id] for number in range(5)] == [3, 4, 1, 0, 2]
    stack.desk.ledger.cancel(blocker.run_ids[0])
    for record in records.values():
        stack.desk.wait(record, "succeeded", within_s=20)
    taken = sorted(records, key=lambda number: stack.desk.run(records[number]).claimed_s)
    assert taken == [3, 2, 4, 0, 1]
