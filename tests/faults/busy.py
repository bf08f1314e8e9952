"""A Redis that somebody's script without an end keeps busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
