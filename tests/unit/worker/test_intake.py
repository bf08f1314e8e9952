"""How a worker comes back to its queues."""

from __future__ import annotations

import pytest

from likewise.shared.celery_app import make_app
from likewise.worker.service.intake import RECONNECT_S, Consumer
from tests.conftest import free_port


class EnoughError(Exception):
    pass


def test_the_queues_are_tried_each_second_however_long_they_are_away() -> None:
    """Celery's own consumer would wait longer after each failure, up to half a minute."""
    waits: list[float] = []

    class Counting(Consumer):
        def _tell(self, _: Exception, wait_s: float) -> None:
            waits.append(wait_s)
            if len(waits) == 2:
                raise EnoughError

    consumer = object.__new__(Counting)
    consumer.app = make_app(f"redis://127.0.0.1:{free_port()}/0", retention_s=60)
    with pytest.raises(EnoughError), consumer.app.connection_for_read() as connection:
        consumer.ensure_connected(connection)
    assert waits == [RECONNECT_S, RECONNECT_S]
