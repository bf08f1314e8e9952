"""Having a machine to oneself while something is timed.

While that lasts, no worker of the host claims a run, but for whoever holds it. The host is the declared one
(`Settings.host_id`), else the running kernel, which all containers of one machine share. The lease is a lock
in Redis with a short time to live, renewed by a thread; a process that dies loses it soon. The ledger's
`claim.lua` reads it, in the same step in which a run is claimed: whoever sets it first and then sees no other
worker busy is alone for as long as it stays.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType

import redis
from redis.exceptions import LockError
from redis.lock import Lock

from likewise.shared.errors import RedisError
from likewise.shared.frozen import read_short
from likewise.shared.ledger.records import WorkerPresence, presences
from likewise.shared.names import child_key, host_key

log = logging.getLogger(__name__)

LIFETIME_S = 10.0
RENEW_S = 2.0
LOOK_S = 0.1


class HostLease:
    """Waits on entry until the holder has the host to itself; gives it back on exit."""

    def __init__(self, client: redis.Redis, *, host: str, holder: str, besides: Collection[str] = ()) -> None:
        """Take who holds it, such as a worker by its id, and the workers that may be busy besides."""
        self._client = client
        self._host = host
        self._holder = holder
        self._besides = {holder, *besides}
        self._lock = Lock(client, host_key(host), timeout=LIFETIME_S, sleep=LOOK_S, thread_local=False)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="host-lease", daemon=True)

    def __enter__(self) -> HostLease:
        """Wait until the holder is alone. Raise RedisError; nothing is held then."""
        self._lock.acquire(token=self._holder)
        self._thread.start()
        try:
            while self._others_train():
                time.sleep(LOOK_S)
        except BaseException:
            self._give_back()
            raise
        return self

    def waits(self) -> bool:
        """Return whether somebody else holds the host now, or trains there."""
        return bool(self._client.exists(host_key(self._host))) or self._others_train()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the other workers go on."""
        self._give_back()

    def _give_back(self) -> None:
        self._end.set()
        self._thread.join()
        with suppress(RedisError, LockError):  # it then ends, or has ended, by its lifetime
            self._lock.release()

    def _keep(self) -> None:
        while not self._end.wait(RENEW_S):
            try:
                self._lock.reacquire()
            except LockError:
                log.warning("the host was not ours any more: Redis was away for too long")
                return
            except RedisError:
                continue

    def _others_train(self) -> bool:
        for document in presences(self._client):
            other = read_short(WorkerPresence, document)
            if other is None or other.host != self._host or other.worker_id in self._besides:
                continue
            if self._client.hget(child_key(other.worker_id), "run_id"):
                return True
        return False


def wait_until_free(client: redis.Redis, host: str) -> None:
    """Wait until no worker has the host to itself. Raise RedisError."""
    while client.exists(host_key(host)):
        time.sleep(LOOK_S)
