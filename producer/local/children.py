"""The supervisor's children: the private Redis and the workers, each restarted when it dies."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from likewise.producer.local.home import Paths, Wanted, WantedWorker, WorkerState
from likewise.producer.local.private_redis import (
    Address,
    find_server,
    new_address,
    note_writer,
    password_file,
    write_config,
)
from likewise.producer.local.processes import (
    STACK,
    Guard,
    clean_environment,
    end_group,
    mark,
    marked,
    signal_group,
    spawn,
)
from likewise.shared.connection import connect
from likewise.shared.errors import RedisError
from likewise.shared.names import ACTIVITY

if TYPE_CHECKING:
    import redis

    from likewise.shared.ledger.ledger import Ledger

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
"""Between two starts of a child that keeps dying; doubled each time."""
STEADY_S = 60.0
"""A child that lived this long is healthy again."""
COMING_S = 180.0
"""How long a worker that is not ready yet keeps the stack from being idle."""
WORKER_GRACE_S = 12.0
REDIS_GRACE_S = 10.0
PORT_TRIES = 3
"""Deaths in a row after which Redis is given another port."""
NEVER_EXPIRES_S = 86_400.0

log = logging.getLogger("likewise.stack")


class Child:
    """One child process that is kept running."""

    name: str
    grace_s: float
    last_signal: int = signal.SIGKILL

    def __init__(self, paths: Paths, guard: Guard) -> None:
        self.paths = paths
        self.guard = guard
        self.starts = 0
        self.exit_status: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_s = FIRST_PAUSE_S
        self._began = self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Return the id of the process, while it runs."""
        return self._process.pid if self._process is not None else None

    def ask_to_end(self) -> None:
        """Ask it to end without waiting."""
        if self._process is not None:
            signal_group(self._process.pid, signal.SIGTERM)

    def end(self) -> None:
        """End it and every process of its group."""
        if self._process is None:
            return
        process, self._process = self._process, None
        status = end_group(process, grace_s=self.grace_s)
        self.guard.remove(process.pid)
        log.info("%s ended with %s", self.name, status)

    def forgive(self) -> None:
        """Start it without a pause next time."""
        self._not_before = 0.0
        self._pause_s = FIRST_PAUSE_S

    def reap(self) -> bool:
        """Return whether it runs; if it has just died, note how and when it may be started again."""
        if self._process is None:
            return False
        status = self._process.poll()
        if status is None:
            return True
        signal_group(self._process.pid, signal.SIGKILL)  # what it started dies with it
        self.guard.remove(self._process.pid)
        self._process = None
        self.exit_status = status
        if time.monotonic() - self._began > STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        log.warning("%s ended with %s; starting it again in %g s", self.name, status, self._pause_s)
        self._pause()
        return False

    def _pause(self) -> None:
        self._not_before = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def may_start(self) -> bool:
        """Return whether its pause is over."""
        return time.monotonic() >= self._not_before

    def launch(self, command: list[str | Path], *, environment: dict[str, str], cwd: Path) -> None:
        """Start it, or note why that cannot be done (no such interpreter, a full disk)."""
        self.starts += 1
        self._began = time.monotonic()
        try:
            with self.paths.log(self.name).open("ab") as output:
                self._process = spawn(
                    command,
                    environment=marked(environment, mark(self.paths.home, STACK)),
                    stdout=output,
                    cwd=cwd,
                    last_signal=self.last_signal,
                )
        except OSError as error:
            self._pause()
            log.error("%s could not be started: %s", self.name, error)
            return
        self.guard.add(self._process.pid, grace_s=self.grace_s if self.last_signal != signal.SIGKILL else 0)
        log.info("started %s as %d", self.name, self._process.pid)


