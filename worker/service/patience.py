"""What must not be given up while Redis is away or full: nothing trained is thrown away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from shared.errors import RedisError

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_LEAST_S, RETRY_MOST_S = 0.1, 2.0


def patiently(action: Callable[[], T]) -> T:
    """Do it again for as long as it raises RedisError."""
    wait_s = RETRY_LEAST_S
    while True:
        try:
            return action()
        except RedisError as error:
            log.warning("%s; trying again", error)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_MOST_S)
