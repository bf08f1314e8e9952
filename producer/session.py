"""A command's way to the services: the configured Redis, else the local stack.

Celery and everything heavy is imported when first used, so that reading commands stay quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Self

from likewise.shared.connection import connect, redis_url
from likewise.shared.errors import RedisError, RefusedByRedisError
from likewise.shared.names import ACTIVITY

if TYPE_CHECKING:
    from pathlib import Path

    import celery
    import redis

    from likewise.shared.ledger.ledger import Ledger
    from likewise.shared.settings import Settings
    from likewise.shared.store.blobs import BlobStore


class Session:
    """It gives one command its services. `local` tells whether they are the local stack's."""

    def __init__(self, settings: Settings, *, redis_url: str, client: redis.Redis, local: bool) -> None:
        self.settings = settings
        self.redis_url = redis_url
        self.client = client
        self.local = local
        self.retention_s = settings.retention_s

    @cached_property
    def app(self) -> celery.Celery:
        """The Celery application that sends tasks and reads results."""
        from likewise.shared.celery_app import make_app

        return make_app(self.redis_url, retention_s=self.retention_s)

    @cached_property
    def ledger(self) -> Ledger:
        """The records of experiments and runs."""
        from likewise.shared.ledger.ledger import Ledger

        return Ledger(self.client, retention_s=self.retention_s)

    @cached_property
    def blobs(self) -> BlobStore:
        """The arrays, by content."""
        from likewise.shared.store.blobs import BlobStore

        return BlobStore(
            self.client,
            url=self.settings.blob_url,
            redis_limit_bytes=self.settings.blob_redis_limit_bytes,
            retention_s=self.retention_s,
            cache_dir=self.settings.cache_dir,
        )

    @property
    def programs(self) -> Path | None:
        """The folder from which the workers run programs, where the producer knows one."""
        return self.settings.programs

    def close(self) -> None:
        """Close the connections to Redis."""
        if "app" in self.__dict__:
            self.app.close()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_session(settings: Settings, *, environments: Sequence[str], say: Callable[[str], None]) -> Session:
    """Reach the configured Redis; without one, ensure the local stack with a worker for each environment.

    Environments are named `torch`, or `torch==2.13.0`; with none, only Redis is ensured. `say` is told, in
    one line, what is being waited for. Raises RedisError, or StackError with the way out.
    """
    configured = redis_url(settings)
    if configured is not None:
        return Session(settings, redis_url=configured, client=connect(configured), local=False)
    from likewise.producer.local import client as stack
    from likewise.producer.local.devices import defaults

    wanted = defaults(settings, environments)
    url = stack.ensure(settings, wanted, say=say)
    try:
        redis_client = connect(url)
    except RedisError:
        # The stack was just ending, or its Redis is being restarted: ask for it anew.
        url = stack.ensure(settings, wanted, say=say, patiently=True)
        redis_client = connect(url)
    touch(redis_client)
    if not stack.is_up(settings):
        # It was idle and is ending (it withdraws its state, then looks at the activity once more).
        url = stack.ensure(settings, wanted, say=say, patiently=True)
        redis_client = connect(url)
        touch(redis_client)
    return Session(stack.with_arrays(settings), redis_url=url, client=redis_client, local=True)


def open_running(settings: Settings) -> Session | None:
    """Reach the configured Redis, or the local stack where one runs; start nothing, touch nothing.

    None where no Redis is configured and no local stack runs. Raises RedisError.
    """
    configured = redis_url(settings)
    if configured is not None:
        return Session(settings, redis_url=configured, client=connect(configured), local=False)
    from likewise.producer.local import client as stack

    state = stack.status(settings)
    if state is None:
        return None
    own = stack.with_arrays(settings)
    return Session(own, redis_url=state.redis_url, client=connect(state.redis_url), local=True)


def touch(client: redis.Redis) -> None:
    """Note that the stack is in use, by the server's clock."""
    seconds, _ = client.time()
    with suppress(RefusedByRedisError):  # a full Redis must still be emptied
        client.set(ACTIVITY, str(seconds))
