"""Redis that is not there, refuses, or would lose runs: one clear line, soon, and never the password."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

import pytest

from likewise.shared.connection import connect, redis_url
from likewise.shared.errors import RedisError, UsageError
from likewise.shared.settings import Settings


@pytest.fixture
def refused(promptly):
    """What `connect` says of an address it refuses, within two seconds."""

    def refused(url: str) -> str:
        said: list[str] = []

        def took_s() -> float:
            begin = time.perf_counter()
            with pytest.raises(RedisError) as caught:
                connect(url)
            said.append(str(caught.value))
            return time.perf_counter() - begin

        promptly(took_s, within_s=2.0)
        return said[-1]

    return refused


def test_nobody_listening_is_told_with_the_address_and_the_way_out(refused):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = refused(f"redis://:secret-word@127.0.0.1:{port}/0")
    assert f"127.0.0.1:{port}" in said
    assert "LIKEWISE_REDIS_URL" in said
    assert "secret-word" not in said


def test_a_host_that_swallows_packets_is_given_up_within_two_seconds(refused):
    with ExitStack() as sockets:
        full, *fillers = (sockets.enter_context(socket.socket()) for _ in range(5))
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        refused(f"redis://:pw@127.0.0.1:{port}/0")


def test_a_host_that_accepts_and_says_nothing_is_given_up(refused):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        assert "does not answer" in refused(f"redis://:pw@127.0.0.1:{mute.getsockname()[1]}/0")


def test_another_kind_of_server_is_told_apart(refused):
    with socket.create_server(("127.0.0.1", 0)) as web:

        def answer_as_a_web_server() -> None:
            while web.fileno() >= 0:
                with suppress(OSError), web.accept()[0] as caller:  # who may not wait for an answer
                    caller.recv(4096)
                    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        Thread(target=answer_as_a_web_server, daemon=True).start()
        assert "is no Redis" in refused(f"redis://:pw@127.0.0.1:{web.getsockname()[1]}/0")


def test_a_wrong_password_is_told_apart(redis_server, refused):
    said = refused(redis_server.url.replace(redis_server.password, "wrong-word"))
    assert "password" in said
    assert "wrong-word" not in said


def test_an_address_that_is_none_is_told(refused):
    assert "redis://" in refused("redis.example.org")


def test_a_client_that_loses_its_redis_raises_our_error_within_two_seconds(start_redis, promptly):
    own = start_redis()
    client = connect(own.url)
    own.kill()

    def took_s():
        begin = time.perf_counter()
        with pytest.raises(RedisError, match="cannot be reached"):
            client.get("x")
        with pytest.raises(RedisError, match="cannot be reached"), client.pipeline() as pipe:
            pipe.get("x").execute()
        return time.perf_counter() - begin

    promptly(took_s, within_s=4.0)
    own.start()
    assert client.get("x") is None
    client.close()


def test_a_submission_to_a_dead_redis_fails_within_two_seconds(start_redis, desk_at, promptly):
    own = start_redis()
    desk = desk_at(own.url)
    own.kill()

    def took_s():
        begin = time.perf_counter()
        with pytest.raises(RedisError):
            desk.submit()
        return time.perf_counter() - begin

    promptly(took_s, within_s=2.0)
    own.start()


def test_a_full_redis_is_told(start_redis):
    own = start_redis(policy="noeviction")
    client = connect(own.url)
    client.config_set("maxmemory", "1")
    with pytest.raises(RedisError, match="full"):
        client.set("x", b"x" * 1000)
    client.close()


def test_the_password_file_goes_into_the_url(tmp_path: Path, redis_server):
    secret = tmp_path / "password"
    secret.write_text(redis_server.password + "\n")
    bare = f"redis://127.0.0.1:{redis_server.port}/0"
    connect(redis_url(Settings(redis_url=bare, redis_password_file=secret))).close()
    with pytest.raises(UsageError, match="LIKEWISE_REDIS_PASSWORD_FILE"):
        redis_url(Settings(redis_url=bare, redis_password_file=tmp_path / "absent"))
