"""A script with what must be written before it, in one transaction and one round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.client import Pipeline
from redis.commands.core import Script
from redis.exceptions import NoScriptError

Before = Callable[[Pipeline], None]
"""Adds commands to a pipeline."""


def run_script(
    client: redis.Redis, script: Script, *, keys: Sequence[str], args: Sequence[Any], before: Before | None
) -> Any:
    """What the script answers. With what `before` adds, all is written or nothing is. Raises RedisError."""
    if before is None:
        return script(keys=list(keys), args=list(args))
    with client.pipeline() as pipe:
        before(pipe)
        pipe.evalsha(script.sha, len(keys), *keys, *args)
        try:
            return pipe.execute()[-1]
        except NoScriptError:  # once after each start of Redis; what comes before it is written
            return script(keys=list(keys), args=list(args))
