"""A Redis that is busy: with somebody's script that has no end, or with loading its data."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from likewise.shared.connection import connect
from likewise.shared.errors import RefusedByRedisError

LIMIT = "lua-time-limit"


@contextmanager
def busy_with_a_script(url: str) -> Iterator[None]:
    """Run a script that does not end, from when Redis refuses all else for it until it is killed.

    Who sends it has a client that tries once: a client of ours tries again where no answer comes, and would
    begin another script after the kill.
    """
    once = redis.Redis.from_url(url, retry=Retry(NoBackoff(), retries=0))
    with connect(url) as client, once:
        before = client.config_get(LIMIT)
        client.config_set(LIMIT, "50")

        def loop() -> None:
            with suppress(redis.RedisError):
                once.execute_command("EVAL", "while true do end", 0)

        script = threading.Thread(target=loop, daemon=True)
        script.start()
        try:
            while not _refuses(client):
                time.sleep(0.01)
            yield
        finally:
            client.execute_command("SCRIPT", "KILL")
            while _refuses(client):  # it is killed a little after the answer
                time.sleep(0.01)
            script.join()
            client.config_set(LIMIT, before[LIMIT])


def _refuses(client: redis.Redis) -> bool:
    try:
        client.ping()
    except RefusedByRedisError:
        return True
    return False


SLOW_KEYS = 2_000
"""Twenty of them are loaded in a second."""


@contextmanager
def loading_for_minutes(server: Any) -> Iterator[None]:
    """Kill a server, have it load from a snapshot with many keys, and at the end start it as it was.

    Before version 7 it answers nobody meanwhile; since then it says that it is loading.
    """
    keys = [f"likewise:nothing:{number}" for number in range(SLOW_KEYS)]
    with connect(server.url) as client, client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.set(key, secrets.token_bytes(1_100))
        pipe.save()
        pipe.delete(*keys)
        pipe.execute()
    server.kill()
    answers = ("--loading-process-events-interval-bytes", "1024") if server.version >= (7, 0) else ()
    server.spawn("--appendonly", "no", "--key-load-delay", "50000", *answers)
    try:
        yield
        assert server.alive
    finally:
        server.kill()
        (server.folder / "dump.rdb").unlink()
        server.start()
