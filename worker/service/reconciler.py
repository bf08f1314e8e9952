"""The reconciler: puts back runs whose lease has ended, and queued ones whose message is gone.

Every worker has one; short locks in Redis let one at a time look at the leases, and one at each queue. It
covers workers that died, messages that died with a worker between the pop and the claim, and producers that
died between record and message.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import cast

import celery
import redis
from kombu.exceptions import OperationalError

from likewise.shared import names
from likewise.shared.celery_app import send_wakeups
from likewise.shared.errors import RedisError, ResultError
from likewise.shared.ledger.host_lease import LIFETIME_S
from likewise.shared.ledger.leases import Leases
from likewise.shared.ledger.transitions import AHEAD_S
from likewise.worker.service.patience import Sayer
from likewise.worker.service.quarantine import NotOursError, run_id_of, send_to_the_front, set_aside

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""The time between two looks of the reconcilers."""
MESSAGE_GRACE_S = 5.0
"""A message is on its way, or in a worker's hands, for less than this."""


class Reconciler:
    """Puts lost runs back, from a thread."""

    def __init__(
        self, *, leases: Leases, app: celery.Celery, queues: Sequence[str], largest_bytes: int
    ) -> None:
        """Take how many bytes a message has at most."""
        self._leases = leases
        self._app = app
        self._queues = tuple(queues)
        self._largest_bytes = largest_bytes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_for_ever, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start the thread, which ends with the worker."""
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Look no more. Does not wait."""
        self._end.set()

    def _look_for_ever(self) -> None:
        judge_from = 0.0
        sayer = Sayer(log)
        while not self._end.wait(LOOK_S):
            try:
                if time.monotonic() >= judge_from:
                    self._look()
            except (RedisError, OperationalError) as error:
                # Leases ended while nobody could renew them: their holders are given time to be heard.
                judge_from = time.monotonic() + self._leases.lease_s
                sayer.say(f"cannot look for lost runs: {error}")
            except Exception:
                log.exception("looking for lost runs failed")

    def _look(self) -> None:
        seconds, microseconds = self._leases.client.time()
        now_s = seconds + microseconds / 1e6
        self._end_impossible(names.host_key(self._leases.host), lives_s=LIFETIME_S)
        if self._may_look_at("leases"):
            self._guarded("leases", lambda: self._expired(now_s))
        for queue in self._queues:
            if self._may_look_at(queue):
                self._guarded(queue, partial(self._send_missing, queue, now_s))

    def _guarded(self, subject: str, look: Callable[[], None]) -> None:
        """Look there. A look that fails must not keep others from being made."""
        try:
            look()
        except (RedisError, OperationalError):
            raise
        except Exception:
            log.exception("looking at %s failed", subject)

    def _send_missing(self, queue: str, now_s: float) -> None:
        for lane in names.lanes_of(queue):
            send_wakeups(self._app, list(self._without_message(lane, now_s)))

    def _may_look_at(self, subject: str) -> bool:
        """Return whether nobody else has looked there just now."""
        lock = names.reconciler_key(subject)
        if self._leases.client.set(lock, self._leases.worker_id, nx=True, px=int(LOOK_S * 900)):
            return True
        self._end_impossible(lock, lives_s=LOOK_S)
        return False

    def _end_impossible(self, lock: str, *, lives_s: float) -> None:
        """Remove a lock that would hold for longer than any does: the server's clock was set back."""
        if self._leases.client.pttl(lock) > (lives_s + AHEAD_S) * 1_000:
            log.warning("%s would hold for longer than it can: Redis's clock was set back", lock)
            self._leases.client.delete(lock)

    def _expired(self, now_s: float) -> None:
        for run_id in self._leases.expired(now_s=now_s):
            try:
                state, queue = self._leases.let_go(run_id, why="expired")
            except redis.ResponseError as error:
                self._set_aside(run_id, names.LEASED, error)
                continue
            if state is not None:
                log.warning("run %s: its worker was not heard of any more; it is %s now", run_id, state)
            if state == "queued":
                send_to_the_front(self._leases.client, run_id, queue)

    def _without_message(self, lane: str, now_s: float) -> Iterator[tuple[str, str]]:
        """Yield queued runs older than the oldest message of their lane: theirs was taken and lost."""
        before_s = min(now_s - MESSAGE_GRACE_S, self._oldest_message_s(lane, now_s))
        for run_id, since_s in self._leases.waiting(lane, before_s=before_s, now_s=now_s):
            try:
                woken = self._leases.wake(lane, run_id, since_s=since_s)
            except redis.ResponseError as error:
                self._set_aside(run_id, names.queued_key(lane), error)
                continue
            if woken:
                log.warning("run %s: its message is gone; another is sent", run_id)
                yield run_id, lane

    def _set_aside(self, run_id: str, waiting_in: str, error: Exception) -> None:
        """Leave a run alone whose record is none, with the reason among the dead letters."""
        self._leases.set_aside(run_id, waiting_in=waiting_in)
        reason = f"its record cannot be used: {error}"
        set_aside(self._leases.client, queue=waiting_in, raw=run_id.encode(), reason=reason)

    def _oldest_message_s(self, lane: str, now_s: float) -> float:
        """Return when the message that is next in line was sent; now, if there is none."""
        client = self._leases.client
        try:
            raw = cast("bytes | None", client.lindex(names.messages_key(lane), -1))
            if raw is None:
                return now_s
            run_id = run_id_of(raw, largest_bytes=self._largest_bytes)
        except (NotOursError, ResultError):
            return 0.0  # it is set aside as soon as a worker comes to it
        since = client.zscore(names.queued_key(lane), run_id)
        return 0.0 if since is None else since
