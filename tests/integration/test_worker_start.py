"""A worker that cannot work says why in one line and exits with the status of the reason."""

from __future__ import annotations

import pytest


def ended(worker) -> tuple[int, str]:
    status = worker.process.wait(timeout=90)
    said = worker.log.read_text()
    assert "Traceback" not in said
    assert sum(line.startswith("likewise worker:") for line in said.splitlines()) == 1
    return status, said


def test_without_a_redis_it_says_where_it_looked(start_worker):
    status, said = ended(start_worker("torch", "redis://:pw@127.0.0.1:1/0"))
    assert status == 4
    assert "127.0.0.1:1 cannot be reached" in said


def test_a_redis_that_keeps_nothing_is_refused_unless_allowed(start_worker, start_redis, desk_at):
    own = start_redis(append_only=False)
    status, said = ended(start_worker("torch", own.url))
    assert status == 4
    assert "appendonly" in said
    desk = desk_at(own.url)
    allowed = start_worker("torch", own.url, LIKEWISE_ALLOW_VOLATILE_REDIS="true")
    allowed.wait_until("idle", desk.ledger)
    assert allowed.terminate() == 0


def test_a_redis_that_evicts_is_refused(start_worker, start_redis):
    status, said = ended(start_worker("torch", start_redis(policy="allkeys-lru").url))
    assert status == 4
    assert "noeviction" in said


@pytest.mark.parametrize("given", ["jax", ""])
def test_a_framework_without_an_adapter_is_named(start_worker, redis_server, given):
    status, said = ended(start_worker("torch", redis_server.url, LIKEWISE_FRAMEWORK=given))
    assert status == 2
    assert "LIKEWISE_FRAMEWORK" in said
    assert "tensorflow, torch" in said


def test_a_setting_that_means_nothing_is_named(start_worker, redis_server):
    status, said = ended(start_worker("torch", redis_server.url, LIKEWISE_LEASE_S="soon"))
    assert status == 2
    assert "LIKEWISE_LEASE_S" in said


def test_a_heartbeat_file_that_cannot_be_written_is_refused(start_worker, redis_server, tmp_path):
    file = tmp_path / "absent" / "heartbeat"
    status, said = ended(start_worker("torch", redis_server.url, LIKEWISE_HEARTBEAT_FILE=str(file)))
    assert status == 2
    assert f"LIKEWISE_HEARTBEAT_FILE is '{file}'" in said


def test_a_framework_that_cannot_be_started_ends_the_worker(start_worker, redis_server, desk):
    """There is no GPU here: the child finds out, the parent says so."""
    worker = start_worker("torch", redis_server.url, LIKEWISE_DEVICE="cuda")
    status = worker.process.wait(timeout=90)
    said = worker.log.read_text()
    if status == 0:
        pytest.skip("there is a GPU here")
    assert status == 4
    assert "likewise worker: torch cannot be started here" in said
    assert worker.presence(desk.ledger) is None


def test_a_starting_worker_takes_no_runs(start_worker, start_redis, desk_at):
    own = start_redis()
    desk = desk_at(own.url)
    record = desk.submit(queue_anyway=True)
    worker = start_worker("torch", own.url)
    worker.wait_until("starting", desk.ledger)
    assert desk.client.llen("train.torch.any") == 1
    worker.wait_until("idle", desk.ledger)
    desk.wait(record, "succeeded", within_s=20)
    assert worker.terminate() == 0
    assert desk.ledger.workers() == []
