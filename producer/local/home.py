"""The local stack's folder: where everything lies, its documents, its logs, and the one kind of lock.

`state.json` is written by the supervisor alone and says what runs; `wanted.json` is written by commands under
the client lock and says what should. Both hold the whole truth each time, so that a lost or repeated look
does no harm. Logs are a file a process, capped, each with the file before it. Locks are the kernel's
(`flock`), which gives them back when a process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from likewise.shared.errors import StackError
from likewise.shared.frozen import Frozen

CAP_BYTES = 5 * 2**20
"""A log longer than this is shortened."""
OWN_LOG = "supervisor"


@dataclass(frozen=True)
class Paths:
    """Everything lies under `home`, which only its owner may enter."""

    home: Path

    @property
    def stack(self) -> Path:
        """Return the folder of the running stack's state."""
        return self.home / "stack"

    @property
    def supervisor_lock(self) -> Path:
        """Return the lock that the supervisor holds for as long as it lives."""
        return self.stack / "supervisor.lock"

    @property
    def supervisor_pid(self) -> Path:
        """Return the file with the pid of the lock's holder."""
        return self.stack / "supervisor.pid"

    @property
    def client_lock(self) -> Path:
        """Return the lock that a command holds while it starts the stack or asks it for more."""
        return self.stack / "client.lock"

    @property
    def state(self) -> Path:
        """Return the document in which the supervisor says what it is; without it the stack is not up."""
        return self.stack / "state.json"

    @property
    def wanted(self) -> Path:
        """Return the document in which commands ask the supervisor for workers."""
        return self.stack / "wanted.json"

    @property
    def redis(self) -> Path:
        """Return the folder of Redis's configuration and data, since experiments outlive the stack."""
        return self.home / "redis"

    @property
    def code(self) -> Path:
        """Return the folder of the packages that workers import, and nothing else."""
        return self.stack / "code"

    @property
    def cache(self) -> Path:
        """Return the workers' cache of arrays."""
        return self.home / "cache"

    @property
    def programs(self) -> Path:
        """Return the folder of the programs that its workers may run."""
        return self.home / "programs"

    @property
    def arrays(self) -> Path:
        """Return the folder of the arrays that are too large for Redis."""
        return self.home / "arrays"

    @property
    def logs(self) -> Path:
        """Return the folder of logs, one a process."""
        return self.home / "logs"

    @property
    def environments(self) -> Path:
        """Return the virtual environments that workers run in."""
        return self.home / "environments"

    def log(self, name: str) -> Path:
        """Return the log of one process."""
        return self.logs / f"{name}.log"

    def make(self) -> None:
        """Make the folders; raises StackError where that cannot be done."""
        try:
            own = (
                self.stack,
                self.redis,
                self.logs,
                self.cache,
                self.arrays,
                self.programs,
                self.environments,
            )
            for folder in (self.home, *own):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.home.stat().st_mode & 0o077:
                self.home.chmod(0o700)
        except OSError as error:
            raise StackError(
                f"cannot make {error.filename or self.home} for the local stack: "
                f"{(error.strerror or str(error)).lower()}; set LIKEWISE_HOME to a folder of yours"
            ) from None


def stack_paths(home: Path | None) -> Paths:
    """Return the given home, else the user's state folder of this platform."""
    if home is None:
        import platformdirs

        home = platformdirs.user_state_path("likewise")
    return Paths(home.expanduser().absolute())


LONGEST_NAME = 80
"""An environment's name is also that of its log."""


class WorkerEnvironment(Frozen):
    """A set of packages that a worker runs in. It is the key of what the stack makes and starts.

    Two environments of one framework that differ in anything live side by side.
    """

    framework: str
    device: str = "cpu"
    version: str | None = None
    """The version of the framework; None for the one that its adapter is tested with."""
    requirements: tuple[str, ...] = ()
    """Packages beyond the adapter's own, as a requirement file spells them."""

    @property
    def name(self) -> str:
        """Return a word for file names and for JSON: the framework's name where nothing else is asked for."""
        words = [self.framework]
        if self.device != "cpu":
            words.append(self.device.replace(":", "-"))
        asked = [*([self.version] if self.version else []), *self.requirements]
        words += [re.sub(r"[^\w.]+", "-", one.replace("*", "x")) for one in asked]
        name = "-".join(words)
        if len(name) <= LONGEST_NAME:
            return name
        return f"{name[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        device = f" on {self.device}" if self.device != "cpu" else ""
        packages = f" with {', '.join(self.requirements)}" if self.requirements else ""
        return f"{self.framework}{version}{device}{packages}"


