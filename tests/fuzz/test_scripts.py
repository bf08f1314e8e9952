"""The ledger's scripts on records that were edited by hand: none fails, and every run comes to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from likewise.producer.runs.submit import new_id
from likewise.shared.connection import connect
from likewise.shared.ledger.leases import Claim, Leases, RunEnd
from likewise.shared.ledger.ledger import Ledger
from likewise.shared.ledger.records import read_progress
from likewise.shared.names import LEASED, progress_key, queued_key, result_key, run_key
from tests.fuzz.spoiling import HOSTILE_NUMBERS, HOSTILE_TEXT

QUEUE = "train.fuzz.any"
FIELDS = (
    "attempt",
    "fence",
    "worker",
    "pid",
    "deaths",
    "hangs",
    "lease_until",
    "cancel_requested",
    "retention_s",
    "timed",
    "checkpoints",
    "submitted_s",
    "claimed_s",
    "spent_s",
    "let_go_s",
    "finished_s",
    "failure",
    "side",
    "framework",
)
"""All of a record but what says which run it is, where it waits, and how it stands."""
VALUES = st.one_of(
    st.sampled_from([str(one).encode() for one in HOSTILE_NUMBERS]),
    st.sampled_from([one.encode("utf-8", "surrogatepass") for one in HOSTILE_TEXT]),
    st.sampled_from(
        [b"", b"[1]", b"[[]]", b'[{"chunks": 1e9}]', b'[{"chunks": "a", "fence": []}]', b"null", b"1.5"]
    ),
    st.binary(max_size=12),
)
EDITS = st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def ledger(start_redis: Any) -> Iterator[Ledger]:
    """A Redis of the cases' own."""
    client = connect(start_redis(append_only=False).url)
    yield Ledger(client, retention_s=3_600)
    client.close()


def queued(ledger: Ledger) -> str:
    """A run that waits, as `add.lua` writes it."""
    run_id, client = new_id(), ledger.client
    fields = {
        "run_id": run_id,
        "experiment_id": run_id,
        "framework": "fuzz",
        "side": "fuzz",
        "queue": QUEUE,
        "lane": QUEUE,
        "state": "queued",
        "attempt": 0,
        "fence": 0,
        "deaths": 0,
        "submitted_s": 1,
        "cancel_requested": 0,
        "retention_s": 3_600,
        "timed": 0,
        "run": "{}",
    }
    client.hset(run_key(run_id), mapping=fields)
    client.zadd(queued_key(QUEUE), {run_id: 1})
    return run_id


@given(EDITS, EDITS, st.booleans())
@example({"attempt": b"00"}, {"fence": b"007"}, True)
@example({}, {"submitted_s": b"\t0", "spent_s": b"5."}, False)
def test_an_edited_run_is_claimed_and_ends(
    ledger: Ledger, before: dict[str, bytes], amid: dict[str, bytes], finishes: bool
) -> None:
    client, run_id = ledger.client, queued(ledger)
    first, second = (Leases(client, worker_id=name, host="h", lease_s=0.001) for name in ("a", "b"))
    client.hset(run_key(run_id), mapping=before | {"timed": "0"})
    claims = 0
    for leases in (first, second):
        claim = leases.claim(run_id, pid=7, queues=[QUEUE])
        claims += isinstance(claim, Claim)
        leases.look_after(pid=7, run_id=run_id, fence=claim.fence if isinstance(claim, Claim) else 0)
        client.hset(run_key(run_id), mapping=amid | {"timed": "0", "lease_until": "0"})
        for why in ("expired", "hung"):
            leases.let_go(run_id, why=why, fence=0, note="x")
    assert claims or client.hget(run_key(run_id), "state") in (b"failed", b"cancelled")
    if finishes:
        claim = second.claim(run_id, pid=8)
        if isinstance(claim, Claim):
            assert second.finish(run_id, fence=claim.fence, end=RunEnd(state="succeeded", payload="{}"))
    for _ in range(4):
        ledger.cancel(run_id)
        client.hset(run_key(run_id), "lease_until", "0")
        first.let_go(run_id, why="expired")
    assert client.hget(run_key(run_id), "state") in (b"succeeded", b"failed", b"cancelled")
    assert client.zscore(LEASED, run_id) is None
    assert client.zscore(queued_key(QUEUE), run_id) is None
    assert client.ttl(run_key(run_id)) > 0
    ledger.records([run_id])
    client.delete(run_key(run_id), result_key(run_id), progress_key(run_id))


ENTRIES = st.dictionaries(
    st.sampled_from([b"event", b"run", b"state", b"x"]),
    st.binary(max_size=30) | VALUES,
    min_size=1,
    max_size=3,
)


@given(st.lists(ENTRIES, min_size=1, max_size=3))
def test_whatever_stands_in_the_progress_is_read(ledger: Ledger, entries: list[dict[bytes, bytes]]) -> None:
    experiment_id = new_id()
    for fields in entries:
        ledger.client.xadd(progress_key(experiment_id), fields)
    assert len(read_progress(ledger.client, experiment_id)) == len(entries)
    ledger.client.delete(progress_key(experiment_id))


@given(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=5))
def test_whatever_stands_among_the_runs_that_wait_keeps_none_from_being_found(
    ledger: Ledger, members: list[bytes]
) -> None:
    ledger.client.delete(LEASED, queued_key(QUEUE))
    run_id, leases = queued(ledger), Leases(ledger.client, worker_id="a", host="h", lease_s=0.001)
    for key in (LEASED, queued_key(QUEUE)):
        ledger.client.zadd(key, dict.fromkeys(members, 0.0))
    for found in leases.expired(now_s=1e12):
        leases.let_go(found, why="expired")
    woken = [
        found
        for found, since in leases.waiting(QUEUE, before_s=1e12, now_s=1e12)
        if leases.wake(QUEUE, found, since_s=since)
    ]
    assert woken == [run_id]
    assert ledger.client.zcard(LEASED) == 0
    assert ledger.client.zcard(queued_key(QUEUE)) == 1
    ledger.client.delete(run_key(run_id), queued_key(QUEUE))
