"""No message takes a worker down: what is not ours is set aside with a reason, and work goes on."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest

from likewise.shared.names import DEAD_LETTERS, TRAIN_TASK, messages_key

RUN_ID = "0123456789abcdef0123"
QUEUE = "train.torch.any"


def envelope(**changes: Any) -> dict[str, Any]:
    """A message as Celery writes it."""
    return {
        "body": body([[RUN_ID], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TRAIN_TASK, "id": RUN_ID, "retries": 0},
        "properties": {
            "correlation_id": RUN_ID,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "delivery_tag": "a",
            "body_encoding": "base64",
        },
        **changes,
    }


def body(content: Any) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


def headers(**changes: Any) -> dict[str, Any]:
    return {"headers": {**envelope()["headers"], **changes}}


def properties(**changes: Any) -> dict[str, Any]:
    return {"properties": {**envelope()["properties"], **changes}}


CORPUS: dict[str, bytes | dict[str, Any]] = {
    "random bytes": os.urandom(200),
    "empty": b"",
    "a JSON number": b"7",
    "a JSON list": b"[1, 2]",
    "a JSON string": b'"hello"',
    "JSON null": b"null",
    "half a message": json.dumps(envelope()).encode()[:-20],
    "invalid UTF-8": json.dumps(envelope()).encode().replace(b'"py"', b'"\xff\xfe"'),
    "deep nesting": b"[" * 30_000 + b"]" * 30_000,
    "deep nesting inside": b'{"headers": ' + b'{"a":' * 9_000 + b"1" + b"}" * 9_001,
    "huge": json.dumps(envelope(padding="x" * 2_000_000)).encode(),
    "bad base64": envelope(body="%%%"),
    "a body that is no text": envelope(body={"a": 1}),
    "a body that is an object": envelope(body=body({"args": [RUN_ID]})),
    "a body that is not JSON": envelope(body=base64.b64encode(b"not json").decode()),
    "a body that is short": envelope(body=body([[RUN_ID]])),
    "no arguments": envelope(body=body([[], {}, {}])),
    "too many arguments": envelope(body=body([[RUN_ID, 1], {}, {}])),
    "an argument that is an object": envelope(body=body([[{"id": RUN_ID}], {}, {}])),
    "named arguments": envelope(body=body([[RUN_ID], {"x": 1}, {}])),
    "no headers": {key: value for key, value in envelope().items() if key != "headers"},
    "headers that are a list": envelope(headers=[1]),
    "an id that is an object": envelope(**headers(id={"a": 1})),
    "another id": envelope(**headers(id="ffffffffffffffffffff")),
    "another task": envelope(**headers(task="os.system")),
    "a task that is a number": envelope(**headers(task=3)),
    "pickle": envelope(**{"content-type": "application/x-python-serialize"}),
    "no properties": {key: value for key, value in envelope().items() if key != "properties"},
    "another encoding of the body": envelope(**properties(body_encoding="utf-16")),
    "an id with a path in it": envelope(body=body([["../../etc/passwd"], {}, {}])),
}


def test_every_malformed_message_is_set_aside_and_work_goes_on(desk, torch_worker):
    child = torch_worker.child_pid(desk.ledger)
    desk.client.delete(DEAD_LETTERS)
    for message in CORPUS.values():
        desk.client.lpush(messages_key(QUEUE), message if isinstance(message, bytes) else json.dumps(message))
    record = desk.submit()
    desk.wait(record, "succeeded", within_s=30)
    letters = [fields for _, fields in desk.client.xrange(DEAD_LETTERS)]
    assert len(letters) == len(CORPUS), [fields[b"reason"] for fields in letters]
    assert all(fields[b"reason"] for fields in letters)
    assert max(len(fields[b"message"]) for fields in letters) <= 4096
    assert torch_worker.process.poll() is None
    assert torch_worker.child_pid(desk.ledger) == child


def test_odd_headers_around_a_run_id_change_nothing(desk, torch_worker):
    """Only the run id is taken from a message, so nothing else in it can matter."""
    record = desk.submit(frameworks=("torch",), device="cpu", epochs=5, queue_anyway=True)
    desk.wait(record, "succeeded", within_s=20)
    for odd in ({"eta": [1]}, {"expires": {"a": 1}}, {"timelimit": "x"}, {"retries": "many"}, {"group": 1}):
        message = envelope(**headers(id=record.run_ids[0], **odd))
        message["body"] = body([record.run_ids, {}, {"chain": [7], "callbacks": "x"}])
        message["properties"] = {"body_encoding": "base64", "delivery_info": 5}
        desk.client.lpush(messages_key(QUEUE), json.dumps(message))
    desk.wait(desk.submit(), "succeeded", within_s=20)
    assert torch_worker.process.poll() is None


@pytest.mark.usefixtures("torch_worker")
def test_a_message_on_a_priority_list_is_checked_too(desk, until):
    desk.client.delete(DEAD_LETTERS)
    desk.client.lpush(messages_key(QUEUE) + "\x06\x163", b"rubbish")
    until(lambda: desk.client.xlen(DEAD_LETTERS) == 1, within_s=10, what="a dead letter")


@pytest.mark.usefixtures("torch_worker")
def test_a_run_of_another_schema_version_is_invalid(desk):
    from likewise.shared.names import run_key

    blocker = desk.submit(epochs=1_000_000)
    desk.wait(blocker, "leased", within_s=20)
    record = desk.submit()
    key = run_key(record.run_ids[0])
    document = json.loads(desk.client.hget(key, "run"))
    desk.client.hset(key, "run", json.dumps({**document, "schema_version": 2}))
    desk.ledger.cancel(blocker.run_ids[0])
    ended = desk.wait(record, "failed", within_s=20)
    assert ended.failure.reason == "invalid"
    assert "schema_version" in desk.result(record).failure.message


@pytest.mark.usefixtures("torch_worker")
def test_a_damaged_array_is_a_typed_failure(desk):
    import numpy as np

    from likewise.shared.names import blob_key, run_key
    from likewise.shared.store.arrays import encode_array

    blocker = desk.submit(epochs=1_000_000)
    desk.wait(blocker, "leased", within_s=20)
    record = desk.submit()
    key = run_key(record.run_ids[0])
    document = json.loads(desk.client.hget(key, "run"))
    ref, _ = encode_array(np.arange(6.0)[:, None] + 0.5)  # no run had it, so it is in no cache
    document["dataset"]["train"]["x"] = ref.model_dump(mode="json")
    desk.client.hset(key, "run", json.dumps(document))
    desk.client.set(blob_key(ref.sha256, 0), encode_array(np.arange(6.0)[:, None])[1])
    desk.ledger.cancel(blocker.run_ids[0])
    ended = desk.wait(record, "failed", within_s=20)
    assert ended.failure.reason == "data_damaged"
    desk.client.delete(blob_key(ref.sha256, 0))
    desk.wait(desk.submit(), "succeeded", within_s=20)


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_the_check_sees_each_of_them(name):
    from likewise.worker.service.quarantine import NotOursError, run_id_of

    message = CORPUS[name]
    with pytest.raises(NotOursError):
        run_id_of(message if isinstance(message, bytes) else json.dumps(message).encode())


def test_the_check_lets_ours_pass():
    from likewise.worker.service.quarantine import envelope_for, run_id_of

    assert run_id_of(json.dumps(envelope()).encode()) == RUN_ID
    assert run_id_of(envelope_for(RUN_ID, QUEUE)) == RUN_ID
