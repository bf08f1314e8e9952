"""A worker that dies costs its run the work since the last checkpoint, and not one bit of its numbers."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from likewise.shared.ledger.checkpoints import CheckpointRef, read_refs
from likewise.shared.names import run_key

JOB: dict[str, Any] = {
    "model": {
        "layers": [
            {"type": "dense", "units": 8, "activation": "tanh"},
            {"type": "dropout", "rate": 0.25},
            {"type": "dense", "units": 1},
        ]
    },
    "optimizer": {
        "type": "adam",
        "learning_rate": 0.001,
        "schedule": {"type": "cosine", "decay_steps": 40_000},
    },
    "training": {"epochs": 20_000, "batch_size": 3, "shuffle": True},
}
"""Trains for three seconds on a quick machine, so that one that stalls still finds it training."""


def kept(desk: Any, record: Any) -> tuple[CheckpointRef, ...]:
    return read_refs(desk.client.hget(run_key(record.run_ids[0]), "checkpoints"))


def numbers(result: Any) -> Any:
    """All that must not depend on where it was trained."""
    fields = ("seeds", "losses", "weights", "predictions", "outputs", "metrics", "hashes", "epochs")
    return [[getattr(piece, field) for field in fields] for piece in result.arrays]


def resumed_after(result: Any) -> int:
    """The updates that its notes tell of."""
    found = re.search(r"went on from a checkpoint, after ([\d,]+) updates", " ".join(result.notes))
    return int(found[1].replace(",", "")) if found else 0


def flip_a_bit(desk: Any, record: Any, ref: CheckpointRef) -> None:
    key = ref.keys(record.run_ids[0])[0]
    data = bytearray(desk.client.get(key))
    data[len(data) // 2] ^= 1
    desk.client.set(key, bytes(data), keepttl=True)


@pytest.fixture(scope="module")
def checkpointed(start_redis: Any, tmp_path_factory: Any) -> Any:
    """A producer at a Redis of its own, with a worker that checkpoints often; and an uninterrupted run."""
    from tests.conftest import Desk, WorkerProcess

    own = start_redis(policy="noeviction")
    desk = Desk(own.url)
    worker = WorkerProcess(
        "torch", own.url, tmp_path_factory.mktemp("checkpointed"), LIKEWISE_CHECKPOINT_S="0.2"
    ).wait_until("idle", desk.ledger)
    whole = desk.submit(**JOB)
    desk.wait(whole, "succeeded", within_s=60)
    yield desk, worker, numbers(desk.result(whole))
    worker.close()
    desk.close()


def begun(desk: Any, until: Any, *, checkpoints: int = 1) -> Any:
    """A run that has so many."""
    record = desk.submit(**JOB)
    until(lambda: len(kept(desk, record)) >= checkpoints, within_s=30, what="checkpoints")
    return record


def test_a_run_whose_child_is_killed_goes_on_from_its_checkpoint_to_the_same_bits(checkpointed, until):
    desk, worker, expected = checkpointed
    record = begun(desk, until)
    os.kill(worker.child_pid(desk.ledger), signal.SIGKILL)
    desk.wait(record, "succeeded", within_s=60)
    result = desk.result(record)
    assert result.attempt == 2
    assert resumed_after(result) > 0
    assert numbers(result) == expected
    assert kept(desk, record) == ()
    assert desk.client.keys("likewise:checkpoint:*") == []


def test_seeds_that_train_together_go_on_together(checkpointed, until):
    desk, worker, _ = checkpointed
    job = {**JOB, "seeds": 12, "execution": "auto", "training": {**JOB["training"], "epochs": 8_000}}
    whole = desk.submit(**job)
    desk.wait(whole, "succeeded", within_s=60)
    record = desk.submit(**job)
    until(lambda: kept(desk, record), within_s=30, what="a checkpoint")
    os.kill(worker.child_pid(desk.ledger), signal.SIGKILL)
    desk.wait(record, "succeeded", within_s=60)
    result, expected = desk.result(record).arrays[0], desk.result(whole).arrays[0]
    assert "after 0 of 12 seeds and" in desk.result(record).notes[0]
    for field in ("losses", "weights", "predictions", "outputs", "hashes"):
        assert getattr(result, field) == getattr(expected, field)


def test_a_damaged_checkpoint_is_seen_and_the_one_before_is_used(checkpointed, until):
    desk, worker, expected = checkpointed
    record = begun(desk, until, checkpoints=2)
    os.kill(worker.child_pid(desk.ledger), signal.SIGKILL)
    flip_a_bit(desk, record, kept(desk, record)[0])
    desk.wait(record, "succeeded", within_s=60)
    result = desk.result(record)
    assert "The last checkpoint is damaged." in result.notes
    assert resumed_after(result) > 0
    assert numbers(result) == expected


def test_a_run_without_a_whole_checkpoint_starts_again_and_says_so(checkpointed, until):
    desk, worker, expected = checkpointed
    record = begun(desk, until)
    os.kill(worker.child_pid(desk.ledger), signal.SIGKILL)
    for ref in kept(desk, record):
        flip_a_bit(desk, record, ref)
    desk.wait(record, "succeeded", within_s=60)
    result = desk.result(record)
    assert "The last checkpoint is damaged. It started from the beginning." in result.notes
    assert resumed_after(result) == 0
    assert numbers(result) == expected


def test_a_full_redis_costs_the_checkpoints_and_not_the_run(checkpointed, until):
    desk, worker, expected = checkpointed
    record = begun(desk, until)
    (room,) = desk.client.config_get("maxmemory").values()
    desk.client.config_set("maxmemory", "1mb")  # less than it holds already
    until(lambda: "could not be kept" in worker.log.read_text(), within_s=20, what="a checkpoint fails")
    desk.client.config_set("maxmemory", room)
    desk.wait(record, "succeeded", within_s=60)
    result = desk.result(record)
    assert result.attempt == 1
    assert any("A checkpoint could not be kept: Redis at" in note for note in result.notes)
    assert numbers(result) == expected


def test_a_worker_that_is_stopped_keeps_what_it_has_and_another_goes_on(
    start_worker: Any, start_redis: Any, desk_at: Any, checkpointed: Any
) -> None:
    """No checkpoint was due for a long time: it is taken because the worker stops."""
    own = start_redis()
    desk = desk_at(own.url)
    first = start_worker("torch", own.url, LIKEWISE_CHECKPOINT_S="1000").wait_until("idle", desk.ledger)
    record = desk.submit(**JOB)
    desk.wait(record, "leased", within_s=20)
    assert first.terminate() == 0
    assert len(kept(desk, record)) == 1
    start_worker("torch", own.url).wait_until("idle", desk.ledger)
    desk.wait(record, "succeeded", within_s=60)
    result = desk.result(record)
    assert resumed_after(result) > 0
    assert numbers(result) == checkpointed[2]
