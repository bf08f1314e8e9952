"""Faults of what is stored and sent: bits, records, messages, submissions."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from likewise.producer.runs import submit as submitting
from likewise.shared.celery_app import send_wakeups
from likewise.shared.errors import RedisError
from likewise.shared.ledger.checkpoints import read_refs
from likewise.shared.ledger.records import RunRecord
from likewise.shared.names import (
    DEAD_LETTERS,
    LEASED,
    blob_key,
    messages_key,
    queued_key,
    run_key,
    train_queue,
)
from likewise.shared.store.arrays import encode_array
from tests.conftest import WorkerProcess
from tests.faults.driver.kinds import kind
from tests.faults.driver.redis_kinds import without_replicas
from tests.faults.driver.world import World

NOT_OURS = (b"", b"7", b"[1, 2]", b"\xff\xfe", b'{"body": {}, "headers": []}', b"[" * 20_000, os.urandom(200))


def _victims_end_s(world: World, record: Any) -> float:
    return world.took_s(
        lambda: all(run.final for run in world.desk.ledger.records(record.run_ids)), what="the victims end"
    )


def _checkpointed(world: World) -> tuple[RunRecord, WorkerProcess]:
    """A run in training that has two checkpoints."""

    def found() -> tuple[RunRecord, WorkerProcess] | None:
        run, worker = world.training()
        held = world.desk.client.hget(run_key(run.run_id), "checkpoints")
        return (run, worker) if len(read_refs(held)) > 1 else None

    return world.until(found, what="a run has two checkpoints")


@kind(
    "bit flip in an array",
    "one bit of a run's data, before it is claimed",
    "fails as data_damaged",
    "its run ends",
)
def bit_flip_in_array(world: World) -> float:
    """The array is one that no worker has cached."""
    import numpy as np

    world.training()
    record = world.submit("victim-own-data", outcomes=("data_damaged",), victim_of="bit flip in an array")
    own = np.random.default_rng(secrets.randbits(60)).normal(size=(64, 3))
    ref, data = encode_array(own)
    damaged = bytearray(data)
    damaged[len(damaged) // 2] ^= 1
    world.desk.client.set(blob_key(ref.sha256, 0), bytes(damaged), ex=600)
    for run_id in record.run_ids:
        document = json.loads(world.desk.client.hget(run_key(run_id), "run"))
        document["dataset"]["train"]["x"] = ref.model_dump(mode="json")
        if world.run(run_id).attempt == 0:
            world.desk.client.hset(run_key(run_id), "run", json.dumps(document))
    for expected in world.submitted[-len(record.run_ids) :]:
        if world.run(expected.run_id).attempt:
            expected.outcomes = frozenset({"data_damaged", "succeeded"})  # it was claimed before the flip
    took_s = _victims_end_s(world, record)
    world.desk.client.delete(blob_key(ref.sha256, 0))
    return took_s


@kind(
    "bit flip in a checkpoint",
    "one bit of the newest, then the child is killed",
    "the one before is used",
    "taken over",
)
def bit_flip_in_checkpoint(world: World) -> float:
    run, worker = _checkpointed(world)
    world.kill_child(worker)
    newest = read_refs(world.desk.client.hget(run_key(run.run_id), "checkpoints"))
    for ref in newest[:1]:
        key = ref.keys(run.run_id)[0]
        data = bytearray(world.desk.client.get(key) or b"")
        if data:
            data[len(data) // 2] ^= 1
            world.desk.client.set(key, bytes(data), keepttl=True)
    return world.taken_over_s(run, what="the run of a damaged checkpoint")


def _spooled(world: World) -> tuple[WorkerProcess, Path] | None:
    """A worker that has finished a run which Redis does not take, and the file that keeps the result."""
    for place, worker in enumerate(world.workers):
        if worker is not None and worker.process.poll() is None:
            for file in (world.worker_disk / f"cache-{place}" / "spool").glob("*"):
                if file.suffix[1:].isdigit():
                    return worker, file
    return None


def _with_spooled(world: World, *, flip: bool) -> float:
    world.training()
    with world.with_client() as client, without_replicas(world, client):
        worker, file = world.until(lambda: _spooled(world), what="a result is spooled")
        worker.kill_group()
        if flip:
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.write_bytes(bytes(data))
    run_id = file.name.partition(".")[0]
    world.mend()
    took_s = world.took_s(lambda: world.run(run_id).final, what="the run of a spooled result ends")
    # another may have trained the run again before a worker looked at what the dead one left
    world.until(lambda: not file.exists(), what="a spooled result is sent or set aside")
    for left in file.parent.glob("*.damaged"):
        left.unlink()  # whoever reads the log removes it
    return took_s


@kind(
    "killed with a result",
    "Redis refuses, and a worker that has a result to send is killed",
    "it is sent later",
    "its run ends",
)
def killed_with_result(world: World) -> float:
    return _with_spooled(world, flip=False)


@kind("bit flip in a spool", "the same, and one bit of the spooled result", "trained again", "its run ends")
def bit_flip_in_spool(world: World) -> float:
    return _with_spooled(world, flip=True)


@kind(
    "record with nonsense",
    "fields of a leased run edited by hand, its worker killed",
    "ends with its own bits",
    "taken over",
)
def record_with_nonsense(world: World) -> float:
    run, worker = world.training()
    worker.kill_group()
    spoilt = {
        "checkpoints": "{not JSON", "deaths": "many", "hangs": "", "retention_s": "", "lease_until": "x",
        "claimed_s": "?", "spent_s": "[]", "let_go_s": "nil",
    }  # fmt: skip
    world.desk.client.hset(run_key(run.run_id), mapping=spoilt)
    took_s = world.taken_over_s(run, what="a run with nonsense in its record")
    world.mend()
    return took_s


@kind("document spoilt", "the document of a waiting run edited by hand", "fails as invalid", "its run ends")
def document_spoilt(world: World) -> float:
    world.training()
    record = world.submit("victim-own-data", outcomes=("invalid", "succeeded"), victim_of="document spoilt")
    for run_id in record.run_ids:
        key = run_key(run_id)
        document = json.loads(world.desk.client.hget(key, "run"))
        world.desk.client.hset(key, "run", json.dumps({**document, "schema_version": 2}))
    return _victims_end_s(world, record)


@kind(
    "records of a wrong type",
    "lists where the records of a leased and a waiting run should be",
    "set aside alone",
    "serves again",
)
def records_of_wrong_type(world: World) -> float:
    world.training()
    client = world.desk.client
    before = client.xlen(DEAD_LETTERS)
    damaged = [f"0000{secrets.token_hex(8)}" for _ in range(2)]
    for run_id, waiting_in in zip(
        damaged, (LEASED, queued_key(train_queue(world.frameworks[0], "any"))), strict=True
    ):
        client.rpush(run_key(run_id), "no hash")
        client.zadd(waiting_in, {run_id: 1.0})
    world.until(lambda: client.xlen(DEAD_LETTERS) >= before + 2, what="both are set aside")
    client.delete(*map(run_key, damaged))
    return world.serves_again_s()


@kind("messages doubled", "five more messages for each waiting run", "dropped", "serves again")
def messages_doubled(world: World) -> float:
    world.training()
    waiting = [run for run in world.records() if not run.final]
    send_wakeups(world.desk.app, [(run.run_id, run.lane) for run in waiting] * 5)
    return world.serves_again_s()


@kind("messages lost", "every message of every queue deleted", "sent again", "serves again")
def messages_lost(world: World) -> float:
    world.training()
    world.desk.client.delete(*world.queues())
    waiting = [run for run in world.records() if run.state == "queued"]
    took_s = world.serves_again_s()
    world.until(
        lambda: all(world.run(run.run_id).state != "queued" for run in waiting), what="runs without a message"
    )
    return took_s


@kind(
    "messages that are not ours", f"{len(NOT_OURS)} malformed ones on each queue", "set aside", "serves again"
)
def messages_not_ours(world: World) -> float:
    world.training()
    for key in world.queues():
        world.desk.client.rpush(key, *NOT_OURS)
    return world.serves_again_s()


@kind(
    "message in a wrong queue",
    "a run's message lies in another framework's queue alone",
    "moved",
    "its run ends",
)
def message_in_wrong_queue(world: World) -> float:
    world.training()
    first, second = list(dict.fromkeys(world.frameworks))[:2]
    record = world.submit("victim-own-data", victim_of="message in a wrong queue")
    client = world.desk.client
    for run in world.desk.ledger.records(record.run_ids):
        own = messages_key(run.lane)
        for message in client.lrange(own, 0, -1):
            if run.run_id.encode() in message:
                client.lrem(own, 0, message)
        other = second if run.framework == first else first
        send_wakeups(world.desk.app, [(run.run_id, train_queue(other, "any"))])
    return _victims_end_s(world, record)


@kind(
    "producer dies between", "a submission whose messages are never sent", "sent by a worker", "its run ends"
)
def producer_dies_between(world: World) -> float:
    def dies(*_: object) -> None:
        raise RedisError("died here")

    key = secrets.token_hex(6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submitting, "send_wakeups", dies)
        one = world.prepared["line"]
        with suppress(RedisError):
            request = submitting.Request(queue_anyway=True, key=key)
            submitting.submit(world.desk, one.loaded.experiment, one.runs, request)
    return _victims_end_s(world, world.submit("line", key=key))


@kind("submitted twice", "one submission with one key, sent twice", "one experiment", "its run ends")
def submitted_twice(world: World) -> float:
    key = secrets.token_hex(6)
    first, second = (world.submit("line", key=key) for _ in range(2))
    assert first.experiment_id == second.experiment_id, "a key gave two experiments"
    return _victims_end_s(world, first)
