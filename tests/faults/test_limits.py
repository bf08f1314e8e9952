"""A worker trusts no message, no record and no key: it measures them before it allocates, and goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from likewise.shared.connection import connect
from likewise.shared.errors import ResultError
from likewise.shared.ledger.transitions import STREAM_LENGTH
from likewise.shared.names import DEAD_LETTERS, child_key, messages_key, run_key

QUEUE = "train.torch.any"
MESSAGE_BYTES = 300 * 2**20
MAY_GROW_BYTES = 64 * 2**20


def peak_bytes(pid: int) -> int:
    (line,) = (
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM:")
    )
    return int(line.split()[1]) * 1024


pytestmark = pytest.mark.usefixtures("torch_worker")


@pytest.fixture
def waiting(desk: Any) -> Iterator[Callable[..., Any]]:
    """Submits a run whose record is changed before a worker sees it."""
    blocker = desk.submit(epochs=1_000_000)
    desk.wait(blocker, "leased", within_s=20)

    def submit(change: Callable[[dict[str, Any]], None]) -> Any:
        record = desk.submit()
        key = run_key(record.run_ids[0])
        document = json.loads(desk.client.hget(key, "run"))
        change(document)
        desk.client.hset(key, "run", json.dumps(document))
        desk.ledger.cancel(blocker.run_ids[0])
        return desk.wait(record, "failed", within_s=20).failure

    yield submit
    desk.ledger.cancel(blocker.run_ids[0])


def test_a_huge_message_takes_no_memory_of_the_parent(
    torch_worker: Any, desk: Any, until: Callable[..., Any]
) -> None:
    desk.client.delete(DEAD_LETTERS)
    before = peak_bytes(torch_worker.pid)
    desk.client.lpush(messages_key(QUEUE), b"x" * MESSAGE_BYTES)
    until(lambda: desk.client.xlen(DEAD_LETTERS), within_s=20, what="the message is set aside")
    ((_, letter),) = desk.client.xrange(DEAD_LETTERS, count=STREAM_LENGTH)
    assert letter[b"queue"].decode() == QUEUE
    assert int(letter[b"bytes"]) == MESSAGE_BYTES
    assert letter[b"message"] == b"x" * 4096
    assert b"LIKEWISE_MAX_MESSAGE_KB" in letter[b"reason"]
    assert peak_bytes(torch_worker.pid) - before < MAY_GROW_BYTES
    desk.wait(desk.submit(), "succeeded", within_s=20)


def test_a_record_of_a_model_that_is_too_large_is_refused_before_it_is_made(
    torch_worker: Any, desk: Any, waiting: Callable[..., Any]
) -> None:
    before = peak_bytes(torch_worker.child_pid(desk.ledger))

    def with_units(document: dict[str, Any]) -> None:
        document["job"]["model"]["layers"][0]["units"] = 10**9

    failure = waiting(with_units)
    assert failure.reason == "too_large"
    assert "at most 250,000,000 are taken here (LIKEWISE_MAX_WEIGHTS)" in failure.message
    assert peak_bytes(torch_worker.child_pid(desk.ledger)) - before < MAY_GROW_BYTES


def test_a_record_that_is_too_long_is_refused_unread(waiting: Callable[..., Any]) -> None:
    failure = waiting(lambda document: document.update(padding="x" * 64 * 2**20))
    assert failure.reason == "too_large"
    assert "LIKEWISE_MAX_RECORD_MB" in failure.message


def test_a_record_that_claims_endless_arrays_is_refused(waiting: Callable[..., Any]) -> None:
    def with_rows(document: dict[str, Any]) -> None:
        document["dataset"]["train"]["x"]["shape"] = [2**60, 1]

    assert waiting(with_rows).reason == "too_large"


def test_a_record_that_is_nested_without_end_is_invalid(waiting: Callable[..., Any]) -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert waiting(lambda document: document.update(job=deep)).reason == "invalid"


def test_what_others_write_of_a_child_ends_nothing(
    torch_worker: Any, desk: Any, until: Callable[..., Any]
) -> None:
    """Its hash names the run that it holds, and a run that is to be cancelled ends its child."""
    trained = desk.submit(epochs=1_000_000)
    desk.wait(trained, "leased", within_s=20)
    child = torch_worker.child_pid(desk.ledger)
    worker_id = torch_worker.presence(desk.ledger).worker_id
    other = desk.submit()
    key = run_key(other.run_ids[0])
    forged = {"state": "leased", "worker": worker_id, "fence": 7, "cancel_requested": 1, "lease_until": "9e9"}
    desk.client.hset(key, mapping=forged)
    desk.client.hset(child_key(worker_id), mapping={"run_id": other.run_ids[0], "fence": 7, "pid": 1})
    before = torch_worker.presence(desk.ledger).seen_s
    until(
        lambda: torch_worker.presence(desk.ledger).seen_s > before + 3,
        within_s=20,
        what="some beats of the worker",
    )
    assert desk.client.hget(child_key(worker_id), "run_id").decode() == trained.run_ids[0]
    assert torch_worker.child_pid(desk.ledger) == child
    assert desk.run(trained).state == "leased"
    for record in (trained, other):
        desk.ledger.cancel(record.run_ids[0])
    desk.wait(trained, "cancelled", within_s=20)


def test_a_reply_that_is_too_long_is_no_part_of_itself(redis_server: Any) -> None:
    client = connect(redis_server.url, largest_bytes=2**20)
    client.set("long", b"x" * (2**20 + 1))
    client.set("longest", b"y" * 5_000_000)
    client.set("short", b"z" * 2**20)
    for command in (lambda: client.get("long"), lambda: client.mget("short", "longest")):
        with pytest.raises(ResultError, match="at most 1,048,576 are taken"):
            command()
    assert client.get("short") == b"z" * 2**20
    client.delete("long", "longest", "short")
    client.close()
