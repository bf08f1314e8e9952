"""Taking messages: whether the worker may, and whether it does.

Celery's consumer waits for a message again and again, and Redis answers each wait, with a message or without.
An idle worker whose waits are not answered takes nothing, whatever else it says of itself.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.state import maybe_shutdown

from likewise.worker.service.patience import Sayer

log = logging.getLogger(__name__)

RECONNECT_S = 1.0


class Intake:
    """The parent's threads share it: the keeper opens and closes it, the consumer counts its waits."""

    def __init__(self) -> None:
        self.open = False
        """Whether messages may be taken: a worker whose framework is being loaded leaves them to others."""
        self.answers = 0
        """How many waits for a message Redis has answered."""
        self.refusal: str | None = None
        """Why Redis has refused the last one."""
        self._not_before = 0.0
        self._sayer = Sayer(log)

    def may_take(self) -> bool:
        """Return whether a message may be taken now."""
        return self.open and time.monotonic() >= self._not_before

    def answered(self) -> None:
        """Note that Redis has answered a wait."""
        self.answers += 1
        self.refusal = None

    def refused(self, reason: str) -> None:
        """Note that Redis has refused a wait: it is tried again a little later."""
        self.answers += 1
        self.refusal = reason
        self._not_before = time.monotonic() + RECONNECT_S
        self._sayer.say(f"no message can be taken: {reason}; trying again each second")


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Is Celery's consumer, which comes back within a second of its Redis, however long that was away.

    Celery's own waits longer after each failure, up to half a minute.
    """

    _sayer = Sayer(log)

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it stands."""
        connected = conn.ensure_connection(
            self._tell,
            self.app.conf.broker_connection_max_retries,
            interval_start=RECONNECT_S,
            interval_step=0,
            interval_max=RECONNECT_S,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        return connected

    def _tell(self, error: Exception, _: float) -> None:
        self._sayer.say(f"the queues cannot be reached: {error}; trying again each second")
