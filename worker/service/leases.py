"""The parent's two threads: one keeps the run in its child's hands, the other puts lost runs back.

The Keeper renews the lease of the run that the child holds, says in Redis who this worker is, ends a
cancelled run whose training does not stop by itself, and puts back a run whose child has died. It runs in
the parent because there no long call of a framework can hold it up.

The Reconciler puts back runs whose lease has ended, and queued ones whose message is gone. Every worker has
one; short locks in Redis let one at a time look at the leases, and one at each queue. It covers workers that
died, messages that died with a worker between the pop and the claim, and producers that died between record
and message.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

import celery
from kombu.exceptions import OperationalError

from likewise.shared import names
from likewise.shared.celery_app import send_wakeups
from likewise.shared.errors import RedisError
from likewise.shared.ledger.leases import ChildView, Leases, WhyLetGo
from likewise.shared.ledger.records import WorkerPresence, WorkerState, announce_worker, withdraw_worker
from likewise.shared.settings import Settings
from likewise.worker.service.machine import half_of_the_cores
from likewise.worker.service.quarantine import NotOursError, run_id_of

log = logging.getLogger(__name__)

BEAT_S = 0.4
PRESENCE_S = 10
"""A worker that was not heard of for this long counts as gone."""
CANCEL_GRACE_S = 0.9
"""How long a cancelled training may take to stop by itself."""
DRAIN_GRACE_S = 2.0
"""How long a run may still take to end when its worker is told to stop."""
LOOK_S = 2.0
"""The time between two looks of the reconcilers."""
MESSAGE_GRACE_S = 5.0
"""A message is on its way, or in a worker's hands, for less than this."""


class Keeper:
    """Looks after the worker's own run and child; starts with the worker, ends after it."""

    def __init__(
        self,
        *,
        settings: Settings,
        leases: Leases,
        app: celery.Celery,
        ready: threading.Event,
        give_up: Callable[[str], None],
        versions: dict[str, str],
    ) -> None:
        """Take `versions`, which are told until the framework is loaded."""
        self._settings = settings
        self._leases = leases
        self._app = app
        self._queues = tuple(queue.name for queue in app.conf.task_queues)
        self._ready = ready
        self._give_up = give_up
        self._versions = versions
        self._started_s = 0.0
        self._cancel_seen: tuple[str, float] | None = None
        self._drain_from: float | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_for_ever, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread, which ends with the worker."""
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
            versions=json.loads(child.versions) if child.versions else self._versions,
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


class Reconciler:
    """Puts lost runs back, from a thread."""

    def __init__(self, *, leases: Leases, app: celery.Celery, queues: Sequence[str]) -> None:
        self._leases = leases
        self._app = app
        self._queues = tuple(queues)
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
        while not self._end.wait(LOOK_S):
            try:
                if time.monotonic() >= judge_from:
                    self._look()
            except (RedisError, OperationalError) as error:
                # Leases ended while nobody could renew them: their holders are given time to be heard.
                judge_from = time.monotonic() + self._leases.lease_s
                log.warning("cannot look for lost runs: %s", error)
            except Exception:
                log.exception("looking for lost runs failed")

    def _look(self) -> None:
        seconds, microseconds = self._leases.client.time()
        now_s = seconds + microseconds / 1e6
        back = self._expired(now_s) if self._may_look_at("leases") else []
        for queue in self._queues:
            if self._may_look_at(queue):
                back += self._without_message(queue, now_s)
        send_wakeups(self._app, back)

    def _may_look_at(self, subject: str) -> bool:
        """Whether nobody else has looked there just now."""
        lock = names.reconciler_key(subject)
        return bool(self._leases.client.set(lock, self._leases.worker_id, nx=True, px=int(LOOK_S * 900)))

    def _expired(self, now_s: float) -> list[tuple[str, str]]:
        back = []
        for run_id in self._leases.expired(now_s=now_s):
            state, queue = self._leases.let_go(run_id, why="expired")
            if state is not None:
                log.warning("run %s: its worker was not heard of any more; it is %s now", run_id, state)
            if state == "queued":
                back.append((run_id, queue))
        return back

    def _without_message(self, queue: str, now_s: float) -> list[tuple[str, str]]:
        """Return queued runs older than the oldest message of their queue: theirs was taken and lost."""
        lost = []
        before_s = min(now_s - MESSAGE_GRACE_S, self._oldest_message_s(queue, now_s))
        for run_id, since_s in self._leases.waiting(queue, before_s=before_s):
            if self._leases.wake(queue, run_id, since_s=since_s):
                log.warning("run %s: its message is gone; another is sent", run_id)
                lost.append((run_id, queue))
        return lost

    def _oldest_message_s(self, queue: str, now_s: float) -> float:
        """Return when the message that is next in line was sent; now, if there is none."""
        client = self._leases.client
        raw = cast("bytes | None", client.lindex(queue, -1))
        if raw is None:
            return now_s
        try:
            run_id = run_id_of(raw)
        except NotOursError:
            return 0.0  # it is set aside as soon as a worker comes to it
        since = client.zscore(names.queued_key(queue), run_id)
        return 0.0 if since is None else since
