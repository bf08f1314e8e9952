"""A command that waits for a worker says for whom."""

from __future__ import annotations

import pytest

from likewise.producer.runs import follow as following
from likewise.producer.runs.follow import Noticed, follow, why_waiting
from likewise.shared.ledger.leases import Claim, Leases
from likewise.shared.ledger.records import WorkerPresence, announce_worker, withdraw_worker
from likewise.shared.names import child_key, host_key, lanes_of, messages_key

QUEUE = "train.nobody.any"
HOST = "waits-test-host"


@pytest.fixture
def present(desk):
    """Workers of one host, present in Redis as real ones are."""
    names = []

    def of(name: str, *, run_id: str | None = None) -> Leases:
        names.append(name)
        presence = WorkerPresence(
            worker_id=name, framework="nobody", device="cpu", queues=(QUEUE,), host=HOST, pid=1, versions={},
            threads=1, state="busy" if run_id else "idle", run_id=run_id, started_s=0, seen_s=0,
        )  # fmt: skip
        announce_worker(desk.client, name, presence.model_dump_json(), lives_s=60)
        return Leases(desk.client, worker_id=name, host=HOST, lease_s=60)

    yield of
    for name in names:
        withdraw_worker(desk.client, name)
        desk.client.delete(child_key(name))
    desk.client.delete(host_key(HOST), *map(messages_key, lanes_of(QUEUE)))


@pytest.fixture
def runs(desk):
    """Of two experiments; the first is submitted first."""
    records = [desk.submit(frameworks=("nobody",), queue_anyway=True) for _ in range(2)]
    yield records
    for record in records:
        for run_id in record.run_ids:
            desk.ledger.cancel(run_id)


@pytest.fixture
def word(desk, monkeypatch):
    """What is said to one who follows the experiment."""
    monkeypatch.setattr(following, "SILENCE_S", 0.0)
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.1)

    def of(record) -> str:
        for update in follow(record, ledger=desk.ledger, client=desk.client):
            if isinstance(update, Noticed):
                return update.text
        raise AssertionError("it ended without a word")

    return of


def test_a_busy_worker_is_named_by_what_it_trains(desk, present, runs, word):
    first, second = runs
    (run_id,) = first.run_ids
    assert isinstance(present("one").claim(run_id, pid=1), Claim)
    present("one", run_id=run_id)
    assert word(second) == f"its worker is busy with experiment {first.experiment_id}"
    third = desk.submit(frameworks=("nobody",), queue_anyway=True)
    assert word(third) == f"its worker is busy with experiment {first.experiment_id}; 1 run comes before it"
    desk.ledger.cancel(third.run_ids[0])
    present("other", run_id=run_id)
    assert word(second) == f"its 2 workers are busy with experiment {first.experiment_id}"


def test_a_host_that_is_held_for_a_timed_run_is_named_with_its_holder(desk, present, runs, word):
    present("one")
    present("timing")
    desk.client.set(host_key(HOST), "timing")
    assert word(runs[1]) == f"host {HOST} is held for a timed run of timing"


def test_a_holder_that_waits_itself_says_for_whom(desk, present, runs, word):
    present("timing")
    present("one", run_id=runs[0].run_ids[0])
    desk.client.set(host_key(HOST), "timing")
    held = f"host {HOST} is held for a timed run of timing, which waits until one is done"
    assert word(runs[1]) == held


def test_while_a_worker_is_free_or_trains_for_the_same_experiment_nothing_is_said(desk, present, runs):
    first, second = (desk.ledger.records(record.run_ids)[0] for record in runs)
    present("one", run_id=first.run_id)
    assert why_waiting(second, desk.ledger.workers(), ledger=desk.ledger) is not None
    assert why_waiting(first, desk.ledger.workers(), ledger=desk.ledger) is None
    present("other")
    assert why_waiting(second, desk.ledger.workers(), ledger=desk.ledger) is None
