"""Waiting out a Redis that is away or refuses: trying again, and saying so without filling the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from likewise.shared.errors import RedisError

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_LEAST_S, RETRY_MOST_S = 0.1, 2.0
SAY_EVERY_S = 30.0
"""What lasts is said so often."""


class Sayer:
    """Logs a warning that may come again and again: when it is another, and every SAY_EVERY_S."""

    def __init__(self, logger: logging.Logger) -> None:
        self._log = logger
        self._said = ""
        self._said_s = 0.0

    def say(self, sentence: str) -> None:
        """Log the warning, unless it was logged just now."""
        now = time.monotonic()
        if sentence != self._said or now - self._said_s >= SAY_EVERY_S:
            self._said, self._said_s = sentence, now
            self._log.warning(sentence)


def patiently(action: Callable[[], T], *, tell: Callable[[str | None], None] = lambda _: None) -> T:
    """Return what the action returns, trying it again for as long as it raises RedisError.

    `tell` is given the reason at each try that fails, and None once one has not.
    """
    wait_s = RETRY_LEAST_S
    sayer = Sayer(log)
    while True:
        try:
            answer = action()
        except RedisError as error:
            sayer.say(f"{error}; trying again")
            tell(str(error))
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_MOST_S)
        else:
            if wait_s > RETRY_LEAST_S:
                tell(None)
            return answer
