"""The connection to Redis: every failure of redis-py becomes a RedisError that says what to do."""

from __future__ import annotations

import redis


def connect(redis_url: str) -> redis.Redis:
    """A client whose Redis has answered a ping; replies are bytes.

    Raises RedisError, and so does every later command of the client that Redis cannot serve.
    """
    raise NotImplementedError
