"""The supervisor: one detached process that owns the private Redis and one worker an environment.

It restarts what dies, restarts workers whose code or settings have changed, stops when nothing has
happened for a while, when it is told to (SIGTERM), and when its folder vanishes. Its children never
outlive it (`producer.local.processes`). One thread, one loop; it speaks with commands through
`producer.local.home`.

Run as `python -m likewise.producer.local.supervisor HOME IDLE_MINUTES`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import sys
import time
from pathlib import Path

from likewise.producer.local.children import Child, RedisChild, WorkerChild
from likewise.producer.local.environments import stack_fingerprint
from likewise.producer.local.home import (
    Paths,
    StackState,
    Wanted,
    cap_logs,
    hold,
    open_own_log,
    read_wanted,
    write_private,
)
from likewise.producer.local.processes import STACK, Guard, mark, sweep
from likewise.shared.errors import LikewiseError

TICK_S = 0.1
LOOK_S = 0.5
"""Between two looks at Redis."""
LOGS_S = 30.0
LOCK_PATIENCE_S = 2.0

log = logging.getLogger("likewise.stack")


class Supervisor:
    """The stack of one home. Not thread-safe."""

    def __init__(self, paths: Paths, *, idle_minutes: float) -> None:
        self.paths = paths
        self.idle_minutes = idle_minutes
        self.own_code = stack_fingerprint()
        self.started_s = time.time()
        self.guard = Guard()
        self.redis = RedisChild(paths, self.guard)
        self.workers: dict[str, WorkerChild] = {}
        self.wanted: Wanted | None = None
        self._wanted_stamp: int | None = None
        self._published: StackState | None = None
        self._next_look = self._next_logs = 0.0
        self.stopping = False
        self._folder = self.paths.stack.stat().st_ino

    def run(self) -> None:
        """Look at everything until there is a reason to stop; then stop everything."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        # So that the death of a child ends the wait.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            try:
                while not self.stopping:
                    self.tick()
                    if selector.select(TICK_S):
                        os.read(reader, 1024)
            finally:
                self.stop()

    def tick(self) -> None:
        """Take one look at everything."""
        if not self._folder_is_ours():
            log.info("the folder %s is gone: stopping", self.paths.stack)
            self.stopping = True
            return
        self.guard.check()
        self.redis.keep_running()
        self._read_wanted()
        if self.redis.answers():
            for worker in self.workers.values():
                worker.keep_running(self.redis.address)
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + LOOK_S
                self._look_at_redis()
        if time.monotonic() >= self._next_logs:
            self._next_logs = time.monotonic() + LOGS_S
            cap_logs(self.paths)
        if not self.stopping:
            self._publish()

    def stop(self) -> None:
        """Withdraw the state, end the workers, then Redis."""
        log.info("stopping")
        self._withdraw()
        children: list[Child] = [*self.workers.values()]
        for child in children:
            child.ask_to_end()
        for child in children:
            child.end()
        self.redis.end()
        self.guard.close()
        sweep(mark(self.paths.home, STACK))
        log.info("stopped")

    def _on_signal(self, number: int, _frame: object) -> None:
        log.info("told to stop by %s", signal.Signals(number).name)
        self.stopping = True

    def _folder_is_ours(self) -> bool:
        try:
            return self.paths.stack.stat().st_ino == self._folder
        except OSError:
            return False

    def _read_wanted(self) -> None:
        try:
            stamp = self.paths.wanted.stat().st_mtime_ns
        except OSError:
            return
        if stamp == self._wanted_stamp:
            return
        self._wanted_stamp = stamp
        self.wanted = read_wanted(self.paths)
        if self.wanted is None:
            return
        self.idle_minutes = self.wanted.idle_minutes
        for wanted in self.wanted.workers:
            name = wanted.environment.name
            worker = self.workers.get(name)
            if worker is not None and worker.serves(wanted, self.wanted):
                worker.forgive()
                continue
            if worker is not None:
                log.info("restarting the %s worker: its code, settings or environment changed", name)
                worker.end()
            self.workers[name] = WorkerChild(self.paths, self.guard, wanted, self.wanted)

    def _look_at_redis(self) -> None:
        try:
            present = self.redis.ledger().census()[0]
            idle = self.redis.idle_s()
        except LikewiseError as error:
            log.warning("%s", error)
            return
        loaded = {presence.pid for presence in present if presence.state != "starting"}
        for worker in self.workers.values():
            worker.ready = worker.pid in loaded
        busy = any(presence.run_id is not None for presence in present)
        if busy or any(worker.is_coming() for worker in self.workers.values()):
            self.redis.touch()
        elif idle > self.idle_minutes * 60:
            self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        """Stop, unless a command has just come.

        The state is withdrawn before the last look at the activity, and a command touches the
        activity before its last look at the state: one of the two sees the other.
        """
        self._withdraw()
        if self.redis.idle_s() > self.idle_minutes * 60:
            log.info("idle for %g minutes", self.idle_minutes)
            self.stopping = True

    def _publish(self) -> None:
        if not self.redis.answers():
            return
        state = StackState(
            pid=os.getpid(),
            redis_url=self.redis.address.url,
            redis_pid=self.redis.pid,
            redis_server=str(self.redis.server),
            started_s=self.started_s,
            idle_minutes=self.idle_minutes,
            own_code=self.own_code,
            worker_code=self.wanted.worker_code if self.wanted else "",
            variables=self.wanted.variables if self.wanted else {},
            workers={name: worker.state() for name, worker in self.workers.items()},
        )
        if state != self._published:
            with contextlib.suppress(OSError):  # a full disk: said by the log and by the next command
                write_private(self.paths.state, state.model_dump_json())
                self._published = state

    def _withdraw(self) -> None:
        if self._folder_is_ours():
            self.paths.state.unlink(missing_ok=True)
        self._published = None


def main() -> None:
    """Take the lock for life, then run."""
    os.umask(0o077)
    paths, idle_minutes = Paths(Path(sys.argv[1])), float(sys.argv[2])
    open_own_log(paths)
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while hold(paths.supervisor_lock) is None:  # commands that ask for the lock hold it for an instant
        if time.monotonic() > deadline:
            log.info("another supervisor runs already")
            return
        time.sleep(0.02)
    write_private(paths.supervisor_pid, str(os.getpid()))
    paths.state.unlink(missing_ok=True)
    left = sweep(mark(paths.home, STACK))
    if left:
        log.warning("ended %d processes that a killed supervisor had left", left)
    try:
        Supervisor(paths, idle_minutes=idle_minutes).run()
    except LikewiseError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception:
        log.exception("the supervisor failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
