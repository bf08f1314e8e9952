"""The round trip that `service.py` measures ours by: a Celery task that does nothing."""

from __future__ import annotations

import os

import celery

app = celery.Celery("plain", broker=os.environ["PLAIN_REDIS"], backend=os.environ["PLAIN_REDIS"])


@app.task(name="nothing")  # type: ignore[untyped-decorator]
def nothing() -> None:
    """Return at once, so that the queue alone is measured."""
