"""Checkpoints in Redis: two are kept, under the fence, checked on reading, gone with the run's end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from likewise.shared.errors import DataError
from likewise.shared.ledger.checkpoints import BRIEF_S, CheckpointStore, newest, read_refs
from likewise.shared.ledger.leases import Claim, Leases, RunEnd
from likewise.shared.names import run_key
from likewise.worker.service.claimed_run import RunCheckpoints
from likewise.worker.training.checkpoints import Checkpoint, SoFar

QUEUE = "train.nobody.any"
LARGE = bytes(range(256)) * 2**14  # four chunks


@pytest.fixture
def leases(desk):
    return Leases(desk.client, worker_id="w", host="w", lease_s=60.0)


@pytest.fixture
def claim(desk, leases):
    """Of a run that no other worker will take."""
    record = desk.submit(frameworks=("nobody",), queue_anyway=True)
    yield leases.claim(record.run_ids[0], pid=1)
    if not desk.run(record).final:
        desk.ledger.cancel(record.run_ids[0])
        leases.let_go(record.run_ids[0], why="returned", fence=desk.run(record).fence)
    desk.client.delete(QUEUE)


@pytest.fixture
def store(desk):
    return CheckpointStore(desk.client, url=None, redis_limit_bytes=len(LARGE))


def refs(desk: Any, claim: Claim) -> Any:
    return read_refs(desk.client.hget(run_key(claim.run_id), "checkpoints"))


def chunks(desk: Any, claim: Claim) -> int:
    return len(desk.client.keys(f"likewise:checkpoint:{claim.run_id}:*"))


def again(leases: Leases, claim: Claim) -> Claim:
    """The same run taken by the next child."""
    taken = leases.claim(claim.run_id, pid=2)
    assert isinstance(taken, Claim)
    return taken


def test_the_next_claim_finds_the_newest_two_and_no_chunk_of_others_is_left(desk, claim, leases, store):
    for data in (b"first", LARGE, b"third"):
        assert store.put(claim.run_id, data, fence=claim.fence)
    found = again(leases, claim).checkpoints
    assert [store.get(claim.run_id, ref) for ref in found] == [b"third", LARGE]
    assert chunks(desk, claim) == 1 + 4


def test_a_checkpoint_of_a_lost_claim_is_refused_and_expires(desk, claim, leases, store):
    new = again(leases, claim)
    assert store.put(new.run_id, b"new", fence=new.fence)
    assert not store.put(claim.run_id, b"old", fence=claim.fence)
    (ref,) = refs(desk, new)
    assert store.get(new.run_id, ref) == b"new"
    lives = sorted(desk.client.ttl(key) for key in desk.client.keys(f"likewise:checkpoint:{claim.run_id}:*"))
    assert lives[0] <= BRIEF_S < lives[1]


def test_the_same_bytes_kept_twice_are_kept_once(desk, claim, store):
    for _ in range(3):
        assert store.put(claim.run_id, b"same", fence=claim.fence)
    assert len(refs(desk, claim)) == 1
    assert chunks(desk, claim) == 1


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_no_chunk_outlives_the_run(state, desk, claim, leases, store):
    store.put(claim.run_id, LARGE, fence=claim.fence)
    assert leases.finish(claim.run_id, fence=claim.fence, end=RunEnd(state=state, payload="{}"))
    assert chunks(desk, claim) == 0
    assert not store.put(claim.run_id, LARGE, fence=claim.fence)


def test_a_damaged_one_is_seen_and_the_one_before_is_used(desk, claim, store):
    store.put(claim.run_id, b"before", fence=claim.fence)
    store.put(claim.run_id, LARGE, fence=claim.fence)
    found = refs(desk, claim)
    assert newest(store, claim.run_id, found) == (LARGE, None)
    desk.client.setrange(found[0].keys(claim.run_id)[2], 7, b"!")
    assert newest(store, claim.run_id, found) == (b"before", "The last checkpoint is damaged.")
    desk.client.delete(found[0].keys(claim.run_id)[0])
    assert newest(store, claim.run_id, found) == (b"before", "The last checkpoint is gone.")
    desk.client.delete(*found[1].keys(claim.run_id))
    assert newest(store, claim.run_id, found) == (None, "The last checkpoint is gone.")


def test_one_whose_chunks_are_not_all_there_is_not_named(desk, claim, store, monkeypatch):
    store.put(claim.run_id, b"whole", fence=claim.fence)
    name = store._refer

    def after_a_loss(**given: Any) -> Any:
        desk.client.delete(*(key for key in desk.client.keys("*:2") if claim.run_id.encode() in key))
        return name(**given)

    monkeypatch.setattr(store, "_refer", after_a_loss)
    assert not store.put(claim.run_id, LARGE, fence=claim.fence)
    assert newest(store, claim.run_id, refs(desk, claim)) == (b"whole", None)


def test_a_run_that_comes_further_each_time_is_not_given_up(desk, claim, leases, store):
    for attempt in range(5):
        store.put(claim.run_id, b"further %d" % attempt, fence=claim.fence)
        assert leases.let_go(claim.run_id, why="died", fence=claim.fence)[0] == "queued"
        claim = again(leases, claim)
    assert leases.let_go(claim.run_id, why="died", fence=claim.fence)[0] == "queued"
    claim = again(leases, claim)
    assert leases.let_go(claim.run_id, why="died", fence=claim.fence)[0] == "failed"
    assert chunks(desk, claim) == 0


def test_one_that_is_too_large_for_redis_lies_behind_the_url(desk, claim, leases, tmp_path):
    far = CheckpointStore(desk.client, url=tmp_path.as_uri(), redis_limit_bytes=100)
    folder = tmp_path / "checkpoints" / claim.run_id
    for data in (b"small", LARGE + b"1", LARGE + b"2", LARGE + b"3"):
        assert far.put(claim.run_id, data, fence=claim.fence)
    found = refs(desk, claim)
    assert [far.get(claim.run_id, ref) for ref in found] == [LARGE + b"3", LARGE + b"2"]
    assert {path.name for path in folder.iterdir()} == {ref.name for ref in found}
    assert chunks(desk, claim) == 0

    (folder / found[0].name).write_bytes(LARGE + b"4")
    assert newest(far, claim.run_id, found) == (LARGE + b"2", "The last checkpoint is damaged.")
    near = CheckpointStore(desk.client, url=None, redis_limit_bytes=100)
    assert "LIKEWISE_BLOB_URL that is not set" in newest(near, claim.run_id, found)[1]
    assert leases.finish(claim.run_id, fence=claim.fence, end=RunEnd(state="succeeded", payload="{}"))
    far.forget(claim.run_id)
    assert not folder.exists()


def test_one_that_has_no_place_is_refused_with_what_to_do(claim, desk):
    near = CheckpointStore(desk.client, url=None, redis_limit_bytes=2**20)
    with pytest.raises(DataError, match=r"it has 4 MB.*up to 1 MB.*LIKEWISE_BLOB_URL"):
        near.put(claim.run_id, LARGE, fence=claim.fence)
    assert refs(desk, claim) == ()


def test_a_host_without_a_thread_to_spare_costs_the_checkpoint_and_not_the_run(desk, claim, store):
    kept = RunCheckpoints(store, claim, wanted=lambda: False, before=lambda: None)
    checkpoint = Checkpoint(so_far=SoFar(made_by="here", finished=0), training={})
    usual = threading.stack_size(1 << 46)  # more than the machine can address, so that none starts
    try:
        kept.keep(checkpoint)
    finally:
        threading.stack_size(usual)
    assert kept.trouble == "can't start new thread"
    kept.close()

    kept.keep(checkpoint)
    kept.close()
    assert len(refs(desk, claim)) == 1, "the next one is kept"
