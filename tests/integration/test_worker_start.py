"""A worker that cannot work says why in one line and exits with the status of the reason."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from likewise.producer.doctor import examine
from likewise.shared.names import lane_of, messages_key
from likewise.shared.settings import Settings

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize("user", ["producer", "monitor"])
def test_a_user_of_redis_who_may_not_work_is_told_so(start_worker, redis_server, user):
    status, said = ended(start_worker("torch", redis_server.url_of(user)))
    assert status == 4
    assert "a worker needs the rights of the user worker" in said


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


def test_a_worker_for_a_gpu_says_before_its_framework_is_loaded_that_there_is_none(
    start_worker, redis_server
):
    status, said = ended(start_worker("torch", redis_server.url, LIKEWISE_DEVICE="cuda", PATH="/nowhere"))
    assert status == 4
    assert "LIKEWISE_DEVICE is cuda, and nvidia-smi shows no GPU here" in said


def test_a_framework_that_cannot_be_started_ends_the_worker(start_worker, redis_server, desk, tmp_path):
    """A GPU is listed, and the package is for the CPU: the child finds out, the parent says so."""
    listing = tmp_path / "nvidia-smi"
    listing.write_text("#!/bin/sh\necho '0, GPU-8f6a, NVIDIA H200, 580.95.05, 9.0, 143771'\n")
    listing.chmod(0o755)
    worker = start_worker(
        "torch", redis_server.url, LIKEWISE_DEVICE="cuda", PATH=f"{tmp_path}:{os.environ['PATH']}"
    )
    status = worker.process.wait(timeout=90)
    said = worker.log.read_text()
    assert status == 4
    assert "likewise worker: torch cannot be started here: PyTorch finds no GPU here, since its" in said
    assert worker.presence(desk.ledger) is None


def test_a_starting_worker_takes_no_runs(start_worker, start_redis, desk_at):
    own = start_redis()
    desk = desk_at(own.url)
    record = desk.submit(queue_anyway=True)
    worker = start_worker("torch", own.url)
    worker.wait_until("starting", desk.ledger)
    assert desk.client.llen(messages_key(lane_of("train.torch.any", "normal"))) == 1
    worker.wait_until("idle", desk.ledger)
    desk.wait(record, "succeeded", within_s=20)
    assert worker.terminate() == 0
    assert desk.ledger.workers() == []


def test_the_heartbeat_file_is_touched_only_while_the_child_can_train(
    start_worker, start_redis, desk_at, tmp_path, until
):
    desk = desk_at(start_redis().url)
    file = tmp_path / "heartbeat"
    settings = {"LIKEWISE_HEARTBEAT_FILE": str(file), "LIKEWISE_PATIENCE_S": "4"}
    worker = start_worker("torch", desk.url, **settings)

    def state_at_the_first_touch() -> str:
        until(file.exists, within_s=90, what="the file is touched")
        return worker.presence(desk.ledger).state

    assert state_at_the_first_touch() == "idle"
    os.kill(worker.child_pid(desk.ledger), signal.SIGSTOP)
    worker.wait_until("stuck", desk.ledger)
    file.unlink()
    assert state_at_the_first_touch() == "idle"  # of the child that was started instead


def test_doctor_tells_a_worker_of_other_code(start_worker, redis_server, desk, tmp_path):
    """Its code is a copy, one line longer, as that of an image that was not rebuilt may be shorter."""
    copy = tmp_path / "old" / "likewise"
    for part in ("shared", "worker"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__init__.py").touch()
    names = copy / "shared" / "names.py"
    names.write_text(names.read_text() + "\n")
    old = start_worker("torch", redis_server.url, PYTHONPATH=str(copy.parent)).wait_until("idle", desk.ledger)
    new = start_worker("torch", redis_server.url).wait_until("idle", desk.ledger)

    found = examine(Settings(redis_url=redis_server.url))
    state = {pid: one.state for one in found for pid in (old.pid, new.pid) if f"pid {pid} " in one.found}
    assert state == {old.pid: "wrong", new.pid: "ok"}
    (told,) = [one for one in found if one.state == "wrong"]
    assert "its code is another than this producer's" in told.found
    assert told.mend == "start it again, with the code of this producer"
