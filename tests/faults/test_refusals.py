"""A Redis that is there and refuses is waited out: no worker ends, and no result is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from likewise.producer.cli.app import app
from likewise.producer.doctor import REFUSALS as REFUSALS_TOLD
from likewise.producer.doctor import Finding, examine
from likewise.producer.local.private_redis import bundled_program
from likewise.producer.session import open_running
from likewise.shared.connection import connect
from likewise.shared.errors import RedisError, RefusedByRedisError
from likewise.shared.names import DEAD_LETTERS, WORKERS, run_key
from likewise.shared.settings import Settings
from likewise.worker.service.spool import Spool, SpooledResult
from tests.faults.busy import busy_with_a_script, loading_for_minutes

SOME_SECONDS = 100_000
"""Epochs in NumPy."""


@contextmanager
def full(server: Any) -> Iterator[None]:
    with connect(server.url) as client:
        client.config_set("maxmemory", "1mb")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


@contextmanager
def without_disk(server: Any) -> Iterator[None]:
    """Its snapshots fail: a folder lies where the file should."""
    with connect(server.url) as client:
        snapshot = server.folder / "dump.rdb"
        (snapshot / "x").mkdir(parents=True)
        client.config_set("save", "3600 1")
        client.bgsave()
        while client.info("persistence")["rdb_last_bgsave_status"] != "err":
            pass
        try:
            yield
        finally:
            client.config_set("save", "")
            (snapshot / "x").rmdir()
            snapshot.rmdir()
            client.save()  # which it remembers as its last one, that went well
            snapshot.unlink()


@contextmanager
def read_only(server: Any) -> Iterator[None]:
    with connect(server.url) as client:
        client.replicaof("127.0.0.1", "1")
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def without_replicas(server: Any) -> Iterator[None]:
    with connect(server.url) as client:
        client.config_set("min-replicas-to-write", "1")
        try:
            yield
        finally:
            client.config_set("min-replicas-to-write", "0")


@contextmanager
def forbidden(server: Any) -> Iterator[None]:
    with connect(server.url) as client:
        for user in ("default", "worker"):
            client.execute_command("ACL", "SETUSER", user, "-brpop", "-evalsha", "-eval")
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@all")
            client.execute_command("ACL", "SETUSER", "worker", "+brpop", "+evalsha")


def busy(server: Any) -> AbstractContextManager[None]:
    """Somebody's script runs and runs."""
    return busy_with_a_script(server.url)


REFUSALS = {
    "OOM": full, "MISCONF": without_disk, "READONLY": read_only, "NOREPLICAS": without_replicas,
    "NOPERM": forbidden, "BUSY": busy,
}  # fmt: skip


@pytest.fixture(scope="module")
def refusing(stack: Any) -> Any:
    """A stack with a worker."""
    return stack, stack.worker().wait_until("idle", stack.desk.ledger)


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_known_in_a_command_a_pipeline_and_a_script(refusing: Any, code: str) -> None:
    stack, _ = refusing
    own, desk = stack.server, stack.desk
    with connect(own.url) as client, REFUSALS[code](own):
        with pytest.raises(RefusedByRedisError) as alone:
            client.brpop("x", timeout=0.01) if code == "NOPERM" else client.set("x", "y")
        assert alone.value.code == code
        with client.pipeline() as pipe:
            pipe.brpop("x", timeout=0.01) if code == "NOPERM" else pipe.set("x", "y")
            with pytest.raises(RefusedByRedisError) as together:
                pipe.execute()
        assert together.value.code == code
        with pytest.raises(RefusedByRedisError) as scripted:
            client.register_script("return redis.call('SET', KEYS[1], 'y')")(keys=["x"])
        assert scripted.value.code == code
    assert desk.client.set("x", "y")


