"""Transitions of a run's record: each is refused unless state and fence fit."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from likewise.producer.listing import look_at
from likewise.shared.connection import connect
from likewise.shared.errors import ResultError, UsageError
from likewise.shared.ledger.leases import Claim, Leases, Refused, RunEnd
from likewise.shared.ledger.ledger import Ledger
from likewise.shared.ledger.transitions import script
from likewise.shared.names import (
    blob_key,
    experiment_key,
    lane_of,
    lanes_of,
    messages_key,
    queued_key,
    result_key,
    run_key,
    submission_key,
    wanted_key,
)
from likewise.shared.results.run_result import Failure
from likewise.shared.store.blobs import BlobStore
from tests.conftest import Desk

QUEUE = "train.nobody.any"


@pytest.fixture
def queued(desk):
    """A run that no worker will take."""
    record = desk.submit(frameworks=("nobody",), queue_anyway=True)
    yield record
    if not desk.run(record).final:
        desk.ledger.cancel(record.run_ids[0])
    desk.client.delete(*map(messages_key, lanes_of(QUEUE)))


@pytest.fixture
def worker(desk):
    """The worker side, under any name."""

    def of(name: str, *, lease_s: float = 60.0) -> Leases:
        return Leases(desk.client, worker_id=name, host=name, lease_s=lease_s)

    return of


def finish(leases: Leases, claim: Claim, payload: str = "{}") -> bool:
    return leases.finish(claim.run_id, fence=claim.fence, end=RunEnd(state="succeeded", payload=payload))


def test_of_many_that_claim_at_once_one_gets_the_run(queued, worker):
    run_id = queued.run_ids[0]
    answers: list[Claim | Refused] = []
    threads = [
        threading.Thread(target=lambda name=f"w{n}": answers.append(worker(name).claim(run_id, pid=1)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, Claim) for answer in answers) == 1
    assert {answer.state for answer in answers if isinstance(answer, Refused)} == {"leased"}


def test_a_claim_whose_reply_was_lost_may_be_repeated(queued, worker):
    first = worker("w").claim(queued.run_ids[0], pid=1)
    assert worker("w").claim(queued.run_ids[0], pid=1) == first


def test_a_new_child_of_the_same_worker_takes_the_run_with_a_new_fence(queued, worker):
    first = worker("w").claim(queued.run_ids[0], pid=1)
    second = worker("w").claim(queued.run_ids[0], pid=2)
    assert (second.fence, second.attempt) == (first.fence + 1, 2)


def test_an_old_fence_cannot_finish(desk, queued, worker):
    old = worker("w").claim(queued.run_ids[0], pid=1)
    new = worker("w").claim(queued.run_ids[0], pid=2)
    assert not finish(worker("w"), old, '{"old": 1}')
    assert desk.run(queued).state == "leased"
    assert not desk.client.exists(result_key(old.run_id))
    assert finish(worker("w"), new, '{"new": 1}')
    assert desk.client.get(result_key(new.run_id)) == b'{"new": 1}'


def test_the_first_final_state_stays(desk, queued, worker):
    claim = worker("w").claim(queued.run_ids[0], pid=1)
    assert finish(worker("w"), claim, "first")
    assert finish(worker("w"), claim, "second")  # a repeated call, its reply having been lost
    failed = worker("w").finish(
        claim.run_id,
        fence=claim.fence,
        end=RunEnd(state="failed", failure=Failure(reason="internal", message="x"), payload="third"),
    )
    assert not failed
    assert desk.client.get(result_key(claim.run_id)) == b"first"
    assert desk.run(queued).state == "succeeded"
    assert desk.ledger.cancel(claim.run_id) == "succeeded"
    assert worker("v").claim(claim.run_id, pid=1) == Refused(state="succeeded")


def test_an_expired_lease_is_claimed_by_another(queued, worker, until):
    slow = worker("slow", lease_s=0.05)
    first = slow.claim(queued.run_ids[0], pid=1)
    second = until(
        lambda: next((c for c in [worker("other").claim(first.run_id, pid=1)] if isinstance(c, Claim)), None),
        within_s=2,
        what="the lease has ended",
    )
    assert second.fence == first.fence + 1
    assert slow.look_after(pid=1, run_id=first.run_id, fence=first.fence).run_id is None
    assert not finish(slow, first)


def test_a_run_whose_worker_is_gone_waits_for_another_and_is_cancelled_at_once(desk, queued, worker, until):
    """No worker may be left to do it, and only what has ended can be deleted."""
    (run_id,) = queued.run_ids
    lost = worker("gone", lease_s=0.05)
    claim = lost.claim(run_id, pid=1)
    ends_s = desk.ledger.now() + 0.05
    until(lambda: desk.ledger.now() > ends_s, within_s=2, what="the lease has ended")
    assert look_at(desk, queued, live={"another"}).standing == "waiting for another worker"
    assert look_at(desk, queued, live={"gone"}).standing == "training"
    assert desk.ledger.cancel(run_id) == "cancelled"
    assert lost.look_after(pid=1, run_id=run_id, fence=claim.fence).run_id is None


def test_a_beat_keeps_the_lease(desk, queued, worker):
    leases = worker("w", lease_s=2.0)
    claim = leases.claim(queued.run_ids[0], pid=1)
    end = desk.ledger.now() + 3.0
    while desk.ledger.now() < end:
        assert leases.look_after(pid=1, run_id=claim.run_id, fence=claim.fence).run_id == claim.run_id
        assert isinstance(worker("other").claim(claim.run_id, pid=1), Refused)
    assert leases.let_go(claim.run_id, why="expired") == (None, QUEUE)


def test_a_child_that_is_just_claiming_keeps_what_its_claim_has_won(queued, worker):
    leases = worker("w")
    assert leases.look_after(pid=1, run_id=queued.run_ids[0]).run_id is None
    claim = leases.claim(queued.run_ids[0], pid=1)
    assert leases.look_after(pid=2, run_id=claim.run_id).run_id is None
    held = leases.look_after(pid=1, run_id=claim.run_id)
    assert (held.run_id, held.fence) == (claim.run_id, claim.fence)


def test_a_run_put_back_but_not_claimed_is_taken_back_by_a_worker_that_is_heard_again(
    desk, queued, worker, until
):
    leases = worker("w", lease_s=0.05)
    claim = leases.claim(queued.run_ids[0], pid=1)
    until(
        lambda: worker("other").let_go(claim.run_id, why="expired")[0] == "queued",
        within_s=2,
        what="the lease has ended",
    )
    assert desk.client.zscore(queued_key(QUEUE), claim.run_id)
    assert leases.look_after(pid=1, run_id=claim.run_id, fence=claim.fence).run_id == claim.run_id
    assert desk.run(queued).state == "leased"
    assert desk.client.zscore(queued_key(QUEUE), claim.run_id) is None
    assert finish(leases, claim)


def test_three_deaths_end_a_run_and_a_hand_back_is_none(desk, queued, worker):
    run_id = queued.run_ids[0]
    leases = worker("w")
    for _ in range(4):
        claim = leases.claim(run_id, pid=1)
        assert leases.let_go(run_id, why="returned", fence=claim.fence)[0] == "queued"
    for expected in ("queued", "queued", "failed"):
        claim = leases.claim(run_id, pid=1)
        assert leases.let_go(run_id, why="died", fence=claim.fence)[0] == expected
    assert desk.run(queued).failure.reason == "worker_lost"


def test_letting_go_needs_the_fence(desk, queued, worker):
    claim = worker("w").claim(queued.run_ids[0], pid=1)
    assert worker("w").let_go(claim.run_id, why="died", fence=claim.fence - 1)[0] is None
    assert desk.run(queued).state == "leased"


def test_unknown_ids_are_usage_errors(desk):
    with pytest.raises(UsageError, match="no run"):
        desk.ledger.cancel("00000000")
    with pytest.raises(UsageError, match="no run"):
        desk.ledger.run("00000000")
    assert desk.ledger.experiment("00000000") is None
    assert desk.ledger.records(["00000000"]) == []


def test_documents_of_another_version_are_named(desk, queued):
    run_id = queued.run_ids[0]
    document = desk.client.hget(run_key(run_id), "run")
    desk.client.hset(
        run_key(run_id), "run", document.replace(b'"schema_version":1', b'"schema_version":9', 1)
    )
    with pytest.raises(ResultError, match="schema_version"):
        desk.ledger.run(run_id)
    desk.client.hset(experiment_key(queued.experiment_id), "experiment", b"{")
    with pytest.raises(ResultError, match="cannot be read"):
        desk.ledger.experiment(queued.experiment_id)
    assert queued.experiment_id not in [one.experiment_id for one in desk.ledger.experiments()]


def test_a_message_is_sent_for_by_one_of_many(queued, worker, desk):
    run_id = queued.run_ids[0]
    lane = lane_of(QUEUE, "normal")
    since = desk.client.zscore(queued_key(lane), run_id)
    answers = [worker(f"w{n}").wake(lane, run_id, since_s=since) for n in range(5)]
    assert answers == [True, False, False, False, False]


def test_what_belongs_to_an_experiment_is_found_through_it_and_deleted_with_it(desk):
    whole = desk.submit(frameworks=("nobody",), queue_anyway=True)
    parent = whole.experiment_id
    for relation in ("twin", "rerun"):
        run = desk.ledger.run(whole.run_ids[0])
        own = whole.model_copy(update={"experiment_id": f"{relation}-of-it", "run_ids": (f"run-{relation}",)})
        mine = run.model_copy(update={"experiment_id": own.experiment_id, "run_id": own.run_ids[0]})
        desk.ledger.add(own, [(mine, QUEUE)], belongs_to=(relation, parent))
        desk.ledger.cancel(own.run_ids[0])
    desk.ledger.cancel(whole.run_ids[0])

    assert desk.ledger.experiment(parent).related == {"twin": "twin-of-it", "rerun": "rerun-of-it"}
    assert "twin-of-it" not in [one.experiment_id for one in desk.ledger.experiments()]
    desk.ledger.delete(parent)
    assert desk.ledger.experiment("twin-of-it") is desk.ledger.experiment("rerun-of-it") is None


def test_a_record_of_before_names_its_twin_alone(desk, queued):
    desk.client.hset(experiment_key(queued.experiment_id), "twin", "an-old-twin")
    assert desk.ledger.experiment(queued.experiment_id).related == {"twin": "an-old-twin"}


def test_a_record_that_was_edited_by_hand_keeps_no_other_from_being_read(desk, queued):
    whole = desk.submit(frameworks=("nobody",), queue_anyway=True)
    key = run_key(queued.run_ids[0])
    desk.client.hset(key, mapping={"claimed_s": "?", "attempt": "many"})
    (spoilt,) = desk.ledger.records(queued.run_ids)
    assert (spoilt.claimed_s, spoilt.attempt) == (None, 0)
    desk.client.hset(key, "state", "resting")
    assert [one.run_id for one in desk.ledger.records([*queued.run_ids, *whole.run_ids])] == [*whole.run_ids]
    desk.client.hset(key, "state", "queued")
    desk.client.rpush(run_key("0000a-list-0000"), "x")
    assert len(desk.ledger.records(["0000a-list-0000", *whole.run_ids])) == 1
    assert len(list(desk.ledger.records_with_payloads(["0000a-list-0000", *whole.run_ids]))) == 1
    desk.client.delete(run_key("0000a-list-0000"))
    desk.ledger.cancel(whole.run_ids[0])


def blobs(client):
    return list(client.keys("likewise:blob:*"))


def test_what_has_not_ended_outlives_the_retention_with_its_data_and_results(start_redis):
    """A run that waits for longer than results are kept must not vanish, nor what it is compared with."""
    server = start_redis(append_only=False)
    own = Desk(server.url, server.url_of("producer"))
    client, retention_s = own.client, own.ledger.retention_s
    record = own.submit(frameworks=("nobody", "nowhere"), queue_anyway=True, key="nightly")
    experiment, first, second = experiment_key(record.experiment_id), *map(run_key, record.run_ids)
    keyed = submission_key("nightly")
    data = blobs(client)
    assert any(key.endswith(b":0") for key in data)
    assert min(client.ttl(key) for key in (experiment, first, second, keyed, *data)) > retention_s

    ref = own.blobs.put(np.arange(3_000.0))
    worker = connect(server.url_of("worker"))
    leases = Leases(worker, worker_id="w", host="h", lease_s=60)
    claim = leases.claim(record.run_ids[0], pid=1)
    end = RunEnd(state="succeeded", payload=f'{{"array": {ref.model_dump_json()}}}')
    assert leases.finish(claim.run_id, fence=claim.fence, end=end)
    whole = (experiment, first, second, keyed, result_key(record.run_ids[0]), *blobs(client))
    assert len(blobs(client)) == len(data) + 2
    assert min(client.ttl(key) for key in whole) > retention_s
    again = leases.claim(record.run_ids[1], pid=1)
    assert leases.finish(again.run_id, fence=again.fence, end=RunEnd(state="succeeded", payload="{}"))
    assert blobs(client)
    assert max(client.ttl(key) for key in whole) <= retention_s
    assert min(client.ttl(key) for key in whole) > retention_s - 60
    worker.close()
    own.close()


def test_data_live_for_as_long_as_any_experiment_wants_them(start_redis, desk_at):
    """Those of a run that waits, and those of an experiment that is kept for longer than another one is."""
    own = desk_at(start_redis(append_only=False).url)
    client, retention_s = own.client, own.ledger.retention_s
    brief = desk_at(own.url)
    brief.ledger = Ledger(brief.client, retention_s=100)
    brief.blobs = BlobStore(brief.client, url=None, redis_limit_bytes=2**20, retention_s=100)

    def ended(desk):
        record = desk.submit(frameworks=("nobody",), queue_anyway=True)
        desk.ledger.cancel(record.run_ids[0])
        return record

    waiting = own.submit(frameworks=("nobody",), queue_anyway=True)
    ended(brief)
    assert min(map(client.ttl, blobs(client))) > retention_s, "another waits for them"
    own.ledger.cancel(waiting.run_ids[0])
    ended(brief)
    assert retention_s - 60 < min(map(client.ttl, blobs(client))) <= retention_s, "they are kept for another"
    assert max(map(client.ttl, blobs(client))) <= retention_s


def test_arrays_that_nothing_came_to_refer_to_have_an_end(desk):
    """As those of a submission that died half-way. No other test has the same."""
    ref = desk.blobs.put(np.random.default_rng().standard_normal(8))
    assert 0 < desk.client.ttl(blob_key(ref.sha256, 0)) <= desk.ledger.retention_s
    assert not desk.client.exists(wanted_key(ref.sha256))


def test_a_script_that_redis_forgets_while_it_is_called_is_given_to_it_again(desk, monkeypatch):
    """As where another server takes over between the loading of a script and its call."""
    loaded: list[str] = []
    load = desk.client.script_load

    def load_and_forget(text: str) -> str:
        loaded.append(load(text))
        if len(loaded) < 3:
            desk.client.script_flush()
        return loaded[-1]

    monkeypatch.setattr(desk.client, "script_load", load_and_forget)
    desk.client.script_flush()
    assert script(desk.client, "cancel")(keys=[run_key("nothing")], args=[]) == b""
    assert len(loaded) == 3
