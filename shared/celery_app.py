"""The Celery application of both sides: JSON only, explicit queues, results kept for the retention.

The ledger decides what runs; Celery only carries wake-ups and keeps a worker's process pool. Hence:

- Messages are not acknowledged late and have no visibility timeout (`ack_emulation` off): a message
  that dies with a worker is sent again by the reconciler, and none is ever delivered twice by the clock.
- Tasks are sent with their result ignored: a producer reads the ledger and holds no subscription.
- Results are written by the ledger's `finish` script, in Celery's format under Celery's key, so that a
  run is final exactly when its result is there. `AsyncResult(run_id).get()` works.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import celery
from kombu import Exchange, Queue  # type: ignore[attr-defined]

from likewise.shared.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S
from likewise.shared.names import PREFIX, TRAIN_TASK

SETTINGS: dict[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_create_missing_queues": False,
    "task_acks_late": False,
    "task_publish_retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.1},
    "result_extended": False,
    "result_backend_always_retry": True,
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,  # refusals, such as of a full Redis, end no worker
    "broker_transport_options": {
        "ack_emulation": False,
        "global_keyprefix": PREFIX,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 4,
    },
    "redis_socket_connect_timeout": CONNECT_TIMEOUT_S,
    "redis_socket_timeout": ANSWER_TIMEOUT_S,
    "worker_pool": "prefork",
    "worker_pool_start_method": "spawn",
    "worker_concurrency": 1,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_proc_alive_timeout": 600,  # importing a framework takes seconds, on a busy host minutes
}


def make_app(
    redis_url: str, *, retention_s: float, app_class: type[celery.Celery] = celery.Celery
) -> celery.Celery:
    """Return the application, not connected yet."""
    app = app_class("likewise", broker=redis_url, backend=redis_url, set_as_current=False, fixups=set())
    app.conf.update(SETTINGS, result_expires=int(retention_s))
    return app


def queue(name: str) -> Any:
    """Return a queue by its name, on the default exchange: a message goes straight to the list `name`."""
    return Queue(name, exchange=Exchange("", type="direct"), routing_key=name)  # type: ignore[no-untyped-call]


def send_wakeups(app: celery.Celery, runs: Iterable[tuple[str, str]]) -> None:
    """Send one message for each (run id, lane of its queue), over one connection.

    Raises kombu's OperationalError when Redis cannot be reached.
    """
    with app.producer_or_acquire() as producer:
        for run_id, lane in runs:
            app.send_task(
                TRAIN_TASK,
                args=[run_id],
                task_id=run_id,
                queue=queue(lane),
                declare=[],
                ignore_result=True,
                producer=producer,
            )