@pytest.mark.parametrize("code", REFUSALS)
def test_a_worker_waits_a_refusal_out_and_keeps_its_result(refusing: Any, until: Any, code: str) -> None:
    stack, worker = refusing
    own, desk = stack.server, stack.desk
    record = stack.submit(epochs=SOME_SECONDS)
    desk.wait(record, "leased", within_s=20)
    said = len(worker.log.read_text())
    with REFUSALS[code](own):
        until(lambda: "; trying again\n" in worker.log.read_text()[said:], within_s=60, what="a refusal")
    desk.wait(record, "succeeded", within_s=30)
    assert desk.result(record).attempt == 1
    assert worker.process.poll() is None
    desk.wait(stack.submit(), "succeeded", within_s=30)


@contextmanager
def without_a_command(server: Any) -> Iterator[None]:
    """A producer may do all that it has to but call scripts."""
    with connect(server.url) as client:
        client.execute_command("ACL", "SETUSER", "producer", "-evalsha")
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "producer", "+evalsha")


@pytest.fixture(scope="module")
def nobody(start_redis: Any) -> Any:
    """A Redis without workers, which answers while it loads, as servers do since Redis 7."""
    return start_redis(program=bundled_program())


@pytest.mark.parametrize("code", ["OOM", "READONLY", "NOREPLICAS", "NOPERM", "BUSY", "LOADING", "MISCONF"])
def test_a_producer_is_told_the_refusal_and_not_to_start_workers(
    nobody: Any, code: str, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a change a worker says that it is there: none is seen meanwhile, though all run."""
    faults = {**REFUSALS, "LOADING": loading_for_minutes, "NOPERM": without_a_command}
    settings = Settings(redis_url=nobody.url_of("producer"))
    monkeypatch.setenv("LIKEWISE_REDIS_URL", nobody.url_of("producer"))
    with faults[code](nobody):
        until(lambda: code != "LOADING" or refused_with(nobody.url) == code, within_s=20, what="it loads")
        found = examine(settings)
        told = [one for one in found if one.link == REFUSALS_TOLD]
        workers = CliRunner().invoke(app, ["workers"])
        with pytest.raises(RefusedByRedisError) as asked, open_running(settings) as session:
            session.ledger.workers()
    assert not [one for one in found if "none is live" in one.found]
    assert told[0].state == "wrong"
    assert f"{told[0].found}; {told[0].mend}" == str(asked.value)
    assert asked.value.code == code
    assert str(asked.value) in (str(workers.exception), workers.stderr.strip().partition("changes: ")[2])
    if code == "NOPERM":
        assert "(the command EVALSHA)" in str(asked.value)
    assert not [one for one in examine(settings) if one.link == REFUSALS_TOLD]


def refused_with(url: str) -> str | None:
    try:
        connect(url).close()
    except RefusedByRedisError as refused:
        return refused.code
    except RedisError:
        return None
    return ""


def test_a_monitor_is_told_what_can_be_seen_of_a_refusal(nobody: Any) -> None:
    """It may change nothing, so its changes are refused in any case."""
    settings = Settings(redis_url=nobody.url_of("monitor"))
    assert "none is live" in found_of(settings)["workers"].found
    with without_replicas(nobody):
        found = found_of(settings)
    assert "min-replicas-to-write" in found[REFUSALS_TOLD].found
    assert found["workers"].state == "note"
    assert "Redis refuses changes" in found["workers"].found


def test_a_worker_that_has_gone_silent_is_named(nobody: Any) -> None:
    """Redis may refuse its user alone, which nobody else can see."""
    with connect(nobody.url) as client:
        client.sadd(WORKERS, "torch-cpu-there-123abc")
        found = found_of(Settings(redis_url=nobody.url_of("producer")))["workers"]
        client.srem(WORKERS, "torch-cpu-there-123abc")
    assert found.state == "wrong"
    assert found.found == "none is live; torch-cpu-there-123abc has gone silent"
    assert str(found.mend).startswith("see the log there: Redis may refuse its user")


def found_of(settings: Settings) -> dict[str, Finding]:
    return {one.link: one for one in examine(settings)}


def test_an_idle_worker_waits_a_refusal_out(refusing: Any, until: Any) -> None:
    stack, worker = refusing
    own, desk = stack.server, stack.desk
    worker.wait_until("idle", desk.ledger)
    said = len(worker.log.read_text())
    with REFUSALS["READONLY"](own):
        until(
            lambda: "no message can be taken" in worker.log.read_text()[said:],
            within_s=20,
            what="a word of it",
        )
    assert worker.process.poll() is None
    desk.wait(stack.submit(), "succeeded", within_s=30)


def test_a_replica_is_left_without_taking_connections_from_other_threads(stack: Any) -> None:
    """A thread whose connection is closed while it reads gets an error that is none of Redis's."""
    with connect(stack.server.url) as client, read_only(stack.server):
        in_use = client.connection_pool.get_connection()
        in_use.send_command("XREAD", "BLOCK", 200, "STREAMS", "nothing", "0")
        with pytest.raises(RefusedByRedisError):
            client.set("x", "y")
        assert in_use.read_response() is None
        client.connection_pool.release(in_use)
        assert client.ping()


def test_a_result_that_a_killed_worker_could_not_send_is_sent_when_it_starts_again(
    start_stack: Any, until: Any
) -> None:
    """It was trained once: whoever trains it again would need a second attempt."""
    stack = start_stack()
    own, desk = stack.server, stack.desk
    cache = str(stack.folder / "cache")
    first = stack.worker(LIKEWISE_CACHE_DIR=cache).wait_until("idle", desk.ledger)
    record = stack.submit(epochs=SOME_SECONDS)
    desk.wait(record, "leased", within_s=20)
    with without_replicas(own):
        until(lambda: "; trying again\n" in first.log.read_text(), within_s=60, what="the result is finished")
        first.kill_group()
    second = stack.worker(LIKEWISE_CACHE_DIR=cache)
    ended = desk.wait(record, "succeeded", within_s=90)
    assert ended.attempt == 1
    assert desk.table(record).epochs[0] == SOME_SECONDS
    assert "its result was left on disk" in second.log.read_text()
    spool = stack.folder / "cache" / "spool"  # a file is removed a little after Redis has it
    until(lambda: not list(spool.iterdir()), within_s=20, what="the result is on disk no more")


def test_a_result_on_disk_is_left_for_a_worker_of_its_own_redis(start_stack: Any, until: Any) -> None:
    """Workers of two Redis servers may share a disk."""
    stack = start_stack()
    cache = stack.folder / "cache"
    left = SpooledResult(
        run_id="0123456789abcdef0123", fence=1, state="succeeded", failure=None, payload="{}"
    )
    kept = Spool(cache / "spool", retention_s=60).keep(left)
    assert kept is not None
    kept.leave()
    worker = stack.worker(LIKEWISE_CACHE_DIR=str(cache))
    until(lambda: "was left on disk" in worker.log.read_text(), within_s=90, what="it is found")
    stack.desk.wait(stack.submit(), "succeeded", within_s=30)
    assert kept.path.exists()


def test_a_record_that_cannot_be_claimed_ends_nobody(refusing: Any, until: Any) -> None:
    from likewise.shared.celery_app import send_wakeups

    stack, worker = refusing
    desk = stack.desk
    desk.client.rpush(run_key("0000a-list-0000"), "x")
    before = desk.client.xlen(DEAD_LETTERS)
    send_wakeups(desk.app, [("0000a-list-0000", "train.faulty.any")])
    until(lambda: desk.client.xlen(DEAD_LETTERS) > before, within_s=10, what="a dead letter")
    desk.wait(stack.submit(), "succeeded", within_s=20)
    assert worker.process.poll() is None
    desk.client.delete(run_key("0000a-list-0000"))
