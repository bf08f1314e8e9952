"""A running training's line to Redis: progress out; in, what may end it: a wish to cancel, the loss of
the lease, the end of the worker.

A thread of its own does the talking, so that a training never waits for Redis, nor for a Redis that
is away.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import cast

import redis

from shared import progress
from shared.errors import RedisError
from shared.names import child_key, run_key
from shared.progress import ProgressEvent
from shared.records import FINAL
from shared.tenure import Claim

EVERY_S = 0.15
KEPT_EVENTS = 200
"""While Redis is away; older ones are dropped."""


class Line:
    """Open while a claimed run is trained."""

    def __init__(self, client: redis.Redis, claim: Claim, *, worker_id: str) -> None:
        self._client = client
        self._claim = claim
        self._child = child_key(worker_id)
        self._events: deque[ProgressEvent] = deque(maxlen=KEPT_EVENTS)
        self._hang_up = threading.Event()
        self._stop = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="line", daemon=True)

    def send(self, event: ProgressEvent) -> None:
        """Tell an event soon."""
        self._events.append(event)

    def stop_requested(self) -> bool:
        """Whether the run was cancelled or is not ours any more."""
        return self._stop.is_set()

    def worker_stopping(self) -> bool:
        """Whether the worker is about to stop and to hand the run back."""
        return self._stopping.is_set()

    def __enter__(self) -> Line:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up; what was still to be told is told before the run becomes final."""
        self._hang_up.set()
        self._thread.join()

    def _talk(self) -> None:
        while True:
            last = self._hang_up.wait(EVERY_S)
            with suppress(RedisError):  # heard again next time; meanwhile the parent keeps the lease
                self._exchange()
            if last:
                return

    def _exchange(self) -> None:
        events = list(self._events)
        with self._client.pipeline(transaction=False) as pipe:
            for event in events:
                progress.append(pipe, self._claim.experiment_id, event)
            pipe.hmget(run_key(self._claim.run_id), ["state", "fence", "cancel_requested"])
            pipe.hget(self._child, "stopping")
            answer = pipe.execute()
        for _ in events:
            self._events.popleft()
        state, fence, cancel = cast("tuple[bytes | None, bytes | None, bytes | None]", answer[-2])
        if answer[-1] is not None:
            self._stopping.set()
        lost = state is None or state.decode() in FINAL or fence != str(self._claim.fence).encode()
        if lost or cancel == b"1":
            self._stop.set()
