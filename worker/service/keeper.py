"""The keeper: a thread of the parent that keeps the run in its child's hands, and says who this worker is.

It renews the lease of the run that the child holds, ends a cancelled run whose training does not stop by
itself, and puts back a run whose child has died. It runs in the parent because there no long call of a
framework can hold it up. With each beat it says in Redis again all that is known of the worker and of its
child, so that a Redis that was away, or has lost it, knows within a beat.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from likewise.shared.errors import RedisError
from likewise.shared.gpus import Gpu
from likewise.shared.ledger.leases import HeldRun, Leases, WhyLetGo
from likewise.shared.ledger.records import WorkerPresence, WorkerState, announce_worker, withdraw_worker
from likewise.shared.names import kind_of
from likewise.shared.settings import Settings
from likewise.worker.counters import cores, half_of_the_cores
from likewise.worker.service.child_page import STACK_SIGNAL, ChildPage, ChildReport
from likewise.worker.service.intake import Intake
from likewise.worker.service.logs import not_to_tell, now_about
from likewise.worker.service.memory import Kills, MemoryGroup
from likewise.worker.service.metrics import WorkerMetrics
from likewise.worker.service.offspring import Offspring
from likewise.worker.service.patience import Sayer
from likewise.worker.service.quarantine import send_to_the_front

log = logging.getLogger(__name__)

BEAT_S = 0.4
PRESENCE_S = 10
"""A worker that was not heard of for this long counts as gone."""
LAST_BEAT_S = 2.0
"""How long the end of a worker waits for a beat that Redis has not answered."""
CANCEL_GRACE_S = 0.9
"""How long a cancelled training may take to stop by itself."""
LEFT_S = 3.0
"""An idle child may seem to hold a run for so long: Redis is told of a run's end before the parent."""
HUNG_S = 60.0
"""A child whose threads have not run for this long cannot train, so its container is unhealthy. It may be in
a long call of a framework, so it is not killed for that while it trains."""
PAUSES = 10
"""A training hangs after so many times its longest pause."""
SLOWER = 4
"""While it begins or compiles it may take so many times as long."""
LIMIT_GRACE_S = 5.0
"""A training sees between updates that its time is over; one that does not come to that is killed then."""
DRAIN_GRACE_S = 2.0
"""How long a run may still take to end when its worker is told to stop."""


class Unchanged:
    """Counts for how long something has stayed the same, in the time that its owner was awake itself.

    A worker that was frozen, or whose machine slept, has not waited in vain meanwhile.
    """

    def __init__(self) -> None:
        self._value: object = None
        self._looked = time.monotonic()
        self.for_s = 0.0
        """Seconds since the value was last seen to change."""

    def see(self, value: object) -> float:
        """Look at the value as it is now, and return `for_s`."""
        now = time.monotonic()
        self.for_s = 0.0 if value != self._value else self.for_s + min(now - self._looked, 2 * BEAT_S)
        self._value, self._looked = value, now
        return self.for_s


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Says what a worker is, which does not change while it runs."""

    settings: Settings
    queues: tuple[str, ...]
    hostname: str
    gpu: Gpu | None
    code: str | None
    versions: dict[str, str]
    """What is told of the framework's packages until the child has loaded them."""


