"""A timed run has its host to itself."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import NamedTuple

import pytest

from likewise.producer.port.holding import held
from likewise.shared.ledger.host_lease import HostLease
from likewise.shared.ledger.leases import Claim, Leases, Refused, RunEnd
from likewise.shared.ledger.records import WorkerPresence, announce_worker, withdraw_worker
from likewise.shared.names import child_key, host_key

HOST = "lease-test-host"


@pytest.fixture
def runs(desk):
    """An ordinary and a timed run that no real worker will take."""
    from likewise.producer.runs.submit import Submission, enqueue, new_id

    record = desk.submit(frameworks=("nobody",), queue_anyway=True)
    ordinary = desk.ledger.run(record.run_ids[0])
    experiment_id = new_id()
    timed = ordinary.model_copy(update={"run_id": new_id(), "experiment_id": experiment_id, "timed": "cold"})
    of_timed = record.model_copy(update={"experiment_id": experiment_id, "run_ids": (timed.run_id,)})
    enqueue(desk, Submission(record=of_timed, runs=[timed]))
    yield ordinary.run_id, timed.run_id
    for run_id in (ordinary.run_id, timed.run_id):
        desk.ledger.cancel(run_id)
    desk.client.delete("train.nobody.any", host_key(HOST))


@pytest.fixture
def worker(desk):
    """Workers of one host, present in Redis as real ones are."""

    def of(name: str, *, host: str = HOST) -> Leases:
        presence = WorkerPresence(
            worker_id=name, framework="nobody", device="cpu", queues=("train.nobody.any",), host=host,
            pid=1, versions={}, threads=1, state="idle", started_s=0, seen_s=0,
        )  # fmt: skip
        announce_worker(desk.client, name, presence.model_dump_json(), lives_s=60)
        return Leases(desk.client, worker_id=name, host=host, lease_s=60)

    yield of
    for name in ("one", "other", "far"):
        withdraw_worker(desk.client, name)
        desk.client.delete(child_key(name))


def lease(desk, name: str) -> HostLease:
    return HostLease(desk.client, host=HOST, holder=name)


def test_a_timed_run_is_claimed_only_by_who_has_the_host(desk, runs, worker):
    _, timed = runs
    assert worker("one").claim(timed, pid=1) == Refused(state="host_needed")
    with lease(desk, "one"):
        assert isinstance(worker("one").claim(timed, pid=1), Claim)


def test_meanwhile_no_other_worker_of_the_host_claims_anything_but_other_hosts_go_on(desk, runs, worker):
    ordinary, _ = runs
    with lease(desk, "one"):
        assert worker("other").claim(ordinary, pid=1) == Refused(state="host_taken")
        assert isinstance(worker("far", host="elsewhere").claim(ordinary, pid=1), Claim)


class Program(NamedTuple):
    """A program of the user's that is timed, hosted here or by a worker."""

    label: str
    where: str


def test_two_programs_that_are_timed_have_the_machines_of_both_to_themselves(desk, runs, worker):
    ordinary, timed = runs
    hosting, other, far = worker("one"), worker("other"), worker("far", host="elsewhere")
    hosting.client.hset(child_key("one"), "run_id", "a program that it hosts")
    said: list[str] = []
    programs = [Program("keras", "this machine"), Program("torch", "one")]
    machines = {"keras": "elsewhere", "torch": "what its kernel says"}
    with held(programs, machines, own=None, opens=lambda: nullcontext(desk), tell=said.append) as notes:
        assert notes == ["the programs run on other machines: elsewhere and lease-test-host"]
        assert other.claim(ordinary, pid=1) == Refused(state="host_taken")
        assert far.claim(ordinary, pid=1) == Refused(state="host_taken")
    assert said == []
    assert isinstance(far.claim(ordinary, pid=1), Claim)
    with HostLease(desk.client, host=HOST, holder="other", besides=["one"]):
        assert isinstance(other.claim(timed, pid=1), Claim)
    told = threading.Event()
    held_now = threading.Event()

    def wait_for_it() -> None:
        with held(
            [programs[1]], machines, own=None, opens=lambda: nullcontext(desk), tell=lambda _: told.set()
        ):
            held_now.set()

    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    assert told.wait(30)  # the other worker trains there
    assert not held_now.is_set()
    desk.client.delete(child_key("other"))
    assert held_now.wait(30)
    waiting.join(30)


def test_afterwards_they_go_on(desk, runs, worker):
    ordinary, _ = runs
    with lease(desk, "one"):
        pass
    assert isinstance(worker("other").claim(ordinary, pid=1), Claim)


def test_the_lease_waits_until_a_run_in_hand_is_done(desk, runs, worker):
    ordinary, _ = runs
    other = worker("other")
    claim = other.claim(ordinary, pid=1)
    assert isinstance(claim, Claim)
    alone, leave = threading.Event(), threading.Event()

    def measure() -> None:
        with lease(desk, "one"):
            alone.set()
            leave.wait(20)

    thread = threading.Thread(target=measure)
    thread.start()
    assert not alone.wait(0.5)
    other.finish(ordinary, fence=claim.fence, end=RunEnd(state="succeeded", payload="{}"))
    assert alone.wait(5)
    leave.set()
    thread.join(5)


def test_of_two_timed_runs_one_waits_for_the_other(desk, worker):
    for name in ("one", "other"):
        worker(name)
    inside, most = [], []

    def measure(name: str) -> None:
        with lease(desk, name):
            inside.append(name)
            most.append(len(inside))
            threading.Event().wait(0.2)
            inside.remove(name)

    threads = [threading.Thread(target=measure, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1, 1]


def test_a_dead_holder_loses_the_host(desk, monkeypatch):
    monkeypatch.setattr("likewise.shared.ledger.host_lease.LIFETIME_S", 0.3)
    monkeypatch.setattr("likewise.shared.ledger.host_lease.RENEW_S", 60.0)
    dead = lease(desk, "one")
    dead.__enter__()
    try:
        done = threading.Event()

        def measure() -> None:
            with lease(desk, "other"):
                done.set()

        thread = threading.Thread(target=measure)
        thread.start()
        assert done.wait(5)
        thread.join(5)
    finally:
        dead.__exit__(None, None, None)


def test_a_real_worker_trains_a_timed_run_and_says_what_disturbed_it(desk, torch_worker, until):
    from likewise.producer.runs.submit import Submission, enqueue, new_id

    first = desk.submit()
    desk.wait(first, "succeeded", within_s=20)
    run = desk.ledger.run(first.run_ids[0])
    experiment_id = new_id()
    timed = run.model_copy(update={"run_id": new_id(), "experiment_id": experiment_id, "timed": "cold"})
    record = first.model_copy(update={"experiment_id": experiment_id, "run_ids": (timed.run_id,)})
    enqueue(desk, Submission(record=record, runs=[timed]))
    desk.wait(record, "succeeded", within_s=20)
    result = desk.result(record)
    assert result.conditions.wall_s > 0
    assert result.conditions.cores >= 1
    assert result.environment.import_s > 0
    assert desk.result(first).conditions is None
    host = torch_worker.presence(desk.ledger).host
    until(lambda: not desk.client.exists(host_key(host)), within_s=2, what="the host is given back")
