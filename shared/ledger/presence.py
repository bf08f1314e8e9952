"""Who is there: each live worker's presence document, and the set by which they are found.

A set of ids, not a search among all keys: that would take longer with every experiment that is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from shared.ledger.transitions import script
from shared.names import WORKERS, worker_key

if TYPE_CHECKING:
    import redis


def announce(client: redis.Redis, worker_id: str, document: str, *, lives_s: int) -> None:
    """A worker's beat. Without another within `lives_s` it counts as gone."""
    with client.pipeline() as pipe:
        pipe.set(worker_key(worker_id), document, ex=lives_s)
        pipe.sadd(WORKERS, worker_id)
        pipe.execute()


def withdraw(client: redis.Redis, worker_id: str) -> None:
    """A worker that stops."""
    with client.pipeline() as pipe:
        pipe.delete(worker_key(worker_id))
        pipe.srem(WORKERS, worker_id)
        pipe.execute()


def presences(client: redis.Redis) -> list[bytes]:
    """The documents of the live workers. Those that are gone are forgotten; a beat brings one back."""
    return census(client)[1:]


def census(client: redis.Redis) -> list[bytes]:
    """The server's time in microseconds, then as `presences`."""
    return cast("list[bytes]", script(client, "census")())