class RedisChild(Child):
    """The private Redis, on the same data and the same address each time it is started."""

    name = "redis"
    grace_s = REDIS_GRACE_S
    last_signal = signal.SIGTERM  # it writes what it holds and ends at once

    def __init__(self, paths: Paths, guard: Guard) -> None:
        super().__init__(paths, guard)
        self.server = find_server(paths.redis)
        self.address: Address = new_address(paths.redis)
        self._client: redis.Redis | None = None
        self._deaths = 0

    def keep_running(self) -> None:
        """Start it where it does not run."""
        if self.reap() or not self.may_start():
            return
        self._disconnect()
        if self.starts:
            self._deaths += 1
        if self._deaths >= PORT_TRIES:  # perhaps another program has taken the port
            self._deaths = 0
            self.address = new_address(self.paths.redis)
        try:
            config = write_config(self.paths.redis, self.address, self.server)
        except OSError as error:
            self._pause()
            log.error("redis.conf could not be written: %s", error)
            return
        self.launch([self.server.path, config], environment=clean_environment(), cwd=self.paths.redis)

    def answers(self) -> bool:
        """Return whether it is running, reachable and done with loading its data."""
        if self._process is None:
            return False
        if self._client is not None:
            return True
        with contextlib.suppress(RedisError, OSError):
            self._client = connect(self.address.url)
            self._deaths = 0
            self.touch()
            note_writer(self.paths.redis, self.server)
        return self._client is not None

    def ledger(self) -> Ledger:
        """Return the records in it."""
        from likewise.shared.ledger.ledger import Ledger

        return Ledger(self._connected(), retention_s=NEVER_EXPIRES_S)

    def touch(self) -> None:
        """Note activity now, by the server's clock."""
        client = self._connected()
        client.set(ACTIVITY, str(client.time()[0]))

    def idle_s(self) -> float:
        """Return the seconds since the last activity, by the server's clock."""
        client = self._connected()
        noted = client.get(ACTIVITY)
        if noted is None:  # flushed, or deleted by hand
            self.touch()
            return 0.0
        return float(client.time()[0]) - float(noted)

    def _connected(self) -> redis.Redis:
        if self._client is None:
            raise RedisError("the local stack's Redis is not running")
        return self._client

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class WorkerChild(Child):
    """The worker of one environment."""

    grace_s = WORKER_GRACE_S

    def __init__(self, paths: Paths, guard: Guard, worker: WantedWorker, wanted: Wanted) -> None:
        super().__init__(paths, guard)
        self.name = f"worker-{worker.environment.name}"
        self.worker = worker
        self.code = wanted.worker_code
        self.variables = wanted.variables
        self.ready = False
        self._address: Address | None = None

    def serves(self, worker: WantedWorker, wanted: Wanted) -> bool:
        """Return whether it is what is wanted."""
        return (self.worker, self.code, self.variables) == (worker, wanted.worker_code, wanted.variables)

    def keep_running(self, address: Address) -> None:
        """Start it where it does not run, and again where Redis has moved."""
        if self._address is not None and self._address != address:
            self.end()
        if self.reap() or not self.may_start():
            return
        self.ready = False
        self._address = address
        environment = {
            **clean_environment(),
            **self.variables,
            "LIKEWISE_FRAMEWORK": self.worker.environment.framework,
            "LIKEWISE_DEVICE": self.worker.environment.device,
            "LIKEWISE_REQUIREMENTS": " ".join(self.worker.environment.requirements),
            "LIKEWISE_DEDICATED": str(self.worker.environment.version is not None).lower(),
            "LIKEWISE_REDIS_URL": address.url_of_workers,
            "LIKEWISE_REDIS_PASSWORD_FILE": str(password_file(self.paths.redis, "worker")),
            "LIKEWISE_CACHE_DIR": str(self.paths.cache),
            "LIKEWISE_PROGRAMS": str(self.paths.programs),
            "PYTHONPATH": str(self.paths.code),
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        command: list[str | Path] = [self.worker.interpreter, "-m", "likewise.worker"]
        self.launch(command, environment=environment, cwd=self.paths.code)

    def is_coming(self) -> bool:
        """Return whether it has just been started and may yet get ready."""
        return self.pid is not None and not self.ready and time.monotonic() - self._began < COMING_S

    def state(self) -> WorkerState:
        """Return what the state document says of it."""
        return WorkerState(
            environment=self.worker.environment,
            interpreter=self.worker.interpreter,
            pid=self.pid,
            ready=self.ready and self.pid is not None,
            starts=self.starts,
            exit_status=self.exit_status,
        )
