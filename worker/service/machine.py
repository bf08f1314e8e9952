"""Having a machine to oneself for a timed run, and what disturbs that.

While a timed run is measured, no other worker of the same host claims a run. The host is the declared one
(`Settings.host_id`), else the running kernel, which all containers of one machine share. The lease is a lock
in Redis with a short time to live, renewed by a thread; a worker that dies loses it soon. The ledger's
`claim.lua` reads it, in the same step in which a run is claimed: whoever sets it first and then sees no other
worker busy is alone for as long as it stays.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from types import TracebackType

import redis
from redis.exceptions import LockError
from redis.lock import Lock

from likewise.shared.errors import RedisError
from likewise.shared.frozen import read_short
from likewise.shared.ledger.records import WorkerPresence, presences
from likewise.shared.names import child_key, host_key
from likewise.shared.results.run_result import Conditions
from likewise.worker.counters import Moment, since

log = logging.getLogger(__name__)

LIFETIME_S = 10.0
RENEW_S = 2.0
LOOK_S = 0.1


class HostLease:
    """Waits on entry until this worker has the host to itself; gives it back on exit."""

    def __init__(self, client: redis.Redis, *, host: str, worker_id: str) -> None:
        self._client = client
        self._host = host
        self._worker_id = worker_id
        self._lock = Lock(client, host_key(host), timeout=LIFETIME_S, sleep=LOOK_S, thread_local=False)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="host-lease", daemon=True)

    def __enter__(self) -> HostLease:
        """Wait until this worker is alone. Raise RedisError; nothing is held then."""
        self._lock.acquire(token=self._worker_id)
        self._thread.start()
        try:
            while self._others_train():
                time.sleep(LOOK_S)
        except BaseException:
            self._give_back()
            raise
        return self

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
            if other is None or other.host != self._host or other.worker_id == self._worker_id:
                continue
            if self._client.hget(child_key(other.worker_id), "run_id"):
                return True
        return False


def wait_until_free(client: redis.Redis, host: str) -> None:
    """Wait until no worker has the host to itself. Raise RedisError."""
    while client.exists(host_key(host)):
        time.sleep(LOOK_S)


def conditions(before: Moment) -> Conditions:
    """Return what has happened on the machine since that moment."""
    return Conditions(**since(before))
