"""A machine to oneself: while a timed run is measured, no other worker of the same host claims a run.

The host is the declared one (`Settings.host_id`), so that containers of one machine share it. The lease
is a key in Redis with a short time to live, renewed by a thread; a worker that dies loses it soon.
`claim.lua` of the ledger reads it, in the same step in which a run is claimed: whoever sets it first
and then sees no other worker busy is alone for as long as it stays.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from types import TracebackType

import redis
from pydantic import ValidationError

from shared.errors import RedisError
from shared.ledger.presence import presences
from shared.ledger.records import WorkerPresence
from shared.names import child_key, host_key

log = logging.getLogger(__name__)

LIFETIME_MS = 10_000
RENEW_S = 2.0
LOOK_S = 0.1

_ONLY_MINE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call({command}) end return 0"


class HostLease:
    """Waits on entry until this worker has the host to itself; gives it back on exit."""

    def __init__(self, client: redis.Redis, *, host: str, worker_id: str) -> None:
        self._client = client
        self._host = host
        self._worker_id = worker_id
        self._renew = client.register_script(_ONLY_MINE.format(command=f"'PEXPIRE', KEYS[1], {LIFETIME_MS}"))
        self._release = client.register_script(_ONLY_MINE.format(command="'DEL', KEYS[1]"))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="host-lease", daemon=True)

    def __enter__(self) -> HostLease:
        """Raises RedisError; nothing is held then."""
        while not self._client.set(host_key(self._host), self._worker_id, nx=True, px=LIFETIME_MS):
            time.sleep(LOOK_S)
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
        """Let the others go on."""
        self._give_back()

    def _give_back(self) -> None:
        self._end.set()
        self._thread.join()
        with suppress(RedisError):  # it then ends by its lifetime
            self._release(keys=[host_key(self._host)], args=[self._worker_id])

    def _keep(self) -> None:
        while not self._end.wait(RENEW_S):
            with suppress(RedisError):
                if not self._renew(keys=[host_key(self._host)], args=[self._worker_id]):
                    log.warning("the host was not ours any more: Redis was away for too long")
                    return

    def _others_train(self) -> bool:
        for document in presences(self._client):
            with suppress(ValidationError):
                other = WorkerPresence.model_validate_json(document)
                beside_us = other.host == self._host and other.worker_id != self._worker_id
                if beside_us and self._client.hget(child_key(other.worker_id), "run_id"):
                    return True
        return False


def wait_until_free(client: redis.Redis, host: str) -> None:
    """Return when no worker has the host to itself. Raises RedisError."""
    while client.exists(host_key(host)):
        time.sleep(LOOK_S)
