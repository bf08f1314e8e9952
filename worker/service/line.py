"""A running training's line to Redis: progress out; in, what may end it: a wish to cancel, the loss of
the lease, the end of the worker.

A thread of its own does the talking, so that a training never waits for Redis, nor for a Redis that
is away.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import redis

from shared.errors import RedisError
from shared.ledger import progress
from shared.ledger.leases import Claim
from shared.ledger.progress import ProgressEvent
from shared.ledger.records import FINAL
from shared.names import child_key, run_key

EVERY_S = 0.15
KEPT_EVENTS = 200
"""While Redis is away; older ones are dropped."""


class Line:
    """One child's, open while it trains a claimed run."""

    def __init__(self, client: redis.Redis, *, worker_id: str) -> None:
        self._client = client
        self._child = child_key(worker_id)
        self._claim: Claim | None = None
        self._events: deque[ProgressEvent] = deque(maxlen=KEPT_EVENTS)
        self._stop = threading.Event()
        self._stopping = threading.Event()
        self._talking = threading.Lock()
        self._thread = threading.Thread(target=self._talk, name="line", daemon=True)

    def start(self) -> None:
        """Once, before the first run: a thread for each would cost a short run a tenth of its time."""
        self._thread.start()

    @contextmanager
    def open(self, claim: Claim) -> Iterator[None]:
        """Talk of this run until the end of the block."""
        with self._talking:
            self._events.clear()
            self._stop.clear()
            self._stopping.clear()
            self._claim = claim
        try:
            yield
        finally:
            with self._talking:
                self._claim = None

    def send(self, event: ProgressEvent) -> None:
        """Tell an event soon."""
        self._events.append(event)

    def stop_requested(self) -> bool:
        """Whether the run was cancelled or is not ours any more."""
        return self._stop.is_set()

    def worker_stopping(self) -> bool:
        """Whether the worker is about to stop and to hand the run back."""
        return self._stopping.is_set()

    @property
    def untold(self) -> list[ProgressEvent]:
        """What was still to be told when the line was closed."""
        return list(self._events)

    def _talk(self) -> None:
        while True:
            time.sleep(EVERY_S)
            with self._talking, suppress(RedisError):  # heard again next time; the parent keeps the lease
                if self._claim is not None:
                    self._exchange(self._claim)

    def _exchange(self, claim: Claim) -> None:
        events = list(self._events)
        with self._client.pipeline() as pipe:  # a transaction wakes those who follow only once
            for event in events:
                progress.append(pipe, claim.experiment_id, event)
            pipe.hmget(run_key(claim.run_id), ["state", "fence", "cancel_requested"])
            pipe.hget(self._child, "stopping")
            answer = pipe.execute()
        for _ in events:
            self._events.popleft()
        state, fence, cancel = cast("tuple[bytes | None, bytes | None, bytes | None]", answer[-2])
        if answer[-1] is not None:
            self._stopping.set()
        lost = state is None or state.decode() in FINAL or fence != str(claim.fence).encode()
        if lost or cancel == b"1":
            self._stop.set()