class Keeper:
    """Looks after the worker's own run and child; starts with the worker, ends after it."""

    def __init__(
        self,
        identity: Identity,
        *,
        leases: Leases,
        page: ChildPage,
        intake: Intake,
        offspring: Offspring,
        give_up: Callable[[str], None],
    ) -> None:
        self._identity = identity
        self._leases = leases
        self._page = page
        self._intake = intake
        self._offspring = offspring
        self._give_up = give_up
        self._started_s = 0.0
        self._held: tuple[str | None, int] = (None, 0)
        """The run that the child was last known to hold, and its fence: it may leave one without an end."""
        self._gone: int | None = None
        """The last child that is dead or was killed; what it said of itself holds no more."""
        self._cleared: int | None = None
        """The last dead child of which nothing is left."""
        self._silent = Unchanged()
        """It counts how long a child that does not train has shown no life."""
        self._hung = Unchanged()
        """It counts how long no thread of a child has run, whatever it does."""
        self._deaf = Unchanged()
        """It counts how long an idle worker's waits for a message have not been answered."""
        self._left = Unchanged()
        """It counts how long an idle child has seemed to hold a run."""
        self._still = Unchanged()
        """It counts how long the training in hand has shown no progress."""
        self._paced: tuple[str | None, int] = (None, 0)
        """The run, and the fence, that `_longest_s` and `_stack_asked` are of."""
        self._longest_s = 0.0
        """The longest pause between two signs of that run's progress."""
        self._stack_asked = False
        """Whether its child was asked for its stack, as the last thing before it is killed."""
        self._limited = Unchanged()
        """It counts how long the training in hand has taken, where it has a limit."""
        self._memory = MemoryGroup.of_this_process()
        self._kills = Kills(self._memory)
        self._cancel_seen: tuple[str, float] | None = None
        self._drain_from: float | None = None
        self.metrics: WorkerMetrics | None = None
        """What is told of this worker beside Redis, if anything."""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_for_ever, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread, which ends with the worker."""
        self._thread.start()

    def drain(self) -> None:
        """Take no more runs, and give back the one in hand unless it ends soon. For signal handlers."""
        if self._drain_from is None:
            self._drain_from = time.monotonic()
            self._page.ask_to_stop()
            threading.Thread(target=self._end_without_redis, name="drain", daemon=True).start()

    def stop(self) -> None:
        """Stop beating and withdraw the presence, unless Redis is silent: nobody is kept up for that."""
        self._end.set()
        self._thread.join(timeout=LAST_BEAT_S)
        if not self._thread.is_alive():
            with suppress(RedisError):
                withdraw_worker(self._leases.client, self._leases.worker_id)

    def _end_without_redis(self) -> None:
        """Kill a child that is to stop and waits for a Redis that does not answer, as a beat would wait."""
        if self._end.wait(DRAIN_GRACE_S + LAST_BEAT_S):
            return
        child = self._page.report()
        if child.pid is not None and child.pid != self._gone and _alive(child.pid):
            log.warning("Redis does not answer; a run in hand is another worker's once its lease has ended")
            self._kill(child)

    def _beat_for_ever(self) -> None:
        sayer = Sayer(log)
        while not self._end.wait(BEAT_S):
            try:
                self._beat()
            except RedisError as error:
                sayer.say(f"no beat: {error}")
            except Exception:
                log.exception("a beat failed")

    def _beat(self) -> None:
        self._clear_up()
        child = self._living_child()
        held = self._look_after(child)
        if child.failed is not None:
            self._give_up(child.failed)
        self._intake.open = child.ready and self._drain_from is None
        self._announce(child, held, self._trouble(child))
        if held.run_id is not None:
            self._watch_cancel(child, held)
            self._watch_end(child, held)
            self._watch_progress(child, held)
            self._watch_limit(child, held)
        if self._drain_from is not None and time.monotonic() - self._drain_from > DRAIN_GRACE_S:
            self._end_lease(held, "returned")
            self._kill(child)  # it may also wait for the host, with no run yet
            self._gone = child.pid  # or the next beat would take the run back
            self._leases.forget_child()

    def _clear_up(self) -> None:
        """End the processes that a dead child has left behind."""
        pid = self._page.report().pid
        if pid is not None and pid != self._cleared and not _alive(pid):
            self._offspring.end()
            self._cleared = pid
        self._offspring.reap()

    def _look_after(self, child: ChildReport) -> HeldRun:
        """Renew the lease of the run that the child holds by its own word, or by its last one of a run."""
        run_id, fence = self._held if child.run_id is None else (child.run_id, child.fence)
        held = self._leases.look_after(pid=child.pid, run_id=run_id, fence=fence)
        self._held = (held.run_id, held.fence)
        return held

    def _living_child(self) -> ChildReport:
        """Return what the child says of itself. Of a dead one put the run back, and return nothing."""
        child = self._page.report()
        if child.pid is None or child.pid == self._gone:
            return ChildReport()
        if _alive(child.pid):
            self._kills.see_alive()
            return child
        self._intake.open = False
        held = self._look_after(child)
        if held.run_id is not None:
            log.warning("the child (pid %d) died while it trained run %s", child.pid, held.run_id)
            self._end_of_dead(child, held)
        self._kills.forget()
        self._leases.forget_child()
        self._gone = child.pid
        return ChildReport()

    def _end_of_dead(self, child: ChildReport, held: HeldRun) -> None:
        """Put back the run of a dead child, or end it where memory will not do for it another time either."""
        if not self._kills.any:
            self._end_lease(held, "died")
            return
        note = f"{self._memory.words()}; {child.standing}"
        log.error("run %s: %s", held.run_id, note)
        cannot_fit = self._memory.cannot_fit(besides=self._offspring.pool)
        self._end_lease(held, "out_of_memory" if cannot_fit else "died", note=note)

    def _trouble(self, child: ChildReport) -> str | None:
        """Return why this worker takes no runs, or its run does not go on; None where all is well.

        A child that shows no life is killed, and the pool starts another. An idle worker whose waits for a
        message are not answered ends, so that what has started it starts it again.
        """
        patience_s = self._identity.settings.patience_s
        watched = child.ready and child.activity != "training"
        silent_s = self._silent.see((child.pid, child.beats) if watched else object())
        idle = child.activity == "idle" and self._intake.open
        deaf_s = self._deaf.see(self._intake.answers if idle else object())
        if silent_s > patience_s:
            log.error("the child (pid %d) has shown no life for %.0f s; it is killed", child.pid, silent_s)
            self._kill(child)
        if deaf_s > 2 * patience_s:
            self._give_up(f"the queues have not answered for {deaf_s:.0f} s, though Redis does")
        if deaf_s > patience_s / 2:
            return f"it has taken no message for {deaf_s:.0f} s: its waits for one are not answered"
        if silent_s > patience_s / 2:
            return f"its child process has shown no life for {silent_s:.0f} s"
        return child.trouble or self._intake.refusal

    def _announce(self, child: ChildReport, held: HeldRun, trouble: str | None) -> None:
        self._started_s = self._started_s or held.now_s
        state: WorkerState = "starting"
        if trouble is not None and child.trouble is None:
            state = "stuck"
        elif self._drain_from is not None:
            state = "stopping"
        elif child.ready:
            state = "idle" if held.run_id is None else "busy"
        settings = self._identity.settings
        document = WorkerPresence(
            worker_id=self._leases.worker_id,
            framework=str(settings.framework),
            device=kind_of(settings.worker_device),
            gpu=self._identity.gpu,
            queues=self._identity.queues,
            host=self._leases.host,
            hostname=self._identity.hostname,
            pid=os.getpid(),
            versions=child.versions or self._identity.versions,
            threads=settings.threads or half_of_the_cores(),
            threads_alone=settings.threads or cores(),
            image=settings.image,
            code=self._identity.code,
            state=state,
            trouble=trouble,
            run_id=held.run_id,
            started_s=self._started_s,
            seen_s=held.now_s,
        )
        announce_worker(
            self._leases.client, self._leases.worker_id, document.model_dump_json(), lives_s=PRESENCE_S
        )
        now_about(run=held.run_id)
        if self.metrics is not None:
            self.metrics.beat(document, child)
        hung_s = self._hung.see((child.pid, child.beats) if child.ready else object())
        if settings.heartbeat_file is not None and state in ("idle", "busy") and hung_s < HUNG_S:
            settings.heartbeat_file.touch()

    def _watch_end(self, child: ChildReport, held: HeldRun) -> None:
        """Put back, as after a death, a run that its child has left without an end by a fault of ours."""
        left = child.activity == "idle" and child.run_id is None
        if self._left.see((held.run_id, held.fence) if left else object()) > LEFT_S:
            log.error("the child has left run %s without an end", held.run_id)
            self._end_lease(held, "died")

    def _watch_progress(self, child: ChildReport, held: HeldRun) -> None:
        """Kill a training that shows no progress for longer than it can take; it begins again elsewhere.

        What it can take is learnt from its own pauses. Its stack goes to the log first.
        """
        before_s = self._still.for_s
        training = child.activity == "training"
        still_s = self._still.see((held.run_id, held.fence, child.steps) if training else object())
        if (held.run_id, held.fence) != self._paced:
            self._paced, self._longest_s, self._stack_asked = (held.run_id, held.fence), 0.0, False
        elif still_s < before_s:
            self._longest_s = max(self._longest_s, before_s)
        slow = child.compiling or child.steps == 0
        most_s = max(self._identity.settings.hang_s, PAUSES * self._longest_s) * (SLOWER if slow else 1)
        if child.pid is None or still_s <= most_s:
            return
        if not self._stack_asked:
            self._stack_asked = True
            log.error("run %s shows no progress for %.0f s; its stack follows", held.run_id, still_s)
            with suppress(ProcessLookupError):
                os.kill(child.pid, STACK_SIGNAL)
        elif still_s > most_s + BEAT_S:
            note = f"its training stood still for {still_s:.0f} s, for the second time: {child.standing}"
            self._stop(child, held, "hung", note)

    def _watch_limit(self, child: ChildReport, held: HeldRun) -> None:
        """A training that does not see that its time is over is killed, and fails as that."""
        limited = child.activity == "training" and child.seconds_left is not None
        spent_s = self._limited.see((held.run_id, held.fence) if limited else object())
        if child.seconds_left is not None and spent_s > child.seconds_left + LIMIT_GRACE_S:
            most = "limits.seconds or LIKEWISE_MAX_SECONDS"
            note = f"it took longer than {most}, and did not stop: {child.standing}"
            self._stop(child, held, "time_limit", note)

    def _stop(self, child: ChildReport, held: HeldRun, why: WhyLetGo, note: str) -> None:
        """Kill a child whose training does not go on as it should."""
        log.error("run %s is stopped: %s", held.run_id, note)
        self._end_lease(held, why, note=note)
        self._kill(child)
        self._gone = child.pid
        self._leases.forget_child()

    def _watch_cancel(self, child: ChildReport, held: HeldRun) -> None:
        """Kill a cancelled training that does not end by itself when it next sees the wish, between steps."""
        if not held.cancel_requested or held.run_id is None:
            self._cancel_seen = None
            return
        if self._cancel_seen is None or self._cancel_seen[0] != held.run_id:
            self._cancel_seen = (held.run_id, time.monotonic())
        elif time.monotonic() - self._cancel_seen[1] > CANCEL_GRACE_S:
            log.warning("run %s is cancelled; its training does not stop, and is killed", held.run_id)
            self._end_lease(held, "returned")  # the record's wish makes that `cancelled`
            self._kill(child)

    def _end_lease(self, held: HeldRun, why: WhyLetGo, *, note: str = "") -> None:
        if held.run_id is None:
            return
        self._held = (None, 0)
        if self.metrics is not None:
            self.metrics.let_go(why)
        state, queue = self._leases.let_go(held.run_id, why=why, fence=held.fence, note=note)
        if state == "queued":
            with suppress(RedisError):  # the reconciler sends it later
                send_to_the_front(self._leases.client, held.run_id, queue)

    def _kill(self, child: ChildReport) -> None:
        if child.pid is not None:
            not_to_tell(child.pid)
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    """Return whether our child is alive.

    Celery's pool may take seconds to reap a dead one, which Linux tells.
    """
    try:
        if sys.platform == "linux":
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        os.kill(pid, 0)
    except (ChildProcessError, ProcessLookupError):
        return False
    return True
