"""A claimed run's side to Redis while it trains: progress, checkpoints, and what may end it.

What may end it is a wish to cancel, the loss of the lease, or the end of the worker. Threads of their own
talk to Redis, so that a training never waits for it, nor for a Redis that is away. Only what must not be lost
is waited for (`patiently`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import redis

from likewise.shared.errors import LikewiseError, RedisError
from likewise.shared.ledger.checkpoints import CheckpointStore, newest
from likewise.shared.ledger.leases import Claim
from likewise.shared.ledger.records import FINAL, ProgressEvent, append_progress
from likewise.shared.names import run_key
from likewise.worker.service.child_page import ChildPage
from likewise.worker.service.patience import patiently
from likewise.worker.training.checkpoints import Checkpoint

log = logging.getLogger(__name__)

EVERY_S = 0.15
KEPT_EVENTS = 200
"""The most events that wait while Redis is away; older ones are dropped."""


class RunLink:
    """Exchanges with Redis about the run that a child trains: events go out, wishes to stop come in."""

    def __init__(self, client: redis.Redis, page: ChildPage) -> None:
        self._client = client
        self._page = page
        self._claim: Claim | None = None
        self._events: deque[ProgressEvent] = deque(maxlen=KEPT_EVENTS)
        self._stop = threading.Event()
        self._exchanging = threading.Lock()
        self._thread = threading.Thread(target=self._exchange_for_ever, name="run-link", daemon=True)

    def start(self) -> None:
        """Start the thread, before the first run: one for each would cost a short run a tenth of its time."""
        self._thread.start()

    @contextmanager
    def open(self, claim: Claim) -> Iterator[None]:
        """Exchange about this run until the end of the block."""
        with self._exchanging:
            self._events.clear()
            self._stop.clear()
            self._claim = claim
        try:
            yield
        finally:
            with self._exchanging:
                self._claim = None

    def send(self, event: ProgressEvent) -> None:
        """Send an event soon."""
        standing = f"epoch {event.epoch:,} of {event.epochs:,}, seed {event.seed}"
        self._page.progressed(standing, compiling=event.compiling)
        self._events.append(event)

    def alive(self, standing: str) -> None:
        """Say that a hosted program goes on, of which there are no events."""
        self._page.progressed(standing, compiling=False)

    def stop_requested(self) -> bool:
        """Return whether the run was cancelled or is not ours any more."""
        return self._stop.is_set()

    def worker_stopping(self) -> bool:
        """Return whether the worker is about to stop and to hand the run back."""
        return self._page.stop_asked

    @property
    def unsent(self) -> list[ProgressEvent]:
        """Return the events that were not sent yet when the run ended."""
        return list(self._events)

    def _exchange_for_ever(self) -> None:
        while True:
            time.sleep(EVERY_S)
            self._page.say()  # still alive
            with self._exchanging, suppress(RedisError):  # heard again next time; the parent keeps the lease
                if self._claim is not None:
                    self._exchange(self._claim)

    def _exchange(self, claim: Claim) -> None:
        events = list(self._events)
        with self._client.pipeline() as pipe:  # a transaction wakes those who follow only once
            for event in events:
                append_progress(pipe, claim.experiment_id, event)
            pipe.hmget(run_key(claim.run_id), ["state", "fence", "cancel_requested"])
            answer = pipe.execute()
        for _ in events:
            self._events.popleft()
        state, fence, cancel = cast("tuple[bytes | None, bytes | None, bytes | None]", answer[-1])
        lost = state is None or state.decode() in FINAL or fence != str(claim.fence).encode()
        if lost or cancel == b"1":
            self._stop.set()


class RunCheckpoints:
    """Keeps the checkpoints of a claimed run in the ledger's store; see `KeptCheckpoints`.

    A checkpoint is written by a thread, so that training goes on. One that cannot be stored is noted, not
    raised.
    """

    def __init__(
        self,
        store: CheckpointStore,
        claim: Claim,
        *,
        wanted: Callable[[], bool],
        before: Callable[[], None],
    ) -> None:
        """Take `wanted`, whether the worker stops, and `before`, which stores the arrays referred to."""
        self._store = store
        self._claim = claim
        self._wanted = wanted
        self._before = before
        self._writer: threading.Thread | None = None
        self._trouble: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is still being stored."""
        return self._writer is not None and self._writer.is_alive()

    @property
    def wanted(self) -> bool:
        """Whether the worker is about to stop."""
        return self._wanted()

    @property
    def trouble(self) -> str | None:
        """Return why the first one that failed could not be stored."""
        return self._trouble

    def last(self) -> tuple[bytes | None, str | None]:
        """Return the newest whole checkpoint of earlier attempts, and what is wrong with newer ones."""
        return patiently(lambda: newest(self._store, self._claim.run_id, self._claim.checkpoints))

    def keep(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint from a thread."""
        try:
            self._before()
        except LikewiseError as error:
            self._note(str(error))
            return
        writer = threading.Thread(target=self._write, args=[checkpoint], name="checkpoint", daemon=True)
        try:
            writer.start()
        except RuntimeError as error:  # the host has no thread left
            self._note(str(error))
            return
        self._writer = writer

    def close(self) -> None:
        """Wait for the checkpoint that is being stored."""
        if self._writer is not None:
            self._writer.join()

    def _write(self, checkpoint: Checkpoint) -> None:
        try:
            if not self._store.put(self._claim.run_id, checkpoint.encoded(), fence=self._claim.fence):
                log.warning("run %s is no longer ours; its checkpoint is dropped", self._claim.run_id)
        except LikewiseError as error:
            self._note(str(error))
        except Exception as error:
            log.exception("a checkpoint failed")
            self._note(f"{type(error).__name__}: {error}")

    def _note(self, trouble: str) -> None:
        """Note the first trouble; training goes on, and so do the attempts."""
        if self._trouble is None:
            self._trouble = trouble
            log.warning("run %s: a checkpoint could not be kept: %s", self._claim.run_id, trouble)