class WantedWorker(Frozen):
    """A worker that the stack should be running."""

    environment: WorkerEnvironment
    interpreter: str


class WorkerState(Frozen):
    """One environment's worker as the supervisor sees it."""

    environment: WorkerEnvironment
    interpreter: str
    pid: int | None = None
    """None while it is not running."""
    ready: bool = False
    """Whether it has its framework loaded, by its own word in Redis."""
    starts: int = 0
    """How often it was started since it was asked for."""
    exit_status: int | None = None
    """The status of the last time it ended by itself; negative for a signal."""


class StackState(Frozen):
    """What a running stack says of itself."""

    pid: int
    redis_url: str
    redis_pid: int | None
    redis_server: str
    started_s: float
    idle_minutes: float
    own_code: str
    """Fingerprint of the code the supervisor runs."""
    worker_code: str
    """Fingerprint of the code the workers run."""
    variables: dict[str, str]
    """The workers' LIKEWISE_* settings."""
    workers: dict[str, WorkerState]
    """The workers by the names of their environments."""

    def serves(self, wanted: Wanted) -> bool:
        """Return whether everything that is wanted runs and is ready."""
        return (
            self.worker_code == wanted.worker_code
            and self.variables == wanted.variables
            and self.idle_minutes == wanted.idle_minutes
            and all(self.is_ready(worker) for worker in wanted.workers)
        )

    def is_ready(self, wanted: WantedWorker) -> bool:
        """Return whether this worker is ready, in this environment and by this interpreter."""
        worker = self.workers.get(wanted.environment.name)
        return worker is not None and worker.ready and worker.interpreter == wanted.interpreter


class Wanted(Frozen):
    """What the stack should be running."""

    workers: tuple[WantedWorker, ...]
    worker_code: str
    variables: dict[str, str]
    idle_minutes: float


def read_state(paths: Paths) -> StackState | None:
    """Return the running stack's state; None where there is none or it is of another version."""
    try:
        return StackState.model_validate_json(paths.state.read_bytes())
    except (OSError, ValidationError):
        return None


def read_wanted(paths: Paths) -> Wanted | None:
    """Return what was asked for last; None where nothing was, or by another version."""
    try:
        return Wanted.model_validate_json(paths.wanted.read_bytes())
    except (OSError, ValidationError):
        return None


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only (mkstemp makes files 0600)."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def open_own_log(paths: Paths) -> None:
    """Send this process's log records to the supervisor's log."""
    import logging
    from logging.handlers import RotatingFileHandler

    handler = RotatingFileHandler(paths.log(OWN_LOG), maxBytes=CAP_BYTES, backupCount=1)
    logging.basicConfig(
        level=logging.INFO, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def cap_logs(paths: Paths) -> None:
    """Shorten every child's log that is too long, keeping the old text as `<name>.log.1`.

    Children write to files opened for appending, which stay open for days: a log is copied aside and emptied
    in place.
    """
    for path in paths.logs.glob("*.log"):
        with contextlib.suppress(OSError):
            if path.name != f"{OWN_LOG}.log" and path.stat().st_size > CAP_BYTES:
                shutil.copyfile(path, path.with_name(f"{path.name}.1"))
                with path.open("r+b") as stream:
                    stream.truncate(0)


def last_line(path: Path) -> str:
    """Return the last line that is not empty, or nothing."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 4096))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def is_held(lock: Path) -> bool:
    """Return whether a living process holds the lock.

    It asks for a shared lock, so that two processes that ask at once do not take each other for the holder.
    """
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def hold(lock: Path) -> int | None:
    """Take the lock until the returned handle is closed or the process ends; None where another has it."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if not _is_file(handle, lock):
        os.close(handle)
        return hold(lock)
    return handle


@contextmanager
def locked(lock: Path, *, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock for the block; where another process has it, call `on_wait` and wait for it."""
    handle = hold(lock)
    if handle is None:
        on_wait()
    while handle is None:
        waiting = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX)
            if _is_file(waiting, lock):
                handle, waiting = waiting, -1
        finally:
            if waiting >= 0:
                os.close(waiting)
    try:
        yield
    finally:
        os.close(handle)


def _is_file(handle: int, path: Path) -> bool:
    """Return whether the open file is still the one at `path`: who held it may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
