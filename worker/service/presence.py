"""The parent's thread that keeps a worker alive in the ledger's eyes, and its child honest.

Twice a second it renews the lease of the run the child holds, says in Redis who this worker is, ends
a cancelled run whose training does not stop by itself, and puts back a run whose child has died. It
runs in the parent because there no long call of a framework can hold it up.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import celery
from kombu.exceptions import OperationalError

from shared.celery_app import send_wakeups
from shared.errors import RedisError
from shared.ledger.leases import ChildView, Leases, WhyLetGo
from shared.ledger.records import WorkerPresence, WorkerState, announce_worker, withdraw_worker
from shared.settings import Settings
from worker.service.machine import half_of_the_cores

log = logging.getLogger(__name__)

BEAT_S = 0.4
PRESENCE_S = 10
"""A worker that was not heard of for this long counts as gone."""
CANCEL_GRACE_S = 0.9
"""How long a cancelled training may take to stop by itself."""
DRAIN_GRACE_S = 2.0
"""How long a run may still take to end when its worker is told to stop."""


class Keeper:
    """Starts with the worker, ends after it."""

    def __init__(
        self,
        *,
        settings: Settings,
        leases: Leases,
        app: celery.Celery,
        ready: threading.Event,
        give_up: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._app = app
        self._queues = tuple(queue.name for queue in app.conf.task_queues)
        self._ready = ready
        self._give_up = give_up
        self.versions: dict[str, str] = {}
        """What is told of versions until the framework is loaded."""
        self._started_s = 0.0
        self._cancel_seen: tuple[str, float] | None = None
        self._drain_from: float | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_for_ever, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def drain(self) -> None:
        """Take no more runs, and give back the one in hand unless it ends soon. For signal handlers."""
        self._drain_from = time.monotonic()

    def stop(self) -> None:
        """Stop beating and withdraw the presence."""
        self._end.set()
        self._thread.join(timeout=5)
        with suppress(RedisError):
            withdraw_worker(self._leases.client, self._leases.worker_id)

    def _beat_for_ever(self) -> None:
        while not self._end.wait(BEAT_S):
            try:
                self._beat()
            except RedisError as error:
                log.warning("no beat: %s", error)
            except Exception:
                log.exception("a beat failed")

    def _beat(self) -> None:
        child = self._leases.look_after()
        if child.pid is not None and not _alive(child.pid):
            self._child_died(child)
            child = self._leases.look_after()
        if child.failed is not None:
            self._give_up(child.failed)
        draining = self._drain_from is not None
        if draining and child.run_id is not None:
            self._leases.hurry_child()
        if child.ready and not draining:
            self._ready.set()
        else:
            self._ready.clear()
        self._announce(child)
        if child.run_id is not None:
            self._watch_cancel(child)
        if self._drain_from is not None and time.monotonic() - self._drain_from > DRAIN_GRACE_S:
            self._end_lease(child, "returned")
            self._leases.forget_child()  # or the next beat would take the run back
            self._kill(child)  # it may also wait for the host, with no run yet

    def _announce(self, child: ChildView) -> None:
        self._started_s = self._started_s or child.now_s
        state: WorkerState = "starting"
        if child.ready:
            state = "idle" if child.run_id is None else "busy"
        document = WorkerPresence(
            worker_id=self._leases.worker_id,
            framework=str(self._settings.framework),
            device=self._settings.device,
            queues=self._queues,
            host=self._leases.host,
            pid=os.getpid(),
            versions=json.loads(child.versions) if child.versions else self.versions,
            threads=self._settings.threads or half_of_the_cores(),
            image=self._settings.image,
            state=state,
            run_id=child.run_id,
            started_s=self._started_s,
            seen_s=child.now_s,
        )
        announce_worker(
            self._leases.client, self._leases.worker_id, document.model_dump_json(), lives_s=PRESENCE_S
        )
        if self._settings.heartbeat_file is not None:
            self._settings.heartbeat_file.touch()

    def _watch_cancel(self, child: ChildView) -> None:
        """A training sees the wish to cancel between steps; one that does not come to that is killed."""
        if not child.cancel_requested or child.run_id is None:
            self._cancel_seen = None
            return
        if self._cancel_seen is None or self._cancel_seen[0] != child.run_id:
            self._cancel_seen = (child.run_id, time.monotonic())
        elif time.monotonic() - self._cancel_seen[1] > CANCEL_GRACE_S:
            self._end_lease(child, "returned")  # the record's wish makes that `cancelled`
            self._kill(child)

    def _child_died(self, child: ChildView) -> None:
        self._ready.clear()
        if child.run_id is not None:
            log.warning("the child (pid %d) died while it trained run %s", child.pid, child.run_id)
            self._end_lease(child, "died")
        self._leases.forget_child()

    def _end_lease(self, child: ChildView, why: WhyLetGo) -> None:
        if child.run_id is None:
            return
        state, queue = self._leases.let_go(child.run_id, why=why, fence=child.fence)
        if state == "queued":
            with suppress(OperationalError):  # the reconciler sends it later
                send_wakeups(self._app, [(child.run_id, queue)])

    def _kill(self, child: ChildView) -> None:
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    """Whether our child is alive. Celery's pool may take seconds to reap a dead one, which Linux tells."""
    try:
        if sys.platform == "linux":
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        os.kill(pid, 0)
    except (ChildProcessError, ProcessLookupError):
        return False
    return True
