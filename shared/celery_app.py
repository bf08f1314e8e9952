"""The Celery application both sides use: JSON only, explicit queues, results kept for the retention."""

from __future__ import annotations

import celery


def make_app(redis_url: str, *, retention_s: float) -> celery.Celery:
    """The application, not connected yet."""
    raise NotImplementedError
